"""Print how often the bands of curves hold the truth, as the table of docs/numbers.md.

``python tests/benchmarks/band_coverage.py [SAMPLES]``; 500 samples take some minutes.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location(
    "coverage_of_bands", Path(__file__).parents[1] / "band_coverage.py"
)


def main(samples: int) -> None:
    """Print the table: coverage of the bands, and that of bootstrap in brackets."""
    tests = importlib.util.module_from_spec(_SPEC)
    sys.modules[_SPEC.name] = tests
    _SPEC.loader.exec_module(tests)
    places = [f"{p:g}" for p in (*tests.ALARMS, *tests.RECALLS)]
    print(f"| Images | {' | '.join(places)} |")
    print("| --- |" + " --- |" * len(places))
    for scenario in tests.SCENARIOS:
        found = tests.measure_coverage(scenario, samples, resamples=200)
        cells = [
            f"{100 * bands:.0f} ({100 * boot:.0f})"
            for shares in found.values()
            for bands, boot in zip(shares[0], shares[1], strict=True)
        ]
        print(f"| {scenario.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
