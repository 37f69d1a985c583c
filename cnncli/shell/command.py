"""A command as Typer builds it, but for its help and for values that need no conversion."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from cnncli.choices.spelling import find_choice, respell_call, tell_taken
from cnncli.errors import CnncliError, clip, did_you_mean, shorten
from cnncli.shell.flags import DATA_ARGUMENT
from cnncli.shell.help import hold_flags, list_sections, release_flags, write_sections
from cnncli.shell.terminal import choose_reporter

# The attribute of a command's function that says that its arguments may begin with a minus.
TAKES_NUMBERS = "takes_numbers"

# The attribute with what to do in place of flags that other tools have: {"--output": "…"}.
FLAG_HINTS = "flag_hints"
# Typer has carried its own Click since 0.26; its error is reached without naming either.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]


class Command(TyperCommand):
    """A command whose help has headings, and breaks no line within a flag."""

    def get_help(self, ctx: Any) -> str:
        """Return the help as it is printed."""
        return release_flags(super().get_help(ctx))

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as Typer asks for them before it reads their values."""
        return convert_late(super().get_params(ctx))

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does."""
        text, self.help = self.help, hold_flags(self.help or "")
        super().format_help_text(ctx, formatter)
        self.help = text

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; where a command takes numbers, ``-1 2`` is one and no flag.

        Numbers may have spaces around them, so one in front does no harm.
        """
        if getattr(self.callback, TAKES_NUMBERS, False):
            args = [f" {arg}" if re.match(r"-\.?\d", arg) else arg for arg in args]
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except _USAGE_ERROR:
            self._refuse_paths(ctx, given)
            raise

    def _refuse_paths(self, ctx: Any, args: list[str]) -> None:
        """Refuse several paths where one folder is meant, as a glob gives them.

        Raises:
            CnncliError: If there are more arguments than the command takes, and all are paths.
        """
        takes_data = any(param.name == DATA_ARGUMENT for param in self.params)
        try:
            values, extra, _ = self.make_parser(ctx).parse_args(args=args)
        except _USAGE_ERROR:  # told by the error that led here
            return
        paths = [str(values.get(DATA_ARGUMENT)), *extra]
        if takes_data and extra and all(map(os.path.exists, paths)):
            raise CnncliError(
                f"{len(paths):,} paths where one is taken ({shorten(paths, 2)}); give the folder "
                "that holds them"
            )

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the command's arguments and flags."""
        write_sections(formatter, list_sections(self.get_params(ctx), ctx))


def build_command(name: str, function: Callable[..., None]) -> Any:
    """Return Typer's command for a function, by the function's signature."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name, cls=Command)(function)
    return typer.main.get_command(app)


def convert_late(parameters: list[Any]) -> list[Any]:
    """Let Typer convert only values that need it, and return the same parameters.

    Newer versions of Typer convert each value with pydantic, also a text to a text and None to
    None. Importing pydantic takes as long as importing Typer does.
    """
    for parameter in parameters:
        conversion = getattr(parameter, "get_runtime_param", None)
        if conversion is not None and "get_runtime_param" not in vars(parameter):
            parameter.get_runtime_param = _LateConversion(conversion).get
    return parameters


class _LateConversion:
    """Stands in the place of Typer's conversion of a parameter, and loads it where it is needed."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    def get(self) -> _LateConversion:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        described = param.type_descriptor
        if value is param.default or (described.annotation is str and type(value) is str):
            return value
        if described.annotation == list[str] and isinstance(value, list | tuple):
            return list(value)
        if not described.is_list and described.choices:
            return _find_name(value, described.choices, param)
        if described.annotation is bool and type(value) is str:
            return _read_switch(value, param)
        number = described.annotation in (int, float) and described.parameter_info.max is None
        if number and type(value) is str:
            return _read_number(described, value, param)
        return self._load().coerce(value, param=param, ctx=ctx)


def _find_name(value: Any, names: Sequence[str], param: Any) -> str:
    """Return the one of the names that a flag takes that a value means.

    Raises:
        CnncliError: If it means none of them.
    """
    found = find_choice(str(value), names)
    if found is not None:
        if told := tell_taken(_name_of(param), value, found):
            choose_reporter().note(told)
        return found
    *most, last = names
    wanted = f"{', '.join(most)} or {last}" if most else last
    raise CnncliError(
        f"{_name_of(param)} {clip(value)}: must be {wanted}"
        f"{respell_call(_name_of(param), str(value), names) or did_you_mean(value, names)}"
    )


def _read_switch(text: str, param: Any) -> bool:
    """Return whether a switch is on by the text of its environment variable.

    Raises:
        CnncliError: If it says neither yes nor no.
    """
    word = text.strip().lower()
    if word in ("1", "true", "t", "yes", "y", "on"):
        return True
    if word in ("0", "false", "f", "no", "n", "off"):
        return False
    raise CnncliError(f"{param.envvar or _name_of(param)} {clip(text)}: must be 1 or 0")


def _read_number(described: Any, text: str, param: Any) -> int | float:
    """Return the number that a text is.

    Args:
        described: Typer's description of the flag: its type, and its least value if any.
        text: What was given.
        param: The flag.

    Raises:
        CnncliError: If it is none, or too small.
    """
    whole, least = described.annotation is int, described.parameter_info.min
    try:
        number = int(re.sub(r"\.0*$", "", text)) if whole else float(text)
    except ValueError:
        number = None
    if number is None or (least is not None and not number >= least):
        wanted = "a whole number" if whole else "a number"
        wanted += "" if least is None else f" of at least {least}"
        raise CnncliError(f"{_name_of(param)} {clip(text)}: must be {wanted}")
    return number


def _name_of(param: Any) -> str:
    """Return how a flag or an argument is written."""
    is_flag = param.opts[0].startswith("-")
    return max(param.opts, key=len) if is_flag else str(param.metavar or param.name.upper())
