"""A folder whose path is short enough for the sockets between loader processes.

multiprocessing puts these sockets below ``TMPDIR``, and the path of a UNIX socket has at most 107
bytes (103 on macOS). On clusters ``TMPDIR`` often is too long for that; batches then never arrive,
and the run waits for ever.
"""

from __future__ import annotations

import os
import tempfile
from multiprocessing import util

from cnncli.errors import CnncliError

# Bytes that multiprocessing adds to the folder: /pymp-xxxxxxxx/listener-xxxxxxxx
_ADDED = 32
_LONGEST = 103
_SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def choose_socket_folder(workers: int) -> None:
    """Let multiprocessing use a folder with a short path, if that of ``TMPDIR`` is too long.

    It must be called before the first loader process is started. The folder is removed at exit.

    Args:
        workers: Number of loader processes, for the message.

    Raises:
        CnncliError: If there is no folder with a short path that can be written to.
    """
    given = tempfile.gettempdir()
    if os.name == "nt" or _is_short(given):
        return
    folder = next((f for f in _SHORT_FOLDERS if os.access(f, os.W_OK | os.X_OK)), None)
    if folder is None:
        raise CnncliError(
            f"--workers {workers}: loader processes need a temporary folder whose path has at most "
            f"{_LONGEST - _ADDED} bytes, and TMPDIR is {given}; set a shorter one, or --workers 0"
        )
    tempfile.tempdir = folder
    try:
        util.get_temp_dir()  # makes a folder of this process's own, which its children use too
    finally:
        tempfile.tempdir = given


def _is_short(folder: str) -> bool:
    return len(os.fsencode(folder)) + _ADDED <= _LONGEST
