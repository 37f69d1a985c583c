"""The figures of each fold of a cross-validation, and how far they lie apart."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, REPORT_FILE
from cnncli.models.pretrained.tensor_file import read_meta
from cnncli.run.read_folder import survey_run
from cnncli.training.find_run import list_folds
from cnncli.training.history import Row

# The figures of a fold's report that are laid side by side.
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "log_loss", "ece")


def describe_folds(folder: Path) -> dict[str, Any]:
    """Return the figures of each fold on the images held out, and their spread.

    Args:
        folder: The folder of a cross-validation whose folds are all finished.

    Returns:
        ``each``, a row for each fold with its number, images, best epoch and figures; and
        ``spread``, for each figure mean, standard deviation (that of a sample, with K - 1), least
        and greatest. A figure that is undefined in a fold is None there, and left out of the
        spread of the others.
    """
    each = [read_fold(path, number) for number, path in enumerate(list_folds(folder), start=1)]
    spread = {}
    for name in FIGURES:
        known = [row[name] for row in each if row[name] is not None]
        if known:
            spread[name] = {
                "mean": statistics.fmean(known),
                "sd": statistics.stdev(known) if len(known) > 1 else None,
                "least": min(known),
                "greatest": max(known),
            }
    return {"each": each, "spread": spread}


def count_seconds(folder: Path) -> float:
    """Return the seconds that the finished epochs of all folds have taken so far.

    Args:
        folder: The folder of a cross-validation, whose folds need not have begun.
    """
    return float(sum(row.get("seconds", 0.0) for rows in _read_rows(folder) for row in rows))


def read_threads(folder: Path) -> int:
    """Return the number of threads that the last fold to begin has; 0 where it is not known.

    Args:
        folder: The folder of a cross-validation, whose folds need not have begun.
    """
    numbers = [rows[-1].get("threads", math.nan) for rows in _read_rows(folder) if rows]
    return next((int(number) for number in reversed(numbers) if math.isfinite(number)), 0)


def _read_rows(folder: Path) -> list[Sequence[Row]]:
    """Return the rows of ``metrics.csv`` of each fold that has begun, in the order of the folds."""
    begun = [path for path in list_folds(folder) if path.is_dir()]
    return [survey_run(path, path.name, with_images=False)[0].history for path in begun]


def read_fold(path: Path, number: int) -> dict[str, Any]:
    """Return the figures of one fold, from the report of its run.

    Raises:
        CnncliError: If the report cannot be read.
    """
    try:
        report: dict[str, Any] = json.loads((path / REPORT_FILE).read_text(encoding="utf-8"))
        figures = {name: _value(report.get(name)) for name in FIGURES}
        images = int(report["images"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CnncliError(f"{path / REPORT_FILE}: not the report.json of a run") from None
    epoch = read_meta(path / BEST_FILE).get("epoch")
    return {"fold": number, "images": images, "best_epoch": epoch, **figures}


def _value(figure: Any) -> float | None:
    """Return a figure of a report, which may stand with its interval."""
    value = figure["value"] if isinstance(figure, Mapping) else figure
    return None if value is None else float(value)


def fold_rows(described: Mapping[str, Any]) -> list[dict[str, object]]:
    """Return the rows of a table: the folds, then mean and standard deviation."""
    rows: list[dict[str, object]] = [
        {"fold": str(row["fold"]), **{k: v for k, v in row.items() if k != "fold"}}
        for row in described["each"]
    ]
    for name in ("mean", "sd"):
        figures = {key: values[name] for key, values in described["spread"].items()}
        rows.append({"fold": name, "images": None, "best_epoch": None, **figures})
    return rows
