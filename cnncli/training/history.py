"""``metrics.csv``: one row per epoch, written as it ends."""

from __future__ import annotations

import csv
from pathlib import Path

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
# What the best checkpoint may be chosen by.
MONITORS = tuple(name for name in COLUMNS if name.startswith("val_"))

Row = dict[str, float]


class StopRun(Exception):  # noqa: N818 - it is no error
    """Raised by who watches a run, after an epoch: what was trained so far is enough."""


class History:
    """The rows of a run's ``metrics.csv``; each is on disk before the next epoch begins."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")

    def append(self, row: Row) -> None:
        """Add one epoch's row; its keys are the columns."""
        if set(row) != set(COLUMNS):
            raise ValueError(f"not a row of metrics.csv: {sorted(set(row) ^ set(COLUMNS))}")
        self.rows.append(row)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([_plain(row[column]) for column in COLUMNS])


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


class EarlyStopping:
    """Keeps the best epoch by a monitored column and counts the epochs since.

    Where a column other than the loss is equal, which is common on a small val split, the lower
    ``val_loss`` decides.

    Attributes:
        best: The best epoch's row, None before the first epoch.
    """

    def __init__(self, monitor: str, patience: int) -> None:
        self.monitor = monitor
        self.patience = patience
        self.best: Row | None = None
        self._waited = 0

    def update(self, row: Row) -> bool:
        """Take an epoch's row; return whether it is the best so far."""
        better = self.best is None or self._score(row) > self._score(self.best)
        self._waited = 0 if better else self._waited + 1
        if better:
            self.best = row
        return better

    def _score(self, row: Row) -> tuple[float, float]:
        value = row[self.monitor]
        return (-value if self.monitor.endswith("loss") else value), -row["val_loss"]

    @property
    def should_stop(self) -> bool:
        """Whether ``patience`` epochs have passed without a better one."""
        return self._waited >= self.patience
