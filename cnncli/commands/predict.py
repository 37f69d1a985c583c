"""``cnncli predict``."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnncli.choices import RowFormat, parse_shard
from cnncli.choices.decision import check_probability
from cnncli.errors import FINDINGS, RUNTIME_FAILURE, CnncliError
from cnncli.reporting import TableLayout
from cnncli.shell.command import FLAG_HINTS
from cnncli.shell.decision_flags import AbstainBelow, Raw
from cnncli.shell.engine_flags import AnsweringEngine, Exact, Verify, check_network, settle_exact
from cnncli.shell.flags import CsvSafe, JudgingPrecision, TestTimeViews, complete_model
from cnncli.shell.submission_flags import SAMPLE, TO_FILE, read_submission
from cnncli.shell.terminal import choose_format, choose_reporter, print_batches, print_text
from cnncli.shell.watch_flags import Interval, Watch, take_watch

if TYPE_CHECKING:
    from pathlib import Path

    from cnncli.data.submission import Sample
    from cnncli.recipes.predict import Predictor
    from cnncli.reporting import Reporter
    from cnncli.shell.watch_flags import Watched


def predict(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            help="Images, folders, globs, tables of images (.csv, .tsv); - reads paths from stdin.",
            show_default=False,
        ),
    ] = None,
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
        typer.Option(
            metavar="FILE", help="File to write, with --sample-submission or --watch only."
        ),
    ] = None,
    watch: Watch = None,
    interval: Interval = None,
    verify: Verify = False,
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
    check_network(checkpoint, model, weights)
    engine, precision = settle_exact(exact, engine, precision)
    inputs = inputs or []
    rest = {SAMPLE: sample_submission, "--image-col": image_col, "--shard": shard}
    others = {"--top-k": top_k != 1, "--probabilities": probabilities, "--shard": shard}
    others |= {"--format": output_format, "--csv-safe": csv_safe}
    others |= {"--abstain-below": abstain_below is not None}
    if verify:
        others |= {"--model": model, "--exact": exact, "--engine": engine != "auto", "--tta": tta}
        others |= {"--device": device != "auto", "--precision": precision, "--raw": raw}
        others |= {"--watch": watch, "--interval": interval is not None, "--output": output}
        _verify(checkpoint or [], inputs, {**rest, **others, "--batch-size": batch_size != 32})
        return
    watched = take_watch(watch, interval, output, inputs, output_format, rest)
    if watched is not None:  # its --output is no submission
        output = None
    submission = read_submission(sample_submission, output, image_col, inputs, others)
    chosen = choose_format(output_format, piped="csv") if watched is None else watched.form
    if tta is not None:
        from cnncli.augmentation.notation import parse_tta
    given: dict[str, Any] = {
        "checkpoints": tuple(checkpoint or ()),
        "model": model,
        "weights": weights or "default",
        "top_k": top_k,
        "probabilities": probabilities or submission is not None,
        "nested": chosen.startswith("json") or submission is not None,
        "batch_size": batch_size,
        "device": device,
        "precision": precision,
        "engine": engine,
        "tta": None if tta is None else parse_tta(tta),
        "image_col": image_col,
        "shard": (1, 1) if shard is None else parse_shard(shard),
        "raw": raw,
        "abstain_below": abstain_below,
    }
    reporter = choose_reporter()
    if watched is not None:
        _watch(watched, given, reporter, csv_safe=csv_safe)
        return
    _answer(given, inputs, submission, chosen, reporter, csv_safe=csv_safe)


# The columns that go last of all where a terminal is narrow.
_LAST = ("suggested", "probability", "label", "error")
setattr(predict, FLAG_HINTS, dict.fromkeys(("--csv", "--out", "-o"), TO_FILE))


def _answer(
    given: Mapping[str, Any],
    inputs: list[str],
    submission: tuple[Sample, Path] | None,
    chosen: str,
    reporter: Reporter,
    *,
    csv_safe: bool,
) -> None:
    """Print a row for each image, or write a submission."""
    from cnncli.recipes.predict import Predictor, PredictSettings
    from cnncli.training.distributed import join_world

    bad = 0

    def rows(predictor: Predictor) -> Iterator[list[dict[str, object]]]:
        nonlocal bad
        for batch in predictor.predict_batches(predictor.list_files(inputs, sys.stdin)):
            bad += sum(row["error"] != "" for row in batch)
            yield batch

    with join_world(given["device"]) as world:
        predictor = Predictor(PredictSettings(**given), reporter, world)
        if submission is not None:
            bad = not _submit(submission, predictor, inputs, reporter)
        elif world.is_first:
            layout = _lay_out(predictor.columns, predictor.top_k)
            batches = rows(predictor)
            print_batches(batches, predictor.columns, chosen, csv_safe=csv_safe, layout=layout)
        else:
            deque(rows(predictor), maxlen=0)  # they go to rank 0
    if world.is_first:
        _warn_of_odd(predictor, reporter)
    if bad:
        if submission is None:
            reporter.warn(f"{bad} of the inputs could not be read")
        raise typer.Exit(FINDINGS)


def _verify(checkpoint: list[str], inputs: list[str], others: Mapping[str, object]) -> None:
    """Say whether an exported network answers here as it should, and exit with 1 if not."""
    for name, given in (("INPUT " + " ".join(inputs[:1]), inputs), *others.items()):
        if given:
            raise CnncliError(f"{name}: has no effect with --verify; leave one of them out")
    from cnncli.recipes.verify import verify

    is_same, told = verify(checkpoint, choose_reporter())
    print_text(told)
    if not is_same:
        raise typer.Exit(RUNTIME_FAILURE)


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
        flag=SAMPLE,
        is_first=predictor.world.is_first,
    )


def _warn_of_odd(predictor: Predictor, reporter: Reporter) -> None:
    """Warn of images that the network hardly sees, or not as they are, and forget them."""
    from cnncli.run.odd_images import (
        warn_of_colour,
        warn_of_dark_files,
        warn_of_raw_names,
        warn_unlike_training,
    )

    warn_unlike_training(*predictor.odd["unlike"], predictor.preprocess, reporter)
    warn_of_colour(*predictor.odd["coloured"], reporter)
    warn_of_dark_files(*predictor.odd["dark"], predictor.preprocess, reporter)
    warn_of_raw_names(*predictor.odd["raw"], reporter)
    predictor.odd = dict.fromkeys(predictor.odd, (0, ""))


def _watch(
    watched: Watched, given: Mapping[str, Any], reporter: Reporter, *, csv_safe: bool
) -> None:
    """Answer the images of a folder as they arrive, until a signal comes."""
    from cnncli.recipes.watch.loop import watch_folder

    def load() -> Predictor:
        from cnncli.recipes.predict import Predictor, PredictSettings

        return Predictor(PredictSettings(**given), reporter)

    watch_folder(
        watched.folder,
        watched.rows,
        load,
        reporter,
        interval=watched.interval,
        csv_safe=csv_safe,
        after_round=lambda predictor: _warn_of_odd(predictor, reporter),
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
