"""The entry point of ``cnncli`` and of ``python -m cnncli``."""

import signal
import sys


def main() -> None:
    """Run the app. Ctrl-C ends it without a traceback, also while Python starts and ends.

    An interrupt within an import can also be lost: Python drops what is raised in the callbacks of
    its import locks.
    """
    handler = signal.getsignal(signal.SIGINT)
    is_ours = handler is signal.default_int_handler  # a shell's background job ignores the signal
    if is_ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # it ends the process; a shell sees 130
    from cnncli.cli import main as run_app
    from cnncli.errors import INTERRUPTED

    try:
        if is_ours:
            signal.signal(signal.SIGINT, handler)
        run_app()
    except KeyboardInterrupt:  # before the app listens, or after
        sys.exit(INTERRUPTED)
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
