"""Imports ONNX Runtime without what it says about graphics cards."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any, BinaryIO

_WARNING = b"[W:onnxruntime"
_STDERR = 2


def load_onnxruntime() -> Any:
    """Return ONNX Runtime.

    As it is imported, it looks for graphics cards, and on many machines of a cloud it warns that it
    cannot read a file of one. That concerns nobody who computes on the CPU, and no setting turns it
    off.

    Raises:
        ImportError: If it is not installed, or does not load.

    Source: https://github.com/microsoft/onnxruntime/issues/26763
    """
    with nullcontext() if "onnxruntime" in sys.modules else _without_warnings():
        import onnxruntime
    return onnxruntime


def _open_memory() -> BinaryIO:
    """Open a file without a name, in memory where the system has that.

    Raises:
        OSError: If there is no folder for temporary files.
    """
    with suppress(AttributeError, OSError):  # only Linux has it, and some sandboxes refuse it
        return open(os.memfd_create("stderr"), "w+b")
    import tempfile

    return tempfile.TemporaryFile()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hold back what C++ writes to stderr inside the context; all but the warnings follow then."""
    with ExitStack() as opened:
        try:
            held = opened.enter_context(_open_memory())
            stderr = os.dup(_STDERR)
        except OSError:  # stderr is closed, or there is no folder for temporary files
            yield
            return
        opened.callback(os.close, stderr)
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(stderr, _STDERR)
        held.seek(0)
        for line in held:
            if _WARNING not in line:
                os.write(stderr, line)
