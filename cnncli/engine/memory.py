"""Bounds the memory that a network of unknown origin may ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

# At least so many bytes are left to a network, however small the machine is.
_LEAST = 4 * 2**30


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Let this process take half of the machine's memory at most, on top of what it has.

    A small file can ask for a tensor of any size. On Linux, what goes beyond the bound fails then,
    as if there were no more memory; other systems have no such bound.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    try:  # before each batch: it is to take no time
        with open("/proc/self/statm", "rb", buffering=0) as file:
            pages = int(file.read(64).split()[0])
    except (OSError, ValueError):
        yield
        return
    bound = pages * os.sysconf("SC_PAGE_SIZE") + _find_most()
    tighter = [value for value in before if value != resource.RLIM_INFINITY]
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (min([bound, *tighter]), before[1]))
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, before)


@cache
def _find_most() -> int:
    """Return half of the bytes of memory of this machine, or of its container."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(_LEAST, min(machine, _container_memory()) // 2)


def _container_memory() -> int:
    """Return the most bytes that this container may have; without a limit, a very large number."""
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # no container, or "max"
        return 2**62
