"""How a command gets its flags, and the flags that several commands share; light."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from cnncli.choices import Precision
from cnncli.errors import CnncliError

Flags = dict[str, Any]

# The parameter that holds labelled data given as an argument in place of --data.
DATA_ARGUMENT = "data_argument"


def complete_data(incomplete: str) -> list[str]:
    """Return the names of data sets that begin with ``incomplete``."""
    from cnncli.data import EMBEDDED, TORCHVISION
    from cnncli.data.torchvision_table import SETS

    names = [*EMBEDDED, *(TORCHVISION + name for name in SETS)]
    return [name for name in names if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Return the names of networks that begin with ``incomplete``."""
    from cnncli.models.registry import MODELS

    return [name for name in MODELS if name.startswith(incomplete)]


def complete_augment(incomplete: str) -> list[str]:
    """Return the levels of augmentation that begin with ``incomplete``."""
    from cnncli.augmentation.words import LEVELS

    return [name for name in ("none", *LEVELS) if name.startswith(incomplete)]


def flag(kind: Any, text: str, *names: str, **extra: Any) -> Any:
    """Return the annotation of a flag that is None where it was not given.

    Args:
        kind: The type of its value.
        text: What help says about it.
        names: How it is written; by default ``--`` and the parameter's name.
        extra: Further arguments of ``typer.Option``.
    """
    return Annotated[kind | None, typer.Option(*names, help=text, show_default=False, **extra)]


ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="YAML",
        help="File of flags; flags given here win.",
        rich_help_panel="Most used",
    ),
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print the settings as YAML and exit.")
]

CsvSafe = Annotated[
    bool,
    typer.Option(
        "--csv-safe",
        help="In a CSV, put ' before a text that a spreadsheet takes for a formula.",
    ),
]

TestTimeViews = Annotated[
    str | None,
    typer.Option(
        "--tta",
        metavar="flips|K",
        help="Average over views: flips (mirror images), or the image and K-1 draws of the run's "
        "own augmentation.",
        show_default=False,
        rich_help_panel="Images",
    ),
]

JudgingPrecision = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="Compute in another precision than float32: the answers then depend on the machine; "
        "auto takes what the device computes natively.",
        show_default=False,
        rich_help_panel="Device",
    ),
]


def takes(
    flags: Mapping[str, Any],
    *,
    argument: str | None = "DATA",
    sections: Mapping[str, Sequence[tuple[str, str]]] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command these flags; it gets those that were used as its first argument.

    The command's own parameters come after them. Where ``data`` is among the flags, the command
    takes the data as an argument too: ``cnncli train ./xray`` is ``cnncli train --data ./xray``.

    Args:
        flags: Annotations, as `flag` makes them, by the names of the parameters.
        argument: What help calls the data where they are given as an argument; None takes them by
            ``--data`` alone.
        sections: What help shows between the arguments and the options: headings with rows of a
            word and what it means.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        has_argument = "data" in flags and argument is not None
        annotations = {**_name_argument(argument), **flags} if has_argument else dict(flags)
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in annotations.items()
        ]
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]

        def command(**given: Any) -> None:
            used = {name: given.pop(name) for name in annotations}
            used = {name: value for name, value in used.items() if value is not None}
            function(_take_argument(used), **given)

        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.sections = sections or {}  # type: ignore[attr-defined]
        command.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in (*shared, *own)}
        return command

    return decorate


def _name_argument(metavar: str | None) -> dict[str, Any]:
    """Return the data as an argument; help shows it beside --data and not by itself."""
    argument = typer.Argument(
        metavar=metavar, hidden=True, show_default=False, autocompletion=complete_data
    )
    return {DATA_ARGUMENT: Annotated[str | None, argument]}


def _take_argument(used: Flags) -> Flags:
    """Return the flags with data that were given as an argument under their flag's name.

    Raises:
        CnncliError: If the flag was given too.
    """
    if DATA_ARGUMENT not in used:
        return used
    data = used.pop(DATA_ARGUMENT)
    if "data" in used:
        raise CnncliError(
            f"{data} and --data {used['data']}: the data are given twice; leave one of them out"
        )
    return {"data": data, **used}
