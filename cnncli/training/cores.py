"""How many cores this process may use; read without torch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def count_cpus() -> int:
    """Return how many cores this process may use, by its affinity and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min([cores or 1, *(max(1, round(quota)) for quota in find_quotas())])


def most_threads(processes: int = 1) -> int:
    """Return the largest number of threads that torch should have in this process.

    It is the process's share of the cores, and not above ``OMP_NUM_THREADS``.

    Args:
        processes: Number of processes that share the cores of this machine.
    """
    share = max(1, count_cpus() // processes)
    asked = re.match(r"\s*0*([1-9]\d{0,5})", os.environ.get("OMP_NUM_THREADS", ""))
    return share if asked is None else min(share, int(asked[1]))


def find_quotas(cgroups: Path = _CGROUPS, own: Path = _OWN_GROUPS) -> Iterator[float]:
    """Yield the quotas of this process's control groups, in cores; nothing where there is no limit.

    A group's quota holds for all groups inside it, so those above the process's own are read too.
    In a container the tree often begins at the container's own group, whatever path the process
    is told.

    Args:
        cgroups: Where the control groups are mounted.
        own: File of the groups that the process is in: a line ``number:controllers:path`` each.
    """
    try:
        lines = own.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    places = {cgroups, cgroups / "cpu", cgroups / "cpu,cpuacct"}
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        for root in (cgroups / controllers, cgroups / "cpu") if controllers else (cgroups,):
            inner = Path(path.lstrip("/"))
            places |= {root / part for part in (inner, *inner.parents)}
    for place in places:
        if quota := _read_quota(place):
            yield quota


def _read_quota(group: Path) -> float | None:
    """Return the quota of one control group, in cores; None for no limit.

    Source: the kernel's documentation of cgroup v2 (``cpu.max``) and of v1 (``cpu.cfs_quota_us``).
    """
    try:
        texts = (group / "cpu.max").read_text().split()
    except OSError:
        try:
            texts = [(group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
        except OSError:
            return None
    try:
        quota, period = (int(text) for text in texts)
    except ValueError:  # cpu.max: max
        return None
    return quota / period if quota > 0 and period > 0 else None
