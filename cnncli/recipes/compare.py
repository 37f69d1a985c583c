"""Compare: what runs were set to and how far they came, side by side.

Light: nothing is trained or loaded, and the runs may still be going on.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.errors import CnncliError
from cnncli.evaluation.report import figure_value
from cnncli.files import CONFIG_FILE, METRICS_FILE, expand_path
from cnncli.reporting import Reporter
from cnncli.run.folder import tell_no_run
from cnncli.run.other_ways import find_other_ways
from cnncli.run.pair import pair_runs
from cnncli.run.read_folder import FIGURES, RunRecord, load_run
from cnncli.training.find_run import find_by_name, list_folds, list_run_folders, suggest_runs

_MOST_NAMES = 3  # in a note
_MOST_IN_LABEL = 4  # settings in a legend; where more differ, the run's name says as much


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: The runs, in the order in which they are printed.
        differing: Names of the settings that are not the same in all runs.
        paired: How two runs differ on the same images, as `pair_runs` returns it.
        skipped: Number of folders that were left out because they are damaged.
    """

    runs: list[RunRecord]
    differing: list[str]
    paired: dict[str, Any] | None
    skipped: int


def compare_runs(paths: Sequence[str], reporter: Reporter, *, best_first: bool) -> Comparison:
    """Read runs and find the settings in which they differ.

    Args:
        paths: Paths of run folders, or of folders that hold run folders; names of runs in
            ``runs/``, parts of names that no other run has, or ``last``. Any other folder is left
            out with a note, so that ``runs/*`` can be given.
        reporter: Shows what is left out and what cannot be compared.
        best_first: Whether the runs are sorted by their monitored value; if not, they stay in the
            order of the paths.

    Raises:
        CnncliError: If there is no such path and no such run, or no run is left.
    """
    runs, skipped = _load_all(paths, reporter)
    if not runs:
        raise CnncliError(f"{', '.join(paths[:3])}: no run folder to compare; give runs/*")
    monitors = {run.monitor for run in runs}
    if best_first and len(monitors) > 1:
        reporter.warn(
            f"the runs chose their best epochs by different columns ({', '.join(sorted(monitors))})"
            ": in the order given"
        )
    elif best_first:
        runs.sort(key=lambda run: -run.best_value)
    for text in find_warnings(runs):
        reporter.warn(text)
    _note_missing_test_figures(runs, reporter)
    differing = find_differing([run.settings for run in runs])
    return Comparison(runs, differing, pair_runs(runs, reporter), skipped)


def _load_all(paths: Sequence[str], reporter: Reporter) -> tuple[list[RunRecord], int]:
    folders: dict[str, Path] = {}
    for text in paths:
        path = expand_path(text)
        if not path.exists():
            named = find_by_name(text, text, with_folds=True)
            if named is None:
                near = suggest_runs(text, list_run_folders(Path("runs")))
                raise CnncliError(f"{text}: no such run folder{near}")
            reporter.note(f"{text}: {named}")
            path = named
        for folder in _expand(path):
            folders.setdefault(os.path.realpath(folder), folder)
    names = [path.resolve().name for path in folders.values()]
    runs, skipped = [], 0
    for path, name in zip(folders.values(), names, strict=True):
        if not _is_run(path):
            reporter.note(f"{path}: left out: {tell_no_run(path)}")
            continue
        try:
            runs.append(load_run(path, name if names.count(name) == 1 else str(path)))
        except CnncliError as error:
            skipped += 1
            reporter.warn(f"left out: {error}")
    return runs, skipped


def _note_missing_test_figures(runs: Sequence[RunRecord], reporter: Reporter) -> None:
    """Note which runs have no test figures, in one line for each reason."""
    reasons: dict[str, list[str]] = {}
    for run in runs:
        if run.report is None:
            reasons.setdefault("not finished, or a trial of tune", []).append(run.name)
        elif not run.test:
            reasons.setdefault(f"judged on {run.report['split']}", []).append(run.name)
    for reason, names in reasons.items():
        told = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
        reporter.note(f"no test figures, {reason}: {told}")


def _is_run(path: Path) -> bool:
    return (path / METRICS_FILE).is_file() or (path / CONFIG_FILE).is_file()


def _expand(path: Path) -> list[Path]:
    """Return the run folders in a folder such as ``runs``, or the path itself if it has none."""
    inside = [] if _is_run(path) or not path.is_dir() else sorted(filter(_is_run, path.iterdir()))
    return inside or [path]


