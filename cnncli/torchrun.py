"""Which of torchrun's processes this is, from its environment; light."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cnncli.errors import CnncliError

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@dataclass(frozen=True)
class Place:
    """A process among those that train together.

    Attributes:
        rank: From 0, over all machines.
        size: Processes on all machines.
        local_rank: From 0, on this machine.
        local_size: Processes on this machine.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int


def read_place() -> Place | None:
    """Return this process's place; None where no launcher has given it one.

    Raises:
        CnncliError: If the environment holds something else than torchrun puts there.
    """
    if not all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR")):
        return None
    try:
        rank, size, local_rank, local_size = (int(os.environ[name]) for name in _NAMES)
    except (KeyError, ValueError):
        raise CnncliError(
            f"RANK and WORLD_SIZE are set, so {', '.join(_NAMES)} must all be numbers; start the "
            "processes with torchrun, or unset RANK"
        ) from None
    return Place(rank, size, local_rank, local_size)


def is_follower() -> bool:
    """Tell whether another process than this one speaks for all."""
    return "MASTER_ADDR" in os.environ and os.environ.get("RANK", "0") != "0"
