"""``cnncli visualize``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cnncli.choices import parse_size
from cnncli.errors import CnncliError, did_you_mean
from cnncli.files import PICTURES, check_output_file
from cnncli.recipes.visualize.views import COMMON, VIEWS
from cnncli.shell.command import FLAG_HINTS
from cnncli.shell.flags import Flags, takes
from cnncli.shell.terminal import (
    TerminalReporter,
    print_array,
    print_json,
    print_line,
    print_rows,
)
from cnncli.shell.visualize_flags import VISUALIZE_FLAGS


def _complete(incomplete: str) -> list[str]:
    return [name for name in VIEWS if name.startswith(incomplete)]


_PICTURES = [(name, entry.about) for name, entry in VIEWS.items()]


@takes(VISUALIZE_FLAGS, argument=None, sections={"Pictures": _PICTURES})
def visualize(
    flags: Flags,
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="One of the pictures below.",
            show_default=False,
            autocompletion=_complete,
        ),
    ],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|MODEL",
            help="A run folder, its best.safetensors, or a model's name [the newest finished run].",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Draw what a network has learnt and what it sees; print the picture's path.

    With --format it prints the numbers behind the picture in its place.
    """
    if what not in VIEWS:
        near = did_you_mean(what, list(VIEWS)) or f"; there are {', '.join(VIEWS)}"
        raise CnncliError(f"WHAT {what}: no picture{near}")
    _check_flags(what, flags)
    numbers = flags.pop("output_format", None)
    given = flags.pop("output", None)
    path = None
    if given is not None or numbers is None:
        path = check_output_file(given or f"{what}.png", suffixes=PICTURES)
    read = _read_values(flags)
    from cnncli.recipes.visualize.settings import VisualizeSettings

    view = VIEWS[what].load()(VisualizeSettings(target=target, **read), TerminalReporter())
    if path is not None:
        view.draw(path)
    if numbers is None:
        print_line(str(path))
    elif numbers == "csv":
        print_rows(view.rows, view.columns, "csv")
    elif numbers == "json":
        document = view.document
        print_json([dict(row) for row in view.rows] if document is None else _plain(document))
    else:
        print_array(view.array)
    if numbers is not None and path is not None:
        TerminalReporter().note(f"picture: {Path(path)}")


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with lists in the place of its arrays."""
    return {key: getattr(value, "tolist", lambda v=value: v)() for key, value in document.items()}


def _check_flags(what: str, flags: Flags) -> None:
    """Refuse a flag that this picture does not use."""
    known = (*COMMON, *VIEWS[what].flags)
    for name in flags:
        if name not in known:
            others = [view for view, entry in VIEWS.items() if name in entry.flags]
            told = f"it is a flag of {', '.join(others)}" if others else "no picture takes it"
            raise CnncliError(f"{_spell(name)}: visualize {what} does not take it; {told}")


_SPELLINGS = {"class_name": "--class", "count": "--images", "output_format": "--format"}


def _spell(name: str) -> str:
    return _SPELLINGS.get(name, f"--{name.replace('_', '-')}")


def _read_values(flags: Flags) -> dict[str, Any]:
    """Return the values that the recipe takes, or refuse them."""
    read = dict(flags)
    if "image" in read:
        read["images"] = tuple(read.pop("image"))
    if "image_size" in read:
        read["image_size"] = parse_size(read["image_size"], what="--image-size")
    if "unit" in read:
        parts = read["unit"].split(",")
        if len(parts) not in (1, 3) or not all(part.strip().isdecimal() for part in parts):
            raise CnncliError(
                f"--unit {read['unit']}: write a channel such as 5, or channel,row,column such "
                "as 5,3,3; they count from 0"
            )
        read["unit"] = tuple(int(part) for part in parts)
    return read


_HINTS = {"--checkpoint": "name the run without a flag: visualize WHAT RUN"}
setattr(visualize, FLAG_HINTS, _HINTS)
