"""``cnncli sample-data``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cnncli.shell.terminal import print_line


def sample_data(
    name: Annotated[
        Literal["digits"], typer.Argument(metavar="NAME", help="digits.", show_default=False)
    ],
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="New or empty folder.", show_default=False)
    ],
) -> None:
    """Write a data set that comes with cnncli as files DIR/<class>/<number>.png; print DIR.

    digits: 1,797 handwritten digits of 8×8 pixels (UCI).
    """
    from cnncli.data.digits import write_digits

    print_line(str(write_digits(folder)))
