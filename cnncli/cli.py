"""The app: its commands and their help, the boundary for errors, ``--version`` and ``--debug``."""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from cnncli import __version__, commands
from cnncli.choices.spelling import find_choice
from cnncli.errors import (
    HUNG_UP,
    INTERRUPTED,
    RUNTIME_FAILURE,
    TERMINATED,
    CnncliError,
    ReportedElsewhereError,
    did_you_mean,
)
from cnncli.reporting import show_controls
from cnncli.shell.command import FLAG_HINTS, build_command, convert_late
from cnncli.shell.help import list_sections, write_sections
from cnncli.shell.terminal import print_error, print_line
from cnncli.torchrun import is_follower

# Typer has carried its own Click since 0.26; its base error is reached without naming either.
_ClickError: type[Exception] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)


class LazyCommand(TyperCommand):
    """A row of the table of commands; its module is imported when the command is asked for."""

    def __init__(self, name: str, entry: commands.Entry) -> None:
        super().__init__(name, short_help=entry.summary)
        self._entry = entry

    def load(self) -> Any:
        """Import the command's module and return the command itself."""
        return build_command(str(self.name), self._entry.load())

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Let the command itself read the arguments; Typer then goes on with that one."""
        return self.load().make_context(*args, **extra)


class App(TyperGroup):
    """The commands, and the boundary for errors.

    What a user can mend becomes one line and an exit code; a bug keeps its traceback.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, entry in commands.TABLE.items():
            self.add_command(LazyCommand(name, entry))

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as Typer asks for them before it reads their values."""
        return convert_late(super().get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write all commands in their groups, then the flags."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, entry in commands.TABLE.items():
            groups.setdefault(entry.group, []).append((name, entry.summary))
        write_sections(formatter, list(groups.items()))
        write_sections(formatter, list_sections(self.get_params(ctx), ctx))

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
            sys.stdout.flush()
        except ReportedElsewhereError:
            raise
        except SystemExit as error:
            # Typer catches a closed pipe before us and calls it a failure.
            code = 0 if isinstance(error.__context__, BrokenPipeError) else error.code
        except (CnncliError, OSError) as error:
            _let_rank_zero_report(error)
            sys.exit(_show_error(error))
        except _ClickError as error:
            _let_rank_zero_report(error)
            code = _show_usage_error(error)
        except (KeyboardInterrupt, typer.Abort) as error:
            if isinstance(error.__cause__, EOFError):  # Typer's Abort covers it up; it is a bug
                raise error.__cause__ from None
            code = INTERRUPTED
        if code in _SIGNALS and not is_follower():
            print_error(_SIGNALS[code])
        sys.exit(code if isinstance(code, int) else 0)


def _let_rank_zero_report(error: Exception) -> None:
    """Wait while rank 0 reports an error that all of torchrun's processes meet.

    When rank 0 exits, torchrun ends the others, so that the user reads the error once.
    """
    if is_follower() and not getattr(error, "told_by_one", False):
        time.sleep(_SECONDS_FOR_RANK_ZERO)


# Processes do not start that far apart. After it, an error that rank 0 did not meet is printed.
_SECONDS_FOR_RANK_ZERO = 10
_SIGNALS = {INTERRUPTED: "interrupted", TERMINATED: "terminated", HUNG_UP: "terminal closed"}


def _show_error(error: CnncliError | OSError) -> int:
    """Print an error that the user can mend and return the exit code; raise any other again."""
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return 0  # the reader has what it wanted: `cnncli predict … | head -1`
    if "--debug" in sys.argv[1:]:
        raise error
    if isinstance(error, CnncliError):
        print_error(str(error))
        return error.exit_code
    if error.strerror is None:  # raised by a library, not by the system
        raise error
    print_error(f"{error.filename or 'output'}: {error.strerror}")
    _drop_output()
    return RUNTIME_FAILURE


def _drop_output() -> None:
    """Send what is still buffered nowhere, so that closing stdout does not fail once more."""
    with suppress(OSError):  # a stdout that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_usage_error(error: Any) -> int:
    message = error.format_message().replace("Value error, ", "")  # pydantic's, inside Typer's
    context = getattr(error, "ctx", None)
    wrong = getattr(error, "option_name", None)
    if context is not None and isinstance(wrong, str) and message.startswith("No such"):
        known = [name for p in context.command.get_params(context) for name in p.opts]
        flags = [name for name in (*known, "--help") if name.startswith("--")]
        right = find_choice(wrong, flags)
        near = f"; did you mean {right}?" if right else did_you_mean(wrong, flags, cutoff=0.6)
        hint = getattr(context.command.callback, FLAG_HINTS, {}).get(wrong)
        message = f"{wrong}: no such flag{f'; {hint}' if hint else near}"
    if "\n" in message:  # the help of a group called with no command
        sys.stderr.write(show_controls(message) + "\n")
    elif context is None:
        print_error(message.rstrip("."))
    else:
        print_error(f"{message.rstrip('.')} (see '{context.command_path} --help')")
    return int(error.exit_code)


app = typer.Typer(
    name="cnncli",
    cls=App,
    no_args_is_help=True,
    subcommand_metavar="COMMAND [ARGUMENTS]",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Image classification in the shell: from a folder of images to a classifier you can "
    "trust, explain and pipe.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"cnncli {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback behind an error.")
    ] = False,
) -> None:
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)  # not under nohup, which has it ignored


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Run the app, with streams that carry every text."""
    _prepare_streams()
    # Read by torch's OpenMP as it loads. By default its threads spin for milliseconds at each of
    # thousands of barriers: where another process wants a core, an epoch took up to ten times as
    # long. Measured on 2 cores: 1.6 times the images/s beside a busy process, 0.95 alone.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    # Only the app knows --debug, its commands do not; but everybody types it last.
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda argument: argument != "--debug")
    app()


class _LastingFile(io.FileIO):
    """A file that takes what is written to it even where that can no longer be stored.

    stderr is on it. What is said there must not end a run, nor change its exit code, because a disk
    is full, a pipe has no reader any more, or a terminal was closed.
    """

    def write(self, data: Any) -> int:
        with suppress(OSError):
            written = super().write(data)
            if written is not None:
                return written
        return len(data)


def _encode_all(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""Encode what stdout's encoding lacks: ``\xf6``; a byte of a file name that is no text stays.

    A handler of errors for `codecs.register_error`.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    first = error.object[error.start : error.start + 1]
    end = error.start + 1
    if "\udc80" <= first <= "\udcff":
        return first.encode("ascii", "surrogateescape"), end
    return first.encode("ascii", "backslashreplace").decode("ascii"), end


_READABLE = "cnncli.readable"
codecs.register_error(_READABLE, _encode_all)


def _prepare_streams() -> None:
    """Let the standard streams carry every text, and let no error of stderr end a run."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller: `>&-`
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif name != "stderr" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape" if name == "stdin" else _READABLE)
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        lasting = io.BufferedWriter(_LastingFile(sys.stderr.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(
            lasting, sys.stderr.encoding, "backslashreplace", line_buffering=True
        )
