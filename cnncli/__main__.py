"""The entry point of ``cnncli`` and of ``python -m cnncli``."""

import atexit
import gc
import os
import signal
import sys
import threading
from typing import NoReturn


def main() -> None:
    """Run the app. Ctrl-C ends it without a traceback, also while Python starts and ends.

    An interrupt within an import can also be lost: Python drops what is raised in the callbacks of
    its import locks.
    """
    handler = signal.getsignal(signal.SIGINT)
    is_ours = handler is signal.default_int_handler  # a shell's background job ignores the signal
    if is_ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # it ends the process; a shell sees 130
    gc.disable()  # what is imported stays: to look through it again and again takes a while
    from cnncli.cli import main as run_app
    from cnncli.errors import INTERRUPTED

    gc.enable()

    code: int | str | None = 0
    try:
        if is_ours:
            signal.signal(signal.SIGINT, handler)
        run_app()
    except SystemExit as error:  # the app's own end; a bug goes the long way, with its traceback
        code = error.code
    except KeyboardInterrupt:  # before the app listens, or after
        code = INTERRUPTED
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    _leave(code)


def _leave(code: int | str | None) -> NoReturn:
    """End the process without taking apart what is loaded.

    Python frees every object at its end. With torch that takes a second, and three on a busy
    machine; after one image that ONNX Runtime has answered, it is a tenth of all the work. Threads
    are waited for and exit functions are called here as Python does it.
    """
    if not _is_watched() and (code is None or isinstance(code, int)):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            sys.exit(code)  # Python says what is wrong with them
        os._exit(code or 0)
    sys.exit(code)


def _is_watched() -> bool:
    """Return whether a profiler, a debugger or coverage runs this, which saves what it saw last."""
    monitoring = getattr(sys, "monitoring", None)  # since Python 3.12
    tools = () if monitoring is None else map(monitoring.get_tool, range(6))
    return any(tool is not None for tool in (sys.gettrace(), sys.getprofile(), *tools))


if __name__ == "__main__":
    main()
