"""Read what a run's folder says of it, also while it runs; neither torch nor pandas is imported."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.config import text_settings
from cnncli.errors import CnncliError
from cnncli.files import (
    BEST_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    MOST_OF_TABLE,
    MOST_OF_WEIGHTS,
    OUT_OF_FOLD,
    REPORT_FILE,
    SPLITS_FILE,
    check_regular,
)
from cnncli.models.registry import names_several
from cnncli.run.folder import tell_no_run
from cnncli.run.read_images import read_images
from cnncli.training.find_run import list_folds
from cnncli.training.history import COLUMNS, KAPPA, MONITORS, EarlyStopping, Row, lower_is_better
from cnncli.yaml_text import read_yaml

# The figures of report.json that runs are compared by, and whether their intervals are shown.
FIGURES = {"accuracy": True, "balanced_accuracy": True, "ece": False}
_REQUIRED = ("epoch", "train_loss", "val_loss", "val_accuracy")  # columns of metrics.csv
# Ends of the names of those tensors in a checkpoint that are not parameters.
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class RunRecord:
    """What the files in a run's folder say.

    Attributes:
        name: Name of the folder, or its path if several folders have the same name.
        path: Path of the folder.
        settings: The settings in ``config.yaml``, by name.
        history: The rows of ``metrics.csv``; an empty field is NaN, a fitted head is row 0.
        best: Row of the best epoch; None before the end of the first epoch.
        report: Content of ``report.json``; None if the run has not finished.
        parameters: Number of the network's parameters; None if there is no checkpoint.
        images: Digests by ``train``, ``val``, ``test``, ``all`` and ``class_names``, equal for the
            same images and labels there, or the same classes; empty without ``splits.csv``.
        kept: The epoch of ``best.safetensors``, 0 for a fitted head; None if there is none.
    """

    name: str
    path: Path
    settings: dict[str, Any]
    history: list[Row]
    best: Row | None
    report: dict[str, Any] | None
    parameters: int | None
    images: dict[str, str]
    kept: int | None = None

    @property
    def epochs(self) -> list[Row]:
        """The rows of the epochs, without that of a fitted head."""
        return [row for row in self.history if row["epoch"] > 0]

    @property
    def has_kept_epoch(self) -> bool:
        """Whether the epoch of ``best.safetensors`` has its row."""
        return any(row["epoch"] == self.kept for row in self.history)

    @property
    def monitor(self) -> str:
        """The column of ``metrics.csv`` by which the best epoch was chosen."""
        return str(self.settings.get("monitor", "val_loss"))

    @property
    def best_value(self) -> float:
        """The monitored value of the best epoch, negated if it is a loss; -inf if there is none."""
        value = math.nan if self.best is None else self.best.get(self.monitor, math.nan)
        value = -value if lower_is_better(self.monitor) else value
        return value if math.isfinite(value) else -math.inf

    @property
    def test(self) -> Mapping[str, Any]:
        """The report if it is about images that no network judged that had seen them."""
        of_test = ("test", OUT_OF_FOLD)
        return self.report if self.report and self.report["split"] in of_test else {}


def load_run(path: Path, name: str) -> RunRecord:
    """Read the files in a run's folder.

    Args:
        path: Path of the folder.
        name: Name of the run in what is printed.

    Raises:
        CnncliError: If a file in it is damaged, or one that every run has is missing.
    """
    record, faults = survey_run(path, name)
    if faults:
        raise faults[0]
    return record


def survey_run(
    path: Path, name: str, *, with_images: bool = True
) -> tuple[RunRecord, list[CnncliError]]:
    """Read the files in a run's folder, and leave out what is damaged.

    Args:
        path: Path of the folder.
        name: Name of the run in what is printed.
        with_images: Whether to read ``splits.csv``, the one file that grows with the data set.

    Returns:
        What the files say, and what is wrong with those that cannot be read.
    """
    faults: list[CnncliError] = []

    def attempt(read: Callable[[Path], Any], file: str, empty: Any = None) -> Any:
        try:
            return read(path / file)
        except CnncliError as error:
            faults.append(error)
        except OSError as error:
            faults.append(CnncliError(f"{path / file}: {error.strerror}"))
        return empty

    settings = attempt(_read_settings, CONFIG_FILE, {})
    settings |= _settings_of_folds(path, settings)
    history = attempt(_read_history, METRICS_FILE, [])
    checkpoint = attempt(_read_checkpoint, BEST_FILE)
    monitor = settings.get("monitor", "val_loss")
    if monitor not in (*MONITORS, KAPPA):
        names = ", ".join((*MONITORS, KAPPA))
        faults.append(CnncliError(f"{path / CONFIG_FILE}: monitor: must be one of {names}"))
        settings = {key: value for key, value in settings.items() if key != "monitor"}
        monitor = "val_loss"
    best = _choose_best(history, monitor)
    if checkpoint is not None:  # the file knows which epoch was kept
        best = next((row for row in history if row["epoch"] == checkpoint[0]), best)
    record = RunRecord(
        name=name,
        path=path,
        settings=settings,
        history=history,
        best=best,
        report=attempt(read_report, REPORT_FILE),
        parameters=None if checkpoint is None else checkpoint[1],
        images=attempt(read_images, SPLITS_FILE, {}) if with_images else {},
        kept=None if checkpoint is None else checkpoint[0],
    )
    return record, faults


def _read_settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CnncliError(f"{path.parent}: {tell_no_run(path.parent)}")
    try:
        settings = read_yaml(path, text_settings())
    except CnncliError as error:
        raise CnncliError(f"{path}: {error}") from None
    if not isinstance(settings, dict):
        raise CnncliError(f"{path}: holds no settings{' (it is empty)' * (settings is None)}")
    return settings


def _settings_of_folds(path: Path, whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the first fold of a cross-validation has decided; empty for a run.

    Args:
        path: The folder.
        whole: The settings in it. Where each fold has chosen its network, they do not name one.
    """
    folds = list_folds(path)
    if not folds or not (folds[0] / CONFIG_FILE).is_file():
        return {}
    own = ["output", "splits", "split_col", "exclude", "time_limit"]  # the fold's, and not of all
    own += ["model", "weights"] * names_several(str(whole.get("model", "")))
    with suppress(CnncliError):
        return {k: v for k, v in _read_settings(folds[0] / CONFIG_FILE).items() if k not in own}
    return {}


