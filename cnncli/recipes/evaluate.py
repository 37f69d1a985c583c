"""Evaluate: a checkpoint against labelled images, each known by what the run did with it."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.augmentation.notation import Tta
from cnncli.choices import SPLITS, OnBadImage, Precision, SplitChoice
from cnncli.data.classes import match_classes
from cnncli.data.find_samples import find_samples
from cnncli.data.loader import Loader, SplitDataset
from cnncli.data.manifest import UNSEEN, load_manifest
from cnncli.data.samples import NO_SPLIT, CsvColumns, Samples, take_samples
from cnncli.data.split_file import read_left_out
from cnncli.data.splits import TEST, TRAIN, VAL
from cnncli.data.store import Bad, ImageStore, fits_in_memory, load_images
from cnncli.errors import CnncliError, shorten
from cnncli.files import (
    CONFIG_FILE,
    PREDICTIONS_FILE,
    REPORT_FILE,
    SPLITS_FILE,
    make_output_folder,
)
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter
from cnncli.run.bad_images import check_bad, keep_good
from cnncli.run.report import Report, evaluation_batch, report_precision, report_split, save_report
from cnncli.training.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from cnncli.training.device import choose_evaluation_compute, count_cpus, keep_freed_memory
from cnncli.training.distributed import ALONE, World
from cnncli.training.predictions import predict_split
from cnncli.training.views import build_views


@dataclass(frozen=True)
class EvaluateSettings:
    """What to evaluate.

    Attributes:
        data: As ``train`` takes it; None for the data of the run.
        checkpoint: A run folder or a file; None for the newest run.
        split: None for test, else val.
        columns: Names of a CSV's columns.
        device: As torch names it, or ``auto``.
        precision: None computes in float32, on every machine alike.
        output: Folder for report.json, predictions.csv and confusion_matrix.{csv,png}, or None.
        on_bad_image: Whether an image that cannot be read is an error, or left out and told.
        tta: Views whose probabilities are averaged; None looks at the image alone.
    """

    data: str | None = None
    checkpoint: str | None = None
    split: SplitChoice | None = None
    columns: CsvColumns = field(default_factory=CsvColumns)
    device: str = "auto"
    precision: Precision | None = None
    output: str | None = None
    on_bad_image: OnBadImage = "error"
    tta: Tta | None = None


def evaluate_run(settings: EvaluateSettings, reporter: Reporter, world: World = ALONE) -> Report:
    """Evaluate a checkpoint.

    Args:
        settings: What to evaluate.
        reporter: Told how it goes.
        world: The processes that share the images, each once; rank 0 alone writes.

    Returns:
        The report, as ``report.json`` holds it.

    Raises:
        CnncliError: If data and checkpoint do not go together, or an image cannot be read.
    """
    path, newest = find_checkpoint(settings.checkpoint)
    if newest:
        reporter.note(f"checkpoint: {path} (the newest run)")
    network, checkpoint = load_checkpoint(path)
    views = None if settings.tta is None else build_views(settings.tta, checkpoint.augment)
    data, columns = settings.data, settings.columns
    if data is None:
        data, columns = _data_of_run(path, columns)
    samples = match_classes(find_samples(data, columns), checkpoint.class_names)
    samples = _leave_out(samples, path, checkpoint.preprocess, reporter)
    chosen, split = _choose(samples, path, settings.split, reporter)
    samples = take_samples(samples, chosen)
    folder = None if settings.output is None else make_output_folder(settings.output)
    compute = choose_evaluation_compute(settings.device, settings.precision, world)
    report_precision(compute.precision, settings.precision, reporter)
    keep_freed_memory()
    network.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    classifier = checkpoint.classifier(network).to(compute.device)
    share = world.slice(np.arange(len(samples)))
    part = take_samples(samples, share)
    store, bad = _open(part, checkpoint, reporter)
    bad_before = _of_all(bad, share, world)
    check_bad(samples, bad_before, settings.on_bad_image, reporter)
    dataset = SplitDataset(store, keep_good(len(part), bad), part.targets)
    loader = Loader(dataset, evaluation_batch(checkpoint.preprocess))
    with reporter.progress("evaluating", len(part)) as advance:
        targets, probabilities = predict_split(
            classifier, loader, compute, advance, views, shared=True
        )
    bad_since = _of_all(loader.bad, share, world)
    check_bad(samples, bad_since, settings.on_bad_image, reporter)
    samples = take_samples(samples, keep_good(len(samples), {**bad_before, **bad_since}))
    report = report_split(targets, probabilities, checkpoint, split=split, reporter=reporter)
    if settings.tta is not None:
        report["tta"] = settings.tta
    if settings.precision is not None:
        report["precision"] = compute.precision
    if folder is not None and world.is_first:
        _save(folder, report, samples, probabilities)
    return report


def _data_of_run(checkpoint: Path, columns: CsvColumns) -> tuple[str, CsvColumns]:
    """Return what the run that a checkpoint lies in was trained on; given columns win."""
    from cnncli.config import load_config

    config = checkpoint.parent / CONFIG_FILE
    if not config.is_file():
        raise CnncliError("--data: missing; name the images to evaluate on")
    run = load_config(str(config), {})
    return run.data, CsvColumns(
        image=columns.image or run.image_col,
        label=columns.label or run.label_col,
        split=columns.split or run.split_col,
    )


def _leave_out(
    samples: Samples, checkpoint: Path, preprocess: Preprocess, reporter: Reporter
) -> Samples:
    """Return the samples without those that the run could not read, where that is still so."""
    listed = read_left_out(checkpoint.parent / SPLITS_FILE)
    named = [index for index, path in enumerate(samples.paths) if path in listed] if listed else []

    def is_bad(index: int) -> bool:
        try:
            preprocess(samples.source.read(index))
        except (ImageError, OSError):
            return True
        return False

    bad = [index for index in named if is_bad(index)]
    if bad:
        names = shorten([str(samples.paths[index]) for index in bad], 3)
        reporter.note(f"left out, as in the run, since they cannot be read: {len(bad)} ({names})")
    return (
        take_samples(samples, keep_good(len(samples), dict.fromkeys(bad, ""))) if bad else samples
    )


def _choose(
    samples: Samples, checkpoint: Path, wanted: SplitChoice | None, reporter: Reporter
) -> tuple[Array, str]:
    """Decide which images count.

    What the run has seen counts by the run's own split; of the rest, all does, or the split
    the data name where one is asked for.

    Returns:
        Indices, and the report's name for the split.
    """
    manifest = load_manifest(checkpoint.parent / SPLITS_FILE)
    if manifest is None:
        reporter.warn(
            f"no splits.csv beside {checkpoint}: images it was trained on are not recognised"
        )
        seen = np.full(len(samples), UNSEEN, dtype=np.int8)
    else:
        seen = manifest.find_splits(samples)
    new = seen == UNSEEN
    if wanted == "all":
        if (seen == TRAIN).any():
            reporter.warn(f"{(seen == TRAIN).sum()} of the images were trained on")
        return np.arange(len(samples)), _with_origin("all", seen)
    split = SPLITS.index(wanted) if wanted else (TEST if _has_test(checkpoint) else VAL)
    # New images count whole, unless a split was asked for and the data themselves name some.
    counted = samples.splits == split if wanted and (samples.splits != NO_SPLIT).any() else True
    keep = np.flatnonzero((seen == split) | (new & counted))
    _report_left_out(samples, seen, split, reporter)
    if not len(keep):
        raise CnncliError(
            f"--data: none of the {len(samples)} images is in the run's {SPLITS[split]} split; "
            f"they are in {', '.join(_splits_in(seen))}: name one with --split"
        )
    parts: list[str] = [SPLITS[split]] if (seen[keep] == split).any() else []
    parts += ["new images"] if new[keep].any() else []
    return keep, _with_origin(" and ".join(parts), seen[keep])


def _has_test(checkpoint: Path) -> bool:
    manifest = load_manifest(checkpoint.parent / SPLITS_FILE)
    return manifest is None or manifest.has(TEST)


def _splits_in(seen: Array) -> list[str]:
    return [name for number, name in enumerate(SPLITS) if (seen == number).any()]


def _with_origin(name: str, seen: Array) -> str:
    """Say in the report what the images were used for before."""
    uses = []
    if (seen == TRAIN).any():
        uses.append("trained on" if (seen == TRAIN).all() else "partly trained on")
    if (seen == VAL).any():
        uses.append("chosen on" if (seen == VAL).all() else "partly chosen on")
    return f"{name} ({', '.join(uses)})" if uses else name


def _report_left_out(samples: Samples, seen: Array, split: int, reporter: Reporter) -> None:
    for number, use in ((TRAIN, "trained on"), (VAL, "chosen on"), (TEST, "the run's test split")):
        left = np.flatnonzero(seen == number)
        if number != split and len(left):
            names = shorten([str(samples.paths[index]) for index in left], 3)
            reporter.note(f"left out, {use}: {len(left)} images ({names})")


def _of_all(bad: Bad, share: Array, world: World) -> Bad:
    """Return what could not be read in any process, by its number among all images."""
    ours = {int(share[index]): reason for index, reason in bad.items()}
    return {index: reason for part in world.gather(ours) for index, reason in part.items()}


def _open(samples: Samples, checkpoint: Checkpoint, reporter: Reporter) -> tuple[ImageStore, Bad]:
    if not fits_in_memory(len(samples), checkpoint.preprocess):
        return ImageStore(samples.source, checkpoint.preprocess), {}
    with reporter.progress("reading images", len(samples)) as advance:
        store, _, bad = load_images(
            samples, checkpoint.preprocess, threads=count_cpus(), advance=advance
        )
    return store, bad


def _save(folder: Path, report: Report, samples: Samples, probabilities: Array) -> None:
    """Write report.json, predictions.csv and the confusion matrix as CSV and picture."""
    from cnncli.plots.confusion_matrix import save_confusion_matrix

    names = list(samples.class_names)
    save_report(folder / REPORT_FILE, report)
    with (folder / PREDICTIONS_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        header = ("path", "target", "label", "probability")
        writer.writerow((*header, *(f"probability_{name}" for name in names)))
        for path, target, row in zip(samples.paths, samples.targets, probabilities, strict=True):
            best = int(row.argmax())
            values = [f"{value:.6f}" for value in row]
            writer.writerow((path, names[target], names[best], values[best], *values))
    with (folder / "confusion_matrix.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("target", *names))
        for name, counts in zip(names, report["confusion_matrix"], strict=True):
            writer.writerow((name, *counts))
    save_confusion_matrix(folder / "confusion_matrix.png", report["confusion_matrix"], names)
