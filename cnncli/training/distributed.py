"""Training in several processes: torchrun starts them, torch.distributed connects them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from cnncli.arrays import Array
from cnncli.errors import RUNTIME_FAILURE, CnncliError, ReportedElsewhereError, count_of
from cnncli.torchrun import Place, read_place

# A process that is alone never needs torch here: `predict` asks for it, and runs without.
if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")

# A process may read images, or write a checkpoint, while the others wait for it.
_PATIENCE = timedelta(hours=1)
# Seconds that processes with an error wait for the one that prints it: torchrun ends all processes
# as soon as the first has ended.
_SECONDS_TO_REPORT = 2.0


@dataclass(frozen=True)
class World:
    """The processes that train together, and what they send to each other.

    A process that was not started by torchrun is alone and never uses torch.distributed.

    Attributes:
        rank: This process's number among all, from 0.
        size: Number of processes on all machines.
        local_rank: This process's number on its machine, from 0; it takes the GPU of that number.
        local_size: Number of processes on this machine.
        joined: Whether torch.distributed connects the processes, even if this is the only one.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    joined: bool = field(default=False, compare=False)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes the files and prints for all."""
        return self.rank == 0

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum a tensor over all processes, in place; all get exactly the same sum."""
        if self.joined:
            from torch import distributed

            distributed.all_reduce(tensor)
        return tensor

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, in the order of their ranks, to each of them."""
        if not self.joined:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def from_first(self, value: T) -> T:
        """Return the value that rank 0 has given, to all processes."""
        if not self.joined:
            return value
        from torch import distributed

        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def copy_buffers(self, module: nn.Module) -> None:
        """Give a module's buffers, such as BatchNorm's statistics, the values of rank 0."""
        if self.joined:
            from torch import distributed

            for buffer in module.buffers():
                distributed.broadcast(buffer, src=0)

    def barrier(self) -> None:
        """Wait until all processes have come to this call."""
        self.gather(None)

    def slice(self, items: Array) -> Array:
        """Return this process's part of N items: consecutive ones, N / size rounded up or down.

        Where there are fewer items than processes, some parts are empty.
        """
        return items[
            len(items) * self.rank // self.size : len(items) * (self.rank + 1) // self.size
        ]


ALONE = World()


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """Connect this process with the others that torchrun has started.

    Only one process prints an error, even if all of them meet it.

    Args:
        device: The device as the user named it: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Yields:
        The processes; this one alone where torchrun has not started it.

    Raises:
        CnncliError: If the processes cannot be connected, or one of them has died.
        ReportedElsewhereError: In place of the error, in the processes that do not print it.
    """
    place = read_place()
    if place is None:
        yield ALONE
        return
    from torch import distributed

    store = _join(place, device)
    try:
        yield World(place.rank, place.size, place.local_rank, place.local_size, joined=True)
    except (CnncliError, OSError, RuntimeError) as error:
        shown = _explain(error, place.rank)
        if not _is_first_to_report(store):
            time.sleep(_SECONDS_TO_REPORT)
            raise ReportedElsewhereError(getattr(shown, "exit_code", RUNTIME_FAILURE)) from None
        shown.told_by_one = True  # type: ignore[attr-defined]
        if shown is error:
            raise
        raise shown from error
    # Not after an error: NCCL would wait for processes that are stuck.
    distributed.destroy_process_group()


def _join(place: Place, device: str) -> Any:
    """Connect the processes; return the store of keys and values that they share."""
    import torch
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    backend = "gloo"
    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        if not torch.cuda.is_available():
            raise CnncliError(f"--device {device}: torch sees 0 CUDA devices here; use cpu or auto")
        if place.local_size > torch.cuda.device_count():
            raise CnncliError(
                f"{count_of(place.local_size, 'process')} on a machine with "
                f"{count_of(torch.cuda.device_count(), 'GPU')}: "
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
    """Return the error to show to the user; one that is a bug is returned unchanged."""
    from torch import distributed

    text = str(error).lower()
    lost = isinstance(error, distributed.DistError) or "gloo" in text or "nccl" in text
    if isinstance(error, RuntimeError) and lost:
        return CnncliError(
            f"rank {rank} has lost the other processes: one of them was killed or is no longer "
            "reached, so all end; go on with as many: torchrun … -m cnncli train --resume last",
            exit_code=RUNTIME_FAILURE,
        )
    return error


def _is_first_to_report(store: Any) -> bool:
    """Return whether no other process has met an error before."""
    try:
        return int(store.add("cnncli/errors", 1)) == 1
    except RuntimeError:  # the process that kept the store has died
        return True