def _read_history(path: Path) -> list[Row]:
    """Read the rows of the finished epochs, without a last row that is still being written."""
    try:
        check_regular(path, most=MOST_OF_TABLE)
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:  # the run is still reading its images
        return []
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise CnncliError(f"{path}: not the metrics.csv of a run (it is no text)") from None
    complete = text[: text.rfind("\n") + 1]
    try:
        return _parse_history(complete.splitlines())
    except csv.Error:
        raise CnncliError(f"{path}: not the metrics.csv of a run (it is no CSV)") from None
    except ValueError as error:
        raise CnncliError(f"{path}: {error}") from None


def _parse_history(lines: Sequence[str]) -> list[Row]:
    """Return the rows of complete lines; a ``ValueError`` says what is wrong with them."""
    rows: list[Row] = []
    reader = csv.DictReader(lines)
    missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"not the metrics.csv of a run (no column {missing[0]})")
    for line, texts in enumerate(reader, start=2):
        try:
            wanted = ({*COLUMNS, KAPPA}) - {"stage"}
            known = {k: v for k, v in texts.items() if k in wanted}
            row: Row = {k: float(v) if v else math.nan for k, v in known.items()}
            row["epoch"] = int(row["epoch"])
        except (ValueError, TypeError, AttributeError, OverflowError):
            raise ValueError(f"line {line} is damaged") from None
        rows.append(row)
    return rows


def _choose_best(history: Sequence[Row], monitor: str) -> Row | None:
    """Return the row of the best epoch; None if no epoch has finished.

    Rows of older runs do not say which epochs were kept: it is chosen as it was in training.
    """
    if kept := [row for row in history if row.get("kept") == 1]:
        return kept[-1]
    stopping = EarlyStopping(monitor, patience=len(history) + 1)
    for row in history:
        if math.isfinite(row.get(monitor, math.nan)) and math.isfinite(row["val_loss"]):
            stopping.update(row)
    return stopping.best


def _read_checkpoint(path: Path) -> tuple[int, int] | None:
    """Return a checkpoint's epoch and number of parameters from its header; None for no file."""
    if not path.exists():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path, most=MOST_OF_WEIGHTS)
        with safe_open(path, framework="numpy") as file:
            meta = json.loads((file.metadata() or {}).get("cnncli", "{}"))
            shapes = [
                file.get_slice(name).get_shape()
                for name in file.keys()  # noqa: SIM118 - it is no mapping
                if not name.endswith(_BUFFERS)
            ]
        epoch = int(meta["epoch"])
        # The digest is of all tensors, and torch would have to read them. The epoch stands in the
        # metadata twice.
        if int(meta.get("metrics", {}).get("epoch", epoch)) != epoch:
            raise ValueError("two epochs")  # noqa: TRY301 - reported below
        return epoch, sum(map(math.prod, shapes))
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CnncliError(f"{path}: not the checkpoint of a run, or damaged") from None


def read_report(path: Path) -> dict[str, Any] | None:
    """Return the content of a ``report.json``; None if there is no such file.

    Raises:
        CnncliError: If it is not what a run or ``evaluate`` wrote.
    """
    try:
        check_regular(path, most=MOST_OF_TABLE)
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(report["split"], str)
        for name, bounded in FIGURES.items():
            if isinstance(figure := report[name], dict):
                _ = figure["value"], figure["low"], figure["high"]
            assert isinstance(figure, dict) or figure is None or not bounded  # as before 2026-11-26
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        raise CnncliError(f"{path}: not the report.json of a run") from None
    return report
