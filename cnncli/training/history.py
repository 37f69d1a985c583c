"""``metrics.csv``, one row per epoch, and early stopping by these rows."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
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
    "val_calibrated_loss",
    "temperature",
    "kept",
    "stage",
    "threads",
)
# A column of those runs whose classes are grades; empty where it is undefined.
KAPPA = "val_quadratic_kappa"
# Columns that differ when the same run is repeated: they are of the machine and of the moment.
TIME_COLUMNS = ("seconds", "images_per_second", "threads")
# The loss on val after the temperature, which chooses the best epoch by default.
CALIBRATED_LOSS = "val_calibrated_loss"
# Columns by which the best epoch can be chosen.
MONITORS = tuple(name for name in COLUMNS if name.startswith("val_"))

Row = dict[str, Any]
OnEpoch = Callable[[Row], object]


class StopRun(Exception):  # noqa: N818 - it is no error
    """Raised by an ``on_epoch`` function to end a run: what was trained so far is enough."""


class History:
    """The rows of a run's ``metrics.csv``.

    Attributes:
        path: The file.
        rows: A row per epoch, from epoch 1 on, and before them row 0 of a head that was fitted; its
            keys are the columns, without ``stage`` or ``threads`` in the rows of old runs.
    """

    def __init__(self, path: Path) -> None:
        """Begin without rows.

        Args:
            path: The file to write.
        """
        self.path = path
        self.rows: list[Row] = []

    def append(self, row: Row) -> None:
        """Add an epoch's row; its keys must be the columns, with or without kappa.

        Raises:
            ValueError: If they are not.
        """
        if set(row) - {KAPPA} != set(COLUMNS):
            raise ValueError(f"not a row of metrics.csv: {sorted(set(row) ^ set(COLUMNS))}")
        self.rows.append(row)

    def write(self) -> None:
        """Write all rows.

        Raises:
            CnncliError: If the file cannot be written; it is unchanged then.
        """
        write_atomically(self.path, self._write)

    def _write(self, part: Path) -> None:
        columns = (*COLUMNS, KAPPA) if any(KAPPA in row for row in self.rows) else COLUMNS
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(
                [_plain(row.get(column, "")) for column in columns] for row in self.rows
            )


def _plain(value: float | str | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def lower_is_better(column: str) -> bool:
    """Return whether a column is a loss; of all other columns a higher value is better."""
    return column.endswith("loss")


class EarlyStopping:
    """Keeps the best epoch by a monitored column, and stops a run that gets no better.

    By the loss of each val image an epoch takes the place of those before it unless it is clearly
    worse than the best of them, by more than one standard error of the difference: a few dozen
    images cannot tell neighbouring epochs apart, and the last ones have the lowest learning rate.
    By a column alone the best value decides; if two epochs are equal in it, which is common on a
    small val split, the one with the lower ``val_loss`` is better.

    Attributes:
        monitor: The column that decides.
        patience: Number of epochs without a better one after which the run should stop.
        min_delta: By how much an epoch must be better to end the wait.
        best: The row of the best epoch, which is kept; None before the first epoch.

    Source: of the rule of one standard error, Breiman et al., Classification and Regression Trees,
    1984, section 3.4.3.
    """

    def __init__(self, monitor: str, patience: int, min_delta: float = 0.0) -> None:
        """Set which column decides, and when to stop.

        Args:
            monitor: One of ``MONITORS``, or ``KAPPA``.
            patience: Number of epochs without a better one after which the run should stop.
            min_delta: By how much an epoch must be better than the one at which the count of
                epochs began, for the count to begin again. Any better epoch becomes ``best``.
        """
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.best: Row | None = None
        self._anchor: float | None = None
        self._waited = 0
        self._lowest: list[float] | None = None

    def update(self, row: Row, losses: Sequence[float] | None = None) -> bool:
        """Take the row of an epoch, and return whether it is the best so far.

        Args:
            row: The row.
            losses: (N,) the monitored loss of each val image; None to go by the column alone.
        """
        if losses is None:
            better = self.best is None or self._score(row) > self._score(self.best)
        else:
            better = self._is_as_good(list(losses))
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

    def _is_as_good(self, losses: list[float]) -> bool:
        """Return whether an epoch is not clearly worse than the one with the lowest loss so far."""
        import numpy as np  # here, so that commands can read run folders without waiting for it

        difference = np.subtract(losses, losses if self._lowest is None else self._lowest)
        if self._lowest is None or difference.mean() < 0:
            self._lowest = losses
            return True
        if len(losses) == 1:
            return False
        error = difference.std(ddof=1) / math.sqrt(len(losses))
        return bool(difference.mean() <= error)

    def state_dict(self) -> dict[str, Any]:
        """Return the state after the epochs so far, as plain numbers and a row."""
        return {
            "best": self.best,
            "anchor": self._anchor,
            "waited": self._waited,
            "lowest": self._lowest,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        self.best, self._anchor, self._waited = state["best"], state["anchor"], state["waited"]
        self._lowest = state.get("lowest")  # older states have none

    def _score(self, row: Row) -> tuple[float, float]:
        """Return two numbers by which epochs are compared; higher is better."""
        value = row.get(self.monitor, -math.inf)  # kappa may be undefined
        return (-value if lower_is_better(self.monitor) else value), -row["val_loss"]

    @property
    def should_stop(self) -> bool:
        """Whether the last ``patience`` epochs were no better."""
        return self._waited >= self.patience