def find_differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys whose values are not the same in all configs, in the order of the configs.

    A key that an older run does not have stands for what it did then. Where a run lies and what it
    was computed on do not count.
    """
    from cnncli.config import OLDER, RunConfig, keys_of_kind

    defaults = {
        key: info.get_default(call_default_factory=True)
        for key, info in RunConfig.model_fields.items()
        if not info.is_required()
    } | OLDER
    keys = list(dict.fromkeys(key for values in settings for key in values))
    place = keys_of_kind("place")
    return [
        key
        for key in keys
        if key not in place
        and len({repr(values.get(key, defaults.get(key))) for values in settings}) > 1
    ]


def find_warnings(runs: Sequence[RunRecord]) -> list[str]:
    """Tell which runs do not compare with the first, once for each kind.

    They were chosen or judged on other images, or their images were judged in another way.
    """
    known = [run for run in runs if run.images]
    warnings: dict[str, list[str]] = {}
    for run in known[1:]:
        first = known[0]
        other = {part for part in run.images if run.images[part] != first.images[part]}
        splits = [split for split in ("val", "test") if split in other]
        names = " and ".join(splits)
        if "class_names" in other:
            text = f"other classes than {first.name}: not comparable"
        elif not splits:
            continue
        elif "all" in other and run.settings.get("data") != first.settings.get("data"):
            text = f"another data set than {first.name}: not comparable"
        else:
            text = (
                f"other {names} images than {first.name}: their {names} figures differ by that too"
            )
        warnings.setdefault(text, []).append(run.name)
    for text, odd in _find_other_ways(runs).items():
        warnings.setdefault(text, []).extend(odd)
    told = []
    for text, odd in warnings.items():
        are_all = _MOST_NAMES < len(odd) == len(runs) - 1
        told.append(f"{f'all {len(odd)} others' if are_all else ', '.join(odd)}: {text}")
    return told


def _find_other_ways(runs: Sequence[RunRecord]) -> dict[str, list[str]]:
    """Return the names of runs that judged in another way than the first, by what is to be told."""
    told: dict[str, list[str]] = {}
    first: RunRecord | None = None
    for run in runs:
        if run.report is None:
            continue
        first = first or run
        assert first.report is not None
        if other := find_other_ways(first.report, run.report, are_of_one_run=False):
            text = (
                f"judged with another {' and '.join(other)} than {first.name}: figures and "
                "predictions differ by that too; evaluate --checkpoint RUN --output RUN, with the "
                "same flags for each, writes them anew (--raw leaves a decision out)"
            )
            told.setdefault(text, []).append(run.name)
    return told


def value_of(row: Mapping[str, float] | None, column: str) -> float | None:
    """Return a finite value of a row, or None."""
    value = math.nan if row is None else row.get(column, math.nan)
    return value if math.isfinite(value) else None


def summarize(run: RunRecord, differing: Sequence[str]) -> dict[str, Any]:
    """Return what is printed of a run, ready for JSON.

    ``seconds_per_epoch`` is the median: the first epoch also reads the images.
    """
    seconds = [row["seconds"] for row in run.epochs if math.isfinite(row.get("seconds", math.nan))]
    summary: dict[str, Any] = {
        "run": run.name,
        "path": str(run.path),
        "settings": {key: run.settings.get(key) for key in differing},
        "finished": run.report is not None,
        "epochs_run": None if list_folds(run.path) else len(run.epochs),
        "best_epoch": None if run.best is None else int(run.best["epoch"]),
        "monitor": run.monitor,
        "val_loss": value_of(run.best, "val_loss"),
        "val_accuracy": value_of(run.best, "val_accuracy"),
    }
    if run.monitor not in summary:
        summary[run.monitor] = value_of(run.best, run.monitor)
    for name, bounded in FIGURES.items():
        empty = dict.fromkeys(("value", "low", "high")) if bounded else None
        figure = run.test.get(name) or empty
        summary[f"test_{name}"] = figure if bounded else figure_value(figure)
    summary["seconds_per_epoch"] = round(statistics.median(seconds), 3) if seconds else None
    summary["parameters"] = run.parameters
    return summary


def describe_setting(value: object, longest: int | None = None) -> str:
    """Return the text for a setting in a table; ``none`` if nothing is set.

    Args:
        value: As ``config.yaml`` has it.
        longest: In characters; a longer text loses its end.
    """
    if isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, list):  # steps of augmentation by their names; classes
        parts = (next(iter(item), "") if isinstance(item, dict) else item for item in value)
        text = "; ".join(map(str, parts)) or "none"
    else:
        text = "none" if value is None else str(value)
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"


def draw(comparison: Comparison, path: Path) -> None:
    """Draw the learning curves of all runs that have an epoch.

    Raises:
        CnncliError: If none has one.
        OSError: The file cannot be written.
    """
    from cnncli.plots.compare import RunCurves, save_comparison

    runs = [run for run in comparison.runs if run.history]
    if not runs:
        raise CnncliError("--output: no run has finished an epoch; there is nothing to draw")
    labels = label_runs(runs, comparison.differing)
    save_comparison(
        path,
        [
            RunCurves(label, run.history, None if run.best is None else int(run.best["epoch"]))
            for label, run in zip(labels, runs, strict=True)
        ],
    )


def label_runs(runs: Sequence[RunRecord], differing: Sequence[str]) -> list[str]:
    """Return the text of each run in a legend: the settings that differ, or its name, or both."""
    if not 0 < len(differing) <= _MOST_IN_LABEL:
        return [run.name for run in runs]
    texts = [
        ", ".join(f"{key} {describe_setting(run.settings.get(key), 30)}" for key in differing)
        for run in runs
    ]
    return [
        text if texts.count(text) == 1 else f"{text} ({run.name})"
        for text, run in zip(texts, runs, strict=True)
    ]
