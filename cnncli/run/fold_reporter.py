"""What the runs of a cross-validation say, so that a person sees which fold it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from cnncli.reporting import Advance, Reporter, TableLayout


class FoldReporter:
    """Puts the fold in front of each line, and says only once what holds for all folds.

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
        self._said: set[str] = set()
        self._has_rows = False

    @property
    def _place(self) -> str:
        return f"{self.fold}/{self._folds}"

    def note(self, text: str) -> None:
        if self._is_news(text):
            self._reporter.note(f"fold {self._place}: {text}")

    def warn(self, text: str) -> None:
        if self._is_news(text):
            self._reporter.warn(f"fold {self._place}: {text}")

    def _is_news(self, text: str) -> bool:
        is_news = text not in self._said
        self._said.add(text)
        return is_news

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
        self._has_rows = True
        cells = {"fold": self._place, **cells}
        self._reporter.row(cells, f"fold {self._place}  {text}", drop=drop)

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        return self._reporter.progress(f"fold {self._place} {label}", total)
