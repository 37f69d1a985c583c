"""``cnncli predict``."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from cnncli.augmentation.notation import parse_tta
from cnncli.choices import RowFormat, parse_shard
from cnncli.choices.decision import check_probability
from cnncli.errors import FINDINGS, CnncliError
from cnncli.models.registry import find_model
from cnncli.reporting import TableLayout
from cnncli.shell.command import FLAG_HINTS
from cnncli.shell.decision_flags import AbstainBelow, Raw
from cnncli.shell.flags import CsvSafe, JudgingPrecision, TestTimeViews, complete_model
from cnncli.shell.terminal import choose_format, choose_reporter, print_rows


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Images, folders, globs; - reads paths from stdin."
        ),
    ],
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Run folder, part of a run's name, last, or a file [newest finished run].",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A network as it is, with --weights, in place of a run.",
            autocompletion=complete_model,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="WEIGHTS", help="Weights of --model: default, a name, or a PATH."),
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", "--top", help="Likeliest classes per row.")] = 1,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Every class's probability too.")
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Images per forward pass, at most.")] = 32,
    tta: TestTimeViews = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Take the I-th of every N inputs: one process of N."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Device that computes: auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    precision: JudgingPrecision = None,
    output_format: Annotated[
        RowFormat | None,
        typer.Option("--format", help="Form of the answer [table on a terminal, csv in a pipe]."),
    ] = None,
    csv_safe: CsvSafe = False,
    abstain_below: AbstainBelow = None,
    raw: Raw = False,
) -> None:
    """Predict the class of images: a row each, in the order given."""
    for flag, value in (("--top-k", top_k), ("--batch-size", batch_size)):
        if value < 1:
            raise CnncliError(f"{flag} {value}: must be at least 1")
    if abstain_below is not None:
        check_probability(abstain_below, "--abstain-below")
    _check_network(checkpoint, model, weights)
    views = None if tta is None else parse_tta(tta)
    share = (1, 1) if shard is None else parse_shard(shard)
    from cnncli.recipes.predict import Predictor, PredictSettings
    from cnncli.run.scales import warn_of_dark_files
    from cnncli.run.warn_of_cut import warn_of_colour, warn_unlike_training
    from cnncli.training.distributed import join_world

    chosen = choose_format(output_format, piped="csv")
    settings = PredictSettings(
        checkpoint=checkpoint,
        model=model,
        weights=weights or "default",
        top_k=top_k,
        probabilities=probabilities,
        nested=chosen.startswith("json"),
        batch_size=batch_size,
        device=device,
        precision=precision,
        tta=views,
        shard=share,
        raw=raw,
        abstain_below=abstain_below,
    )
    reporter = choose_reporter()
    bad = 0

    def rows(predictor: Predictor) -> Iterator[dict[str, object]]:
        nonlocal bad
        for row in predictor.predict(inputs, sys.stdin):
            bad += row["error"] != ""
            yield row

    with join_world(device) as world:
        predictor = Predictor(settings, reporter, world)
        if world.is_first:
            columns = predictor.columns
            layout = _lay_out(columns, predictor.top_k)
            print_rows(rows(predictor), columns, chosen, csv_safe=csv_safe, layout=layout)
        else:
            deque(rows(predictor), maxlen=0)  # they go to rank 0
    if world.is_first:
        warn_unlike_training(*predictor.odd["unlike"], predictor.preprocess, reporter)
        warn_of_colour(*predictor.odd["coloured"], reporter)
        warn_of_dark_files(*predictor.odd["dark"], predictor.preprocess, reporter)
    if bad:
        reporter.warn(f"{bad} of the inputs could not be read")
        raise typer.Exit(FINDINGS)


# The columns that go last of all where a terminal is narrow.
_LAST = ("suggested", "probability", "label", "error")
_TO_FILE = "the rows go to stdout; write them with > FILE.csv"
setattr(predict, FLAG_HINTS, dict.fromkeys(("--output", "--csv", "--out", "-o"), _TO_FILE))


def _lay_out(columns: Sequence[str], top_k: int) -> TableLayout:
    """Return the layout of a table; a row's error goes last, and a class with its probability."""
    pairs = [(f"label_{place}", f"probability_{place}") for place in range(2, top_k + 1)]
    begin = 3 + 2 * len(pairs)
    own = columns[:begin]
    prefix = "probability_"
    classes = {name: name[len(prefix) :] for name in columns[begin:-1] if name.startswith(prefix)}
    return TableLayout(
        drop=(*reversed(classes), *reversed(own[3:]), *_LAST),
        keep=_LAST,
        together=pairs,
        paths=own[:1],
        words=("error",),
        headers={key: name for key, name in classes.items() if name not in (*own, "error")},
        drop_equal=False,
        whole="--format csv",
    )


def _check_network(checkpoint: str | None, model: str | None, weights: str | None) -> None:
    """Refuse flags that do not say which trained network is to predict."""
    if model is None:
        if weights is not None:
            raise CnncliError(
                f"--weights {weights}: of which network? Name it with --model; a run is given with "
                "--checkpoint"
            )
        return
    if checkpoint is not None:
        raise CnncliError("--checkpoint and --model: give one of them")
    find_model(model)
    if weights is None:
        raise CnncliError(
            f"--model {model}: predict needs trained weights: --weights default, or the PATH of a "
            "file"
        )
