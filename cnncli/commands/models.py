"""``cnncli models``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cnncli.models.registry import list_models
from cnncli.reporting import TableLayout
from cnncli.shell.terminal import choose_format, print_rows

ListFormat = Literal["table", "csv", "json"]

_LAYOUT = TableLayout(
    drop=("family", "licence", "year", "on_disk", "weights", "image_size"),
    words=("weights", "on_disk"),
    short=("parameters", "macs"),
    whole="--format csv",
)
_COLUMNS = ("name", "family", "parameters", "macs", "image_size", "weights", "on_disk", "about")


def models(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="PATTERN",
            help="Part of a name, or a pattern such as 'resnet*' [all].",
            show_default=False,
        ),
    ] = None,
    output_format: Annotated[
        ListFormat | None,
        typer.Option("--format", help="Form of the answer [table on a terminal, csv in a pipe]."),
    ] = None,
) -> None:
    """List the networks: size, cost, image size, pretrained weights and which are on disk.

    Parameters and MACs (multiply-accumulates of one image) are those of the default weights, at
    1000 classes; for networks without weights at 10 classes. The first of the weights is what
    --weights default takes. Beside these, --model takes cnn:LAYERS, in the words of conv-size
    --chain, and timm:NAME where timm is installed.
    """
    chosen = choose_format(output_format, piped="csv")
    rows = []
    for entry in list_models(pattern):
        names = [weights.name for weights in entry.weights]
        on_disk = [weights.name for weights in entry.weights if weights.path.is_file()]
        rows.append(
            {
                "name": entry.name,
                "family": entry.family,
                "parameters": entry.parameters,
                "macs": entry.macs,
                "image_size": entry.image_size,
                "weights": names if chosen == "json" else " ".join(names),
                "on_disk": on_disk if chosen == "json" else " ".join(on_disk),
                "about": entry.about,
            }
        )
    columns = _COLUMNS[:-1] if chosen == "table" else _COLUMNS
    print_rows(rows, columns, chosen, layout=_LAYOUT)
