"""``cnncli predict``."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cnncli.augmentation.notation import parse_tta
from cnncli.choices import RowFormat, parse_shard
from cnncli.choices.decision import check_probability
from cnncli.errors import FINDINGS, CnncliError
from cnncli.models.registry import find_model
from cnncli.reporting import TableLayout
from cnncli.shell.command import FLAG_HINTS
from cnncli.shell.decision_flags import AbstainBelow, Raw
from cnncli.shell.engine_flags import AnsweringEngine, Exact, settle_exact
from cnncli.shell.flags import CsvSafe, JudgingPrecision, TestTimeViews, complete_model
from cnncli.shell.terminal import choose_format, choose_reporter, print_rows

if TYPE_CHECKING:
    from pathlib import Path

    from cnncli.data.submission import Sample
    from cnncli.recipes.predict import Predictor
    from cnncli.reporting import Reporter


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Images, folders, globs, tables of images (.csv, .tsv); - reads paths from stdin.",
        ),
    ],
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN",
            help="Run folder, part of a run's name, last, a file (.onnx too), or a "
            "cross-validation; several times for the mean of networks that know the same classes "
            "[newest finished run].",
            show_default=False,
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
    image_col: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column of a table, or of the sample, with paths or ids [the usual names].",
        ),
    ] = None,
    sample_submission: Annotated[
        str | None,
        typer.Option(
            metavar="CSV",
            help="Write --output in the form of this file: its columns, ids and order of rows.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="File to write; with --sample-submission only."),
    ] = None,
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
    engine: AnsweringEngine = "auto",
    exact: Exact = False,
    output_format: Annotated[
        RowFormat | None,
        typer.Option("--format", help="Form of the answer [table on a terminal, csv in a pipe]."),
    ] = None,
    csv_safe: CsvSafe = False,
    abstain_below: AbstainBelow = None,
    raw: Raw = False,
) -> None:
    """Predict the class of images: a row each, in the order given."""
    _check_numbers(top_k, batch_size, abstain_below)
    _check_network(checkpoint, model, weights)
    engine, precision = settle_exact(exact, engine, precision)
    others = {"--top-k": top_k != 1, "--probabilities": probabilities, "--shard": shard}
    others |= {"--format": output_format, "--csv-safe": csv_safe, "--abstain-below": abstain_below}
    submission = _read_submission(sample_submission, output, image_col, inputs, others)
    views = None if tta is None else parse_tta(tta)
    share = (1, 1) if shard is None else parse_shard(shard)
    from cnncli.recipes.predict import Predictor, PredictSettings
    from cnncli.run.odd_images import warn_of_colour, warn_of_dark_files, warn_unlike_training
    from cnncli.training.distributed import join_world

    chosen = choose_format(output_format, piped="csv")
    settings = PredictSettings(
        checkpoints=tuple(checkpoint or ()),
        model=model,
        weights=weights or "default",
        top_k=top_k,
        probabilities=probabilities or submission is not None,
        nested=chosen.startswith("json") or submission is not None,
        batch_size=batch_size,
        device=device,
        precision=precision,
        tta=views,
        engine=engine,
        image_col=image_col,
        shard=share,
        raw=raw,
        abstain_below=abstain_below,
    )
    reporter = choose_reporter()
    bad = 0

    def rows(predictor: Predictor) -> Iterator[dict[str, object]]:
        nonlocal bad
        for row in predictor.predict(predictor.list_files(inputs, sys.stdin)):
            bad += row["error"] != ""
            yield row

    with join_world(device) as world:
        predictor = Predictor(settings, reporter, world)
        if submission is not None:
            bad = not _submit(submission, predictor, inputs, reporter)
        elif world.is_first:
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
        if submission is None:
            reporter.warn(f"{bad} of the inputs could not be read")
        raise typer.Exit(FINDINGS)


# The columns that go last of all where a terminal is narrow.
_LAST = ("suggested", "probability", "label", "error")
_TO_FILE = "the rows go to stdout; write them with > FILE.csv"
setattr(predict, FLAG_HINTS, dict.fromkeys(("--csv", "--out", "-o"), _TO_FILE))
_SAMPLE = "--sample-submission"


def _read_submission(
    sample: str | None,
    output: str | None,
    id_col: str | None,
    inputs: Sequence[str],
    others: Mapping[str, object],
) -> tuple[Sample, Path] | None:
    """Return a sample submission and the file to write; None if neither is asked for.

    Args:
        sample: Path of the sample, as it was given.
        output: Path of the file to write, as it was given.
        id_col: Name of the column of ids, of the sample or of a table among the inputs.
        inputs: The images, as they were given.
        others: Flags that say how rows go to stdout, and whether they were given.
    """
    if sample is None:
        if output is not None:
            raise CnncliError(
                f"--output {output}: {_TO_FILE}; a file is written in the form of a {_SAMPLE}"
            )
        return None
    from cnncli.data.submission import read_sample
    from cnncli.files import check_output_file, expand_path

    if output is None:
        raise CnncliError(f"{_SAMPLE} {sample}: name the file to write with --output FILE.csv")
    for flag, given in others.items():
        if given:
            raise CnncliError(f"{flag}: has no effect with {_SAMPLE}; leave one of them out")
    path, target = expand_path(sample), check_output_file(output)
    if path.exists() and target.exists() and path.samefile(target):
        raise CnncliError(f"--output {output}: would write over the sample; name another file")
    has_table = any(given.lower().endswith((".csv", ".tsv")) for given in inputs)
    return read_sample(path, _SAMPLE, id_col, may_lack_it=has_table), target


def _submit(
    submission: tuple[Sample, Path], predictor: Predictor, inputs: list[str], reporter: Reporter
) -> bool:
    """Write a submission; return whether each id has an answer and each image an id."""
    from cnncli.recipes.submission import write_submission

    sample, output = submission
    if predictor.decision.abstain_below is not None:
        reporter.note("a submission has an answer for every id: none is withheld")
    return write_submission(
        sample,
        output,
        predictor.list_files(inputs, sys.stdin),
        predictor.predict,
        predictor.class_names,
        reporter,
        flag=_SAMPLE,
        is_first=predictor.world.is_first,
    )


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


def _check_numbers(top_k: int, batch_size: int, abstain_below: float | None) -> None:
    """Refuse numbers that say nothing."""
    for flag, value in (("--top-k", top_k), ("--batch-size", batch_size)):
        if value < 1:
            raise CnncliError(f"{flag} {value}: must be at least 1")
    if abstain_below is not None:
        check_probability(abstain_below, "--abstain-below")


def _check_network(checkpoint: list[str] | None, model: str | None, weights: str | None) -> None:
    """Refuse flags that do not say which trained network is to predict."""
    if model is None:
        if weights is not None:
            raise CnncliError(
                f"--weights {weights}: of which network? Name it with --model; a run is given with "
                "--checkpoint"
            )
        return
    if checkpoint:
        raise CnncliError("--checkpoint and --model: give one of them")
    find_model(model)
    if weights is None:
        raise CnncliError(
            f"--model {model}: predict needs trained weights: --weights default, or the PATH of a "
            "file"
        )
