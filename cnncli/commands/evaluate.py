"""``cnncli evaluate``."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from cnncli.augmentation.notation import parse_tta
from cnncli.choices import OnBadImage, ReportFormat, SplitChoice
from cnncli.errors import CnncliError
from cnncli.files import PICTURES, check_output_file, expand_path
from cnncli.shell.after_flags import WithReport, load_evaluation_page
from cnncli.shell.by_group_flags import BY_GROUP_FLAGS, take_by_group
from cnncli.shell.decision_flags import DECISION_FLAGS, Raw, take_decision
from cnncli.shell.flags import CsvSafe, Flags, JudgingPrecision, TestTimeViews, takes
from cnncli.shell.run_flags import choose_flags
from cnncli.shell.subgroup_flags import SUBGROUP_FLAGS, take_subgroups
from cnncli.shell.terminal import choose_format, choose_reporter, print_json, tell_begin

_ON_TERMINAL = 5  # mistakes that are listed on a terminal


@takes(
    {
        **choose_flags("data", "image_col", "label_col", "split_col", "group_col", "group_regex"),
        **SUBGROUP_FLAGS,
        **BY_GROUP_FLAGS,
        **DECISION_FLAGS,
    }
)
def evaluate(
    flags: Flags,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Run folder, part of a run's name, last, or a file [newest finished run].",
            rich_help_panel="Most used",
        ),
    ] = None,
    split: Annotated[
        SplitChoice | None,
        typer.Option(
            help="Split of the run's own images to evaluate [test, else val].",
            rich_help_panel="Data",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Write report, predictions and confusion matrix there too."
        ),
    ] = None,
    mistakes: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="List the N surest mistakes [5 on a terminal, 0 in a pipe]."
        ),
    ] = None,
    mistakes_grid: Annotated[
        str | None,
        typer.Option(metavar="FILE.png", help="Draw the surest mistakes [25, or --mistakes]."),
    ] = None,
    on_bad_image: Annotated[
        OnBadImage,
        typer.Option(
            help="What an image that cannot be read does to the evaluation.",
            rich_help_panel="Images",
        ),
    ] = "error",
    tta: TestTimeViews = None,
    device: Annotated[
        str,
        typer.Option(
            help="Device that computes: auto, cpu, cuda, cuda:N or mps.", rich_help_panel="Device"
        ),
    ] = "auto",
    precision: JudgingPrecision = None,
    output_format: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="Form of the answer [table on a terminal, json in a pipe]."),
    ] = None,
    csv_safe: CsvSafe = False,
    raw: Raw = False,
    report: WithReport = True,
) -> None:
    """Evaluate a trained classifier on labelled images."""
    views = None if tta is None else parse_tta(tta)
    if mistakes is not None and mistakes < 0:
        raise CnncliError(f"--mistakes {mistakes}: must be at least 0")
    grid = None
    if mistakes_grid is not None:
        grid = check_output_file(mistakes_grid, "--mistakes-grid", suffixes=PICTURES)
    decide = take_decision(flags, raw=raw)
    subgroups = take_subgroups(flags)
    by_group = take_by_group(flags)
    chosen = choose_format(output_format, piped="json")
    listed = _ON_TERMINAL if chosen == "table" and sys.stdout.isatty() else 0
    tell_begin("Reading the checkpoint ...")
    from cnncli.data.samples import CsvColumns
    from cnncli.recipes.evaluate import evaluate_run
    from cnncli.run.evaluate_settings import EvaluateSettings
    from cnncli.run.mistakes import DRAWN
    from cnncli.shell.report_tables import print_report
    from cnncli.training.distributed import join_world

    if checkpoint is None and "data" in flags:
        checkpoint = _take_run(flags)
    make_page = load_evaluation_page(flags.get("data")) if report and output is not None else None

    columns = {key.removesuffix("_col"): flags[key] for key in flags if key.endswith("_col")}
    settings = EvaluateSettings(
        data=flags.get("data"),
        checkpoint=checkpoint,
        split=split,
        columns=CsvColumns(**columns, extra=tuple(c.name for c in subgroups if not c.is_file)),
        group_regex=flags.get("group_regex"),
        subgroups=subgroups,
        by_group=by_group,
        device=device,
        precision=precision,
        output=output,
        tta=views,
        on_bad_image=on_bad_image,
        mistakes=listed if mistakes is None else mistakes,
        mistakes_drawn=mistakes or DRAWN,
        mistakes_grid=grid,
        csv_safe=csv_safe,
        decide=decide,
    )
    with join_world(device) as world:
        found = evaluate_run(settings, choose_reporter(), world, make_page=make_page)
    if not world.is_first:
        return
    if chosen == "json":
        print_json(found)
    else:
        print_report(found)


def _take_run(flags: Flags) -> str | None:
    """Take a run that was given in place of images, as in ``evaluate runs/x``, for the checkpoint.

    Returns:
        What was given, which is no longer among the flags then; None if images were given.
    """
    from cnncli.data.given_run import names_run
    from cnncli.data.walk import is_run
    from cnncli.training.find_run import LAST

    given = flags["data"]
    path = expand_path(given)
    by_name = not os.access(path, os.F_OK) and (given == LAST or is_run(f"runs/{given}"))
    if not by_name and not names_run(path):
        return None
    if by_name or path.is_file() or is_run(str(path)):  # else a folder of runs, which is refused
        choose_reporter().note(
            f"{given} is a run, and no images: it is evaluated on its own images (on others: "
            f"cnncli evaluate IMAGES --checkpoint {given})"
        )
    return str(flags.pop("data"))
