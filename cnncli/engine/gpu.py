"""Whether this machine may have a GPU that torch could use, asked without torch."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path


def may_have_gpu() -> bool:
    """Return whether there may be one; torch then finds out.

    A driver without a card is taken for one, never a card for none: what needs a card asks torch.
    """
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1"):
        return False
    if sys.platform == "win32":
        import shutil

        return shutil.which("nvcuda.dll") is not None or shutil.which("nvidia-smi") is not None
    # NVIDIA's driver, its form inside Windows' Linux, and AMD's.
    places = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    return any(Path(place).exists() for place in places)
