"""Training in several processes: torchrun starts them, torch.distributed joins them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.distributed.rendezvous import rendezvous

from cnncli.arrays import Array
from cnncli.errors import RUNTIME_FAILURE, CnncliError, ToldElsewhereError
from cnncli.torchrun import Place, read_place

T = TypeVar("T")

# A process may read images, or write a checkpoint, while the others wait for it.
_PATIENCE = timedelta(hours=1)
# So long the others leave to the one that tells an error: torchrun ends all with the first.
_SECONDS_TO_TELL = 2.0


@dataclass(frozen=True)
class World:
    """The processes that train together; a world of one never reaches torch.distributed.

    Attributes:
        rank: This process's number, from 0.
        size: Processes in all.
        local_rank: This process's number on its machine, which is that of its GPU.
        local_size: Processes on this machine.
        joined: Whether there are processes to talk to, be it this one alone.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    joined: bool = field(default=False, compare=False)

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum a tensor over all processes, in place; each gets the same bits."""
        if self.joined:
            distributed.all_reduce(tensor)
        return tensor

    def gather(self, value: T) -> list[T]:
        """Return every process's value, by rank, to all of them."""
        if not self.joined:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def from_first(self, value: T) -> T:
        """Return the value that rank 0 has."""
        if not self.joined:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def copy_buffers(self, module: nn.Module) -> None:
        """Give a module's buffers, such as BatchNorm's statistics, the values of rank 0."""
        if self.joined:
            for buffer in module.buffers():
                distributed.broadcast(buffer, src=0)

    def barrier(self) -> None:
        """Wait until all have come here."""
        self.gather(None)

    def slice(self, items: Array) -> Array:
        """Return this process's part: in a row, of the same length up to one; some may be empty."""
        return items[
            len(items) * self.rank // self.size : len(items) * (self.rank + 1) // self.size
        ]


ALONE = World()


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """Join the processes that torchrun has started with this one; without it, a world of one.

    An error that one process or all of them meet is told by one.

    Args:
        device: As ``--device`` names it.

    Raises:
        CnncliError: If the processes cannot be joined, or one of them has gone.
    """
    place = read_place()
    if place is None:
        yield ALONE
        return
    store = _join(place, device)
    try:
        yield World(place.rank, place.size, place.local_rank, place.local_size, joined=True)
    except (CnncliError, OSError, RuntimeError) as error:
        told = _explain(error, place.rank)
        if not _is_first_to_tell(store):
            time.sleep(_SECONDS_TO_TELL)
            raise ToldElsewhereError(getattr(told, "exit_code", RUNTIME_FAILURE)) from None
        told.told_by_one = True  # type: ignore[attr-defined]
        if told is error:
            raise
        raise told from error
    # Not after an error: where others are stuck, NCCL would wait for them.
    distributed.destroy_process_group()


def _join(place: Place, device: str) -> Any:
    backend = "gloo"
    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        if not torch.cuda.is_available():
            raise CnncliError(f"--device {device}: torch sees 0 CUDA devices here; use cpu or auto")
        if place.local_size > torch.cuda.device_count():
            raise CnncliError(
                f"{place.local_size} processes on a machine with {torch.cuda.device_count()} GPUs: "
                "each process takes a GPU of its own; start fewer (--nproc-per-node gpu)"
            )
        torch.cuda.set_device(place.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    try:
        store, rank, size = next(rendezvous("env://", timeout=_PATIENCE))
        distributed.init_process_group(
            backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE
        )
    except (RuntimeError, ValueError) as error:
        first = str(error).split("\n")[0]
        raise CnncliError(
            f"the {place.size} processes cannot be joined at {os.environ['MASTER_ADDR']}: {first}",
            exit_code=RUNTIME_FAILURE,
        ) from error
    return store


def _explain(error: Exception, rank: int) -> Exception:
    """Return an error as the user is to see it; a bug stays as it is."""
    text = str(error).lower()
    lost = isinstance(error, distributed.DistError) or "gloo" in text or "nccl" in text
    if isinstance(error, RuntimeError) and lost:
        return CnncliError(
            f"rank {rank} has lost the other processes: one of them was killed or is no longer "
            "reached, so all end; go on with as many: torchrun … -m cnncli train --resume last",
            exit_code=RUNTIME_FAILURE,
        )
    return error


def _is_first_to_tell(store: Any) -> bool:
    try:
        return int(store.add("cnncli/errors", 1)) == 1
    except RuntimeError:  # it has gone with the process that kept it
        return True
