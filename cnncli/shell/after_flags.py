"""The flags that say what a command makes from a run when it has finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnncli.run.afters import After


@dataclass(frozen=True)
class WantedAfters:
    """What is wanted of that."""

    def load(self) -> list[After]:
        """Return what makes it; what that imports is heavy."""
        return []
