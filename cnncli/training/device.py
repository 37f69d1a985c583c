"""Where and how a run computes: device, precision, threads."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cnncli.choices import Precision
from cnncli.errors import CnncliError
from cnncli.training.cores import most_threads
from cnncli.training.distributed import ALONE, World

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Environment variable that says whether the CPU computes bfloat16 natively, 1 or 0; without it the
# processor is asked.
BF16_SWITCH = "CNNCLI_CPU_BF16"
# What torch begins with: the physical cores, of which the system may count each as two.
_TORCH_THREADS = torch.get_num_threads()


@dataclass(frozen=True)
class Compute:
    """A device and the precision used on it.

    Attributes:
        device: The device that holds network and batches.
        precision: ``fp32``, ``bf16`` or ``fp16``; the latter two through autocast.
        world: The processes that train together.
        exact: Whether convolutions in ``fp32`` are really computed in float32 on CUDA. By default
            torch lets cuDNN round their factors to TF32, which has 10 bits of mantissa.
    """

    device: torch.device
    precision: str
    world: World = ALONE
    exact: bool = False

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which the network has to run."""
        if self.precision != "fp32":
            return torch.autocast(self.device.type, dtype=_DTYPES[self.precision])
        return _without_tf32() if self.exact else nullcontext()

    def for_evaluation(self) -> Compute:
        """Return the same device computing in exact float32.

        In this precision all devices give the same figures, to rounding: a result must not depend
        on the machine that computes it.
        """
        return replace(self, precision="fp32", exact=True)


def choose_compute(device: str, precision: Precision, world: World = ALONE) -> Compute:
    """Choose device and precision, and give torch as many threads as it may have.

    Args:
        device: ``auto`` (CUDA if there is a GPU, else MPS, else CPU), or a name of torch's such as
            ``cuda:1``.
        precision: ``auto`` takes the fastest one that the hardware computes natively.
        world: The processes that train together; each takes the GPU of its number on the machine.

    Raises:
        CnncliError: If there is no such device, or it cannot compute in that precision.
    """
    chosen = _find_device(device)
    if world.joined and chosen.type == "cuda":
        if ":" in device and world.local_size > 1:
            raise CnncliError(
                f"--device {device}: {world.local_size} processes take a GPU each; use cuda, and "
                "CUDA_VISIBLE_DEVICES to choose among them"
            )
        chosen = torch.device("cuda", world.local_rank)
    if world.size > 1 and chosen.type == "mps":
        raise CnncliError("--device mps: for one process only; use cpu")
    torch.set_num_threads(bound_threads(world.local_size))
    if precision == "auto":
        return Compute(chosen, _native_precision(chosen), world)
    if precision == "fp16" and chosen.type == "cpu":
        raise CnncliError("--precision fp16: needs a GPU; on a CPU use bf16 or fp32")
    return Compute(chosen, precision, world)


def bound_threads(processes: int = 1) -> int:
    """Return the largest number of threads that torch gets in this process without being asked.

    Torch's own number is that of the machine's physical cores, even in a container that may use
    only two of them. ``OMP_NUM_THREADS`` is an upper bound.

    Args:
        processes: Number of processes that share the cores of this machine.
    """
    return min(_TORCH_THREADS, most_threads(processes))


def choose_evaluation_compute(device: str, precision: Precision | None, world: World) -> Compute:
    """Choose device and precision for evaluation and prediction.

    Args:
        device: The device, as :func:`choose_compute` takes it.
        precision: The precision that the user asked for; None for exact float32.
        world: The processes that work together.

    Raises:
        CnncliError: If there is no such device, or it cannot compute in that precision.
    """
    compute = choose_compute(device, precision or "fp32", world)
    return compute.for_evaluation() if precision is None else compute


def _find_device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise CnncliError(f"--device {name}: use auto, cpu, cuda, cuda:N or mps")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise CnncliError(f"--device {name}: torch sees {count} CUDA devices here; use cpu or auto")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise CnncliError("--device mps: torch sees no Apple GPU here; use cpu or auto")
    return device


def _native_precision(device: torch.device) -> str:
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return "bf16" if major >= 8 else "fp16" if major >= 7 else "fp32"
    if device.type == "cpu" and cpu_has_bf16():
        return "bf16"
    return "fp32"


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Let cuDNN compute convolutions in float32; by default torch lets it round their factors."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def cpu_has_bf16() -> bool:
    """Return whether the CPU computes bfloat16 natively; emulated, it is slower than float32."""
    if (switch := os.environ.get(BF16_SWITCH)) in ("0", "1"):
        return switch == "1"
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def keep_freed_memory() -> None:
    """Let glibc reuse the memory that tensors free, instead of returning it to the kernel.

    Every batch needs blocks of the same large sizes. By default the kernel maps, zeroes and unmaps
    each of them every time.

    Source: mallopt(3), M_MMAP_MAX and M_TRIM_THRESHOLD.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # not glibc
        return
    mallopt(-4, 0)  # M_MMAP_MAX: no block by mmap
    mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: give nothing back before exit


@contextmanager
def deterministic_algorithms(device: torch.device) -> Iterator[None]:
    """Make cuDNN choose the same kernels each time; a CPU needs nothing to be deterministic."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
