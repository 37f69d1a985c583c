"""Read a run's folder from its files alone: what it was set to, how far it came.

Light, torch is never reached; and the run may still be going on.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.choices import SPLITS
from cnncli.config import text_settings
from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, CONFIG_FILE, METRICS_FILE, REPORT_FILE, SPLITS_FILE
from cnncli.training.history import COLUMNS, EarlyStopping, Row, lower_is_better
from cnncli.yaml_text import read_yaml

# Of report.json: the figures that are told, and whether they have an interval.
FIGURES = {"accuracy": True, "balanced_accuracy": True, "ece": False}
_REQUIRED = ("epoch", "train_loss", "val_loss", "val_accuracy")  # of metrics.csv
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # tensors, not parameters


@dataclass(frozen=True)
class RunRecord:
    """What a run's folder says.

    Attributes:
        name: The folder's name, or its path where two are called the same.
        path: The folder.
        settings: Its ``config.yaml``.
        history: The rows of its ``metrics.csv``; a value that is no number is NaN.
        best: The row of the best epoch; None before the first.
        report: Its ``report.json``; None while it is not finished.
        parameters: Of the network; None where no checkpoint is.
        images: Digests that tell whether two runs had the same images and labels in train, val,
            test and all of them, and the same class_names; empty where no ``splits.csv`` is.
    """

    name: str
    path: Path
    settings: dict[str, Any]
    history: list[Row]
    best: Row | None
    report: dict[str, Any] | None
    parameters: int | None
    images: dict[str, str]

    @property
    def monitor(self) -> str:
        """The column that chose the best epoch."""
        return str(self.settings.get("monitor", "val_loss"))

    @property
    def best_value(self) -> float:
        """The monitored value of the best epoch, negated where less is better; -inf for none."""
        value = math.nan if self.best is None else self.best.get(self.monitor, math.nan)
        value = -value if lower_is_better(self.monitor) else value
        return value if math.isfinite(value) else -math.inf

    @property
    def test(self) -> Mapping[str, Any]:
        """The report, if it is one of the test split; else empty."""
        return self.report if self.report and self.report["split"] == "test" else {}


def load_run(path: Path, name: str) -> RunRecord:
    """Read a run's folder.

    Raises:
        CnncliError: If a file in it is damaged, or one that every run has is missing.
    """
    settings = _read_settings(path / CONFIG_FILE)
    history = _read_history(path / METRICS_FILE)
    checkpoint = _read_checkpoint(path / BEST_FILE)
    best = _find_best(history, settings.get("monitor", "val_loss"))
    if checkpoint is not None:  # the file knows which epoch was kept
        best = next((row for row in history if row["epoch"] == checkpoint[0]), best)
    return RunRecord(
        name=name,
        path=path,
        settings=settings,
        history=history,
        best=best,
        report=_read_report(path / REPORT_FILE),
        parameters=None if checkpoint is None else checkpoint[1],
        images=_read_images(path / SPLITS_FILE),
    )


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = read_yaml(path, text_settings())
    except CnncliError as error:
        raise CnncliError(f"{path}: {error}") from None
    if not isinstance(settings, dict):
        raise CnncliError(f"{path}: holds no settings")
    return settings


def _read_history(path: Path) -> list[Row]:
    """Read the rows so far; a last row that is being written is left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:  # the run is still reading its images
        return []
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise CnncliError(f"{path}: not the metrics.csv of a run (it is no text)") from None
    complete = text[: text.rfind("\n") + 1]
    rows: list[Row] = []
    reader = csv.DictReader(complete.splitlines())
    missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        raise CnncliError(f"{path}: not the metrics.csv of a run (no column {missing[0]})")
    for line, texts in enumerate(reader, start=2):
        try:
            row: Row = {k: float(v) if v else math.nan for k, v in texts.items() if k in COLUMNS}
            row["epoch"] = int(row["epoch"])
        except (ValueError, TypeError, AttributeError):
            raise CnncliError(f"{path}: line {line} is damaged") from None
        rows.append(row)
    return rows


def _find_best(history: Sequence[Row], monitor: str) -> Row | None:
    """Choose the epoch as training does."""
    stopping = EarlyStopping(monitor, patience=len(history) + 1)
    for row in history:
        if math.isfinite(row.get(monitor, math.nan)) and math.isfinite(row["val_loss"]):
            stopping.update(row)
    return stopping.best


def _read_checkpoint(path: Path) -> tuple[int, int] | None:
    """Return the epoch a checkpoint is of and its network's parameters, from its header alone."""
    if not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            meta = json.loads((file.metadata() or {}).get("cnncli", "{}"))
            shapes = [
                file.get_slice(name).get_shape()
                for name in file.keys()  # noqa: SIM118 - it is no mapping
                if not name.endswith(_BUFFERS)
            ]
        return int(meta["epoch"]), sum(map(math.prod, shapes))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise CnncliError(f"{path}: not the checkpoint of a run ({error})") from None


def _read_report(path: Path) -> dict[str, Any] | None:
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(report["split"], str)
        for name, bounded in FIGURES.items():
            _ = report[name]["value"] if bounded and report[name] is not None else report[name]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AssertionError):
        raise CnncliError(f"{path}: not the report.json of a run") from None
    return report


def _read_images(path: Path) -> dict[str, str]:
    """Digest which image, known by its content or else path and size, is in which split."""
    found: dict[str, set[str]] = {name: set() for name in (*SPLITS, "all", "class_names")}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                image = f"{row['hash'] or (row['path'], row['bytes'])} {row['label']}"
                found[row["split"]].add(image)
                found["all"].add(image)
                found["class_names"].add(row["label"])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, csv.Error):
        raise CnncliError(f"{path}: not the splits.csv of a run") from None
    return {name: _digest(sorted(images)) for name, images in found.items()}


def _digest(lines: Iterable[str]) -> str:
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def read_correct(path: Path) -> dict[tuple[str, str], bool] | None:
    """Return whether each image, by path and target, was classified correctly; None for no file.

    Args:
        path: Of a ``predictions.csv``, as ``evaluate --output`` writes it.

    Raises:
        CnncliError: If it is not what ``evaluate`` wrote.
    """
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            return {(row["path"], row["target"]): row["target"] == row["label"] for row in rows}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror}") from None
    except (KeyError, csv.Error):
        raise CnncliError(f"{path}: not the predictions.csv of evaluate --output") from None
