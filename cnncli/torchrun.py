"""Which of the processes started by torchrun this is, read from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cnncli.errors import CnncliError

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@dataclass(frozen=True)
class Place:
    """The place of a process among those that train together.

    Attributes:
        rank: Number of the process over all machines, from 0.
        size: Number of processes on all machines.
        local_rank: Number of the process on its machine, from 0.
        local_size: Number of processes on its machine.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int


def read_place() -> Place | None:
    """Return this process's place; None if torchrun has not started it.

    Raises:
        CnncliError: If the environment variables are not those that torchrun sets.
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
    """Return whether another process than this one prints for all of them."""
    return "MASTER_ADDR" in os.environ and os.environ.get("RANK", "0") != "0"
