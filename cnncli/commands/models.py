"""``cnncli models``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cnncli.models.registry import list_models
from cnncli.models.tables.papers import describe_licences, find_paper
from cnncli.reporting import TableLayout
from cnncli.shell.terminal import choose_format, print_rows

ListFormat = Literal["table", "csv", "json"]

_COLUMNS = (
    *("name", "family", "parameters", "macs", "image_size", "weights", "on_disk", "about"),
    *("top1", "year", "licence", "paper"),
)
# On a terminal: what tells networks apart comes first.
_TABLE = (
    *("name", "parameters", "macs", "image_size", "top1", "year", "on_disk"),
    *("weights", "licence", "family"),
)
_LAYOUT = TableLayout(
    words=("weights", "licence", "on_disk"),
    short=("parameters", "macs"),
    drop=("family", "weights", "licence", "on_disk", "image_size", "year"),
    whole="--format csv",
)


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
    """List the networks: size, cost, accuracy, pretrained weights and which are on disk.

    Parameters and MACs (multiply-accumulates of one image) are those of the default weights, at
    1000 classes; for networks without weights at 10 classes. The first of the weights is what
    --weights default takes; top1 is its accuracy on ImageNet-1K in percent, as torchvision measured
    it, and licence its licence, where one is stated. year is that of the network's paper. Beside
    these, --model takes cnn:LAYERS, in the words of conv-size --chain, and timm:NAME where timm is
    installed.
    """
    chosen = choose_format(output_format, piped="csv")
    rows = []
    for entry in list_models(pattern):
        names = [weights.name for weights in entry.weights]
        paper = find_paper(entry.name)
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
                "top1": entry.weights[0].top1 if entry.weights else None,
                # A table would write it as a number, 2,015.
                "year": str(paper.year or "") if chosen == "table" else paper.year,
                "licence": describe_licences(entry.weights),
                "paper": paper.url,
            }
        )
    print_rows(rows, _TABLE if chosen == "table" else _COLUMNS, chosen, layout=_LAYOUT)
