"""Print how often 95 % intervals hold the truth, as the table of docs/numbers.md.

``python tests/benchmarks/interval_coverage.py [SAMPLES]``; 2,000 samples take some minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from interval_coverage import SCENARIOS, measure_coverage

from cnncli.evaluation.class_figures import CLASS_FIGURES
from cnncli.evaluation.report import FIGURES


def main(samples: int) -> None:
    """Print the table: coverage of intervals by group, and of those by image in brackets."""
    columns = []
    for scenario in SCENARIOS:
        columns.append(measure_coverage(scenario, samples))
        print(scenario.name, file=sys.stderr, flush=True)
    print("| Figure |" + "".join(f" {scenario.name} |" for scenario in SCENARIOS))
    print("| --- |" + " --- |" * len(SCENARIOS))
    for figure in FIGURES:
        cells = [_cell([column[figure]]) if figure in column else "–" for column in columns]
        print(f"| `{figure}` | {' | '.join(cells)} |")
    for figure in CLASS_FIGURES:
        cells = [
            _cell([column[name] for name in column if name.startswith(f"{figure} of class")])
            for column in columns
        ]
        print(f"| `{figure}` of a class | {' | '.join(cells)} |")


def _cell(found: list[tuple[float, float, float]]) -> str:
    """Return the coverages of a figure, or of all classes with the lowest of them."""
    _, by_group, by_image = np.mean(found, axis=0)
    lowest = min(one[1] for one in found)
    least = f", lowest {lowest:.1f}" if len(found) > 1 else ""
    return f"{by_group:.1f} ({by_image:.1f}){least}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
