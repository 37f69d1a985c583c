"""``metrics.csv``, one row per epoch, and the best of them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnncli.files import write_atomically

COLUMNS = (
    "epoch",
    "seconds",
    "images_per_second",
    "lr",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_balanced_accuracy",
    "val_macro_f1",
)
# What differs where the same run is run again.
TIME_COLUMNS = ("seconds", "images_per_second")
# What the best checkpoint may be chosen by.
MONITORS = tuple(name for name in COLUMNS if name.startswith("val_"))

Row = dict[str, float]
OnEpoch = Callable[[Row], object]


class StopRun(Exception):  # noqa: N818 - it is no error
    """Raised by who watches a run, after an epoch: what was trained so far is enough."""


class History:
    """The rows of a run's ``metrics.csv``.

    Attributes:
        path: The file's.
        rows: One per epoch, the first first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []

    def append(self, row: Row) -> None:
        """Add one epoch's row; its keys are the columns."""
        if set(row) != set(COLUMNS):
            raise ValueError(f"not a row of metrics.csv: {sorted(set(row) ^ set(COLUMNS))}")
        self.rows.append(row)

    def write(self) -> None:
        """Put all rows on disk, or leave the file as it was.

        Raises:
            CnncliError: If it cannot be written.
        """
        write_atomically(self.path, self._write)

    def _write(self, part: Path) -> None:
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([_plain(row[column]) for column in COLUMNS] for row in self.rows)


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def lower_is_better(column: str) -> bool:
    """Tell whether a column is a loss; all others are better the higher they are."""
    return column.endswith("loss")


class EarlyStopping:
    """Keeps the best epoch by a monitored column and counts the epochs since.

    Where a column other than the loss is equal, which is common on a small val split, the lower
    ``val_loss`` decides.

    Attributes:
        best: The best epoch's row, None before the first epoch.
    """

    def __init__(self, monitor: str, patience: int, min_delta: float = 0.0) -> None:
        """Set what is watched.

        Args:
            monitor: A column of ``MONITORS``.
            patience: Epochs without a better one before stopping.
            min_delta: By how much an epoch must be better than the one waited from to be waited
                for anew; the best epoch is the best all the same.
        """
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.best: Row | None = None
        self._anchor: float | None = None
        self._waited = 0

    def update(self, row: Row) -> bool:
        """Take an epoch's row; return whether it is the best so far."""
        better = self.best is None or self._score(row) > self._score(self.best)
        score = self._score(row)[0]
        enough = (
            better
            if not self.min_delta
            else (self._anchor is None or score > self._anchor + self.min_delta)
        )
        self._waited = 0 if enough else self._waited + 1
        self._anchor = score if enough else self._anchor
        if better:
            self.best = row
        return better

    def state_dict(self) -> dict[str, Any]:
        """Return what the epochs so far have left; plain numbers."""
        return {"best": self.best, "anchor": self._anchor, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.best, self._anchor, self._waited = state["best"], state["anchor"], state["waited"]

    def _score(self, row: Row) -> tuple[float, float]:
        value = row[self.monitor]
        return (-value if lower_is_better(self.monitor) else value), -row["val_loss"]

    @property
    def should_stop(self) -> bool:
        """Whether ``patience`` epochs have passed without a better one."""
        return self._waited >= self.patience
