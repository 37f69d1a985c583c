"""What the runs of a cross-validation say, so that a person sees which fold it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from cnncli.reporting import Advance, Reporter, TableLayout


class FoldReporter:
    """Puts the fold in front of each line, and leaves out remarks that an earlier fold has made.

    That holds for remarks before a fold trains, which are mostly of the settings and the images.
    What happens while it trains is the fold's own, and so is a warning, also in the same words.

    Attributes:
        fold: The fold that trains now, from 1.
    """

    def __init__(self, reporter: Reporter, folds: int) -> None:
        """Wrap a reporter.

        Args:
            reporter: Shows what is not left out.
            folds: Number of folds.
        """
        self.fold = 1
        self._reporter, self._folds = reporter, folds
        self._said: set[str] = set()  # by earlier folds
        self._says: set[str] = set()  # by this one
        self._has_rows, self._trains = False, False

    @property
    def _place(self) -> str:
        return f"{self.fold}/{self._folds}"

    def begin(self, fold: int) -> None:
        """Speak for another fold from now on."""
        self.fold, self._trains = fold, False
        self._said |= self._says

    def note(self, text: str) -> None:
        if self._trains or text not in self._said:
            self._says.add(text)
            self._reporter.note(f"fold {self._place}: {text}")

    def warn(self, text: str) -> None:
        self._reporter.warn(f"fold {self._place}: {text}")

    def table(
        self,
        title: str,
        rows: Sequence[Mapping[str, object]],
        layout: TableLayout | None = None,
    ) -> None:
        """Show what the first fold says before it trains; all folds are laid out at the end."""
        if not self._has_rows:
            self._reporter.table(title, rows, layout)

    def row(self, cells: Mapping[str, str], text: str, *, drop: Sequence[str] = ()) -> None:
        self._has_rows = self._trains = True
        cells = {"fold": self._place, **cells}
        self._reporter.row(cells, f"fold {self._place}  {text}", drop=drop)

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        return self._reporter.progress(f"fold {self._place} {label}", total)
