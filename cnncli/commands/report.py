"""``cnncli report``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cnncli.choices import SplitChoice
from cnncli.errors import CnncliError
from cnncli.files import check_output_file
from cnncli.shell.command import FLAG_HINTS
from cnncli.shell.flags import Flags, takes
from cnncli.shell.run_flags import choose_flags
from cnncli.shell.subgroup_flags import SUBGROUP_FLAGS, take_subgroups
from cnncli.shell.terminal import choose_reporter, print_line, tell_begin

if TYPE_CHECKING:
    from cnncli.audit.findings import Finding
    from cnncli.config import RunConfig
    from cnncli.reporting import Reporter

_FLAGS = ("data", "image_col", "label_col", "split_col", "group_col", "group_regex")


@takes({**choose_flags(*_FLAGS), **SUBGROUP_FLAGS}, argument=None)
def report(
    flags: Flags,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="Folder of a run or a cross-validation, part of its name, last, or a file [the "
            "newest that is finished].",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(metavar="FILE.html", help="The page [report.html in the run's folder]."),
    ] = None,
    split: Annotated[
        SplitChoice | None,
        typer.Option(help="Split of the run's own images to show [test, else val]."),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Pictures in the page [as many as keep it below 5 MB].", min=0
        ),
    ] = None,
    no_images: Annotated[bool, typer.Option("--no-images", help="Leave out all pictures.")] = False,
    no_names: Annotated[
        bool,
        typer.Option("--no-names", help="Leave out the names of files and groups, and paths."),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            envvar="CNNCLI_CHECK",
            help="Check the run's images as check-data does, for 10 seconds at most.",
        ),
    ] = True,
    device: Annotated[
        str, typer.Option(help="Device that computes: auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
) -> None:
    """Write a page on a run: figures, confusions with their images, curves; print its path.

    The page is one HTML file that opens without a network. It holds pictures and file names of the
    images.
    """
    if no_images and images:
        raise CnncliError(f"--images {images} and --no-images: leave one of them out")
    path = None if output is None else check_output_file(output, suffixes=(".html", ".htm"))
    subgroups = take_subgroups(flags)
    tell_begin("Reading the checkpoint ...")
    from cnncli.data.samples import CsvColumns
    from cnncli.recipes.check_data import check_data
    from cnncli.recipes.report.settings import ReportSettings
    from cnncli.recipes.report.write import write_report

    columns = {
        key.removesuffix("_col"): value for key, value in flags.items() if key.endswith("_col")
    }
    settings = ReportSettings(
        run=run,
        data=flags.get("data"),
        split=split,
        columns=CsvColumns(**columns, extra=tuple(c.name for c in subgroups if not c.is_file)),
        group_regex=flags.get("group_regex"),
        subgroups=subgroups,
        device=device,
        output=path,
        images=images,
        with_images=not no_images,
        with_names=not no_names,
    )

    def find_faults(config: RunConfig, reporter: Reporter) -> Sequence[Finding]:
        return check_data(config, reporter, cache=True).findings

    print_line(str(write_report(settings, choose_reporter(), find_faults if check else None)))


setattr(report, FLAG_HINTS, {"--checkpoint": "name the run without a flag: report RUN"})
