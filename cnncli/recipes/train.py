"""Train: from a config to a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnncli.choices import SPLITS, format_size
from cnncli.config import ResolvedConfig, RunConfig, dump_config
from cnncli.data.loader import Loader, SplitDataset
from cnncli.data.manifest import save_manifest
from cnncli.data.sources import Array, Samples, split_counts
from cnncli.data.splits import TEST, TRAIN, VAL
from cnncli.data.store import (
    FileFacts,
    ImageStore,
    fit_normalisation,
    fits_in_memory,
    load_images,
    look_at,
    open_images,
)
from cnncli.errors import CnncliError, did_you_mean
from cnncli.evaluation.metrics import log_loss, validation_metrics
from cnncli.evaluation.plots import save_curves
from cnncli.images.augment import build_augment
from cnncli.images.preprocess import Preprocess
from cnncli.models.build import count_parameters, has_batch_norm
from cnncli.models.registry import find_model
from cnncli.recipes.defaults import fill_in, size_of
from cnncli.recipes.judge import Report, judge, save_report, summary_rows
from cnncli.recipes.samples import gather_samples
from cnncli.reporting import Reporter
from cnncli.training.checkpoint import (
    BEST,
    LAST,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    save_last,
    write_atomically,
)
from cnncli.training.device import (
    Compute,
    count_cpus,
    deterministic_algorithms,
    keep_freed_memory,
    pick_compute,
)
from cnncli.training.history import MONITORS, EarlyStopping, History, Row
from cnncli.training.loop import Trainer, parameter_groups, predict_split
from cnncli.training.run_dir import new_run_dir
from cnncli.training.schedule import warmup_cosine


@dataclass(frozen=True)
class Prepared:
    """All that is known before the first step."""

    config: ResolvedConfig
    samples: Samples
    splits: Array
    store: ImageStore
    facts: FileFacts
    compute: Compute

    def indices(self, split: int) -> Array:
        return np.flatnonzero(self.splits == split)


def train_run(config: RunConfig, reporter: Reporter) -> Path:
    """Train a classifier and evaluate its best epoch.

    Returns:
        The run folder.

    Raises:
        CnncliError: If a setting or an image is wrong, before anything is trained; or if
            training fails, with the best epoch so far in the run folder.
    """
    find_model(config.model)
    if config.monitor not in MONITORS:
        near = did_you_mean(config.monitor, MONITORS)
        raise CnncliError(f"--monitor {config.monitor}: one of {', '.join(MONITORS)}{near}")
    compute = pick_compute(config.device, config.precision)
    keep_freed_memory()
    with new_run_dir(config.output, config.model) as run_dir:
        run = _prepare(config, compute, reporter)
        text = dump_config(run.config)
        write_atomically(run_dir / "config.yaml", lambda part: part.write_text(text, "utf-8"))
        save_manifest(run_dir / "splits.csv", run.samples, run.splits, run.facts)
        with deterministic_algorithms(compute.device):
            _fit(run, run_dir, reporter)
            report = _evaluate_best(run, run_dir, reporter)
        save_report(run_dir / "report.json", report)
        reporter.table(f"{report['split']}, {report['images']} images", summary_rows(report))
    return run_dir


def _prepare(config: RunConfig, compute: Compute, reporter: Reporter) -> Prepared:
    samples, splits = gather_samples(config, reporter)
    threads = count_cpus()
    look = look_at(samples, threads=threads)
    train_images = int((splits == TRAIN).sum())
    resolved = fill_in(config, look=look, train_images=train_images, compute=compute)
    height, width = size_of(resolved)
    preprocess = Preprocess(height, width, resolved.in_channels, resize_mode=config.resize_mode)
    if fits_in_memory(len(samples), preprocess):
        with reporter.progress("reading images", len(samples)) as advance:
            store, facts = load_images(samples, preprocess, threads=threads, advance=advance)
    else:
        reporter.note("the images do not fit in memory: they are read anew in every epoch")
        store, facts = open_images(samples, preprocess)
    preprocess = fit_normalisation(store, np.flatnonzero(splits == TRAIN))
    store = replace(store, preprocess=preprocess)
    return Prepared(resolved, samples, splits, store, facts, compute)


def _build_trainer(run: Prepared, checkpoint: Checkpoint, steps_per_epoch: int) -> Trainer:
    config = run.config
    torch.manual_seed(config.seed)
    network = checkpoint.build()
    if config.batch_size == 1 and has_batch_norm(network):
        raise CnncliError(
            f"--batch-size 1: {config.model} has BatchNorm, which needs at least two images per "
            "step; use --batch-size 2 or more"
        )
    network.to(run.compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    peak, steps = config.lr, config.epochs * steps_per_epoch
    warmup = round(0.15 * steps)
    return Trainer(
        classifier=checkpoint.classifier(network).to(run.compute.device),
        optimizer=torch.optim.AdamW(parameter_groups(network, config.weight_decay), lr=peak),
        lr_at=lambda step: peak * warmup_cosine(step, steps, warmup),
        criterion=nn.CrossEntropyLoss(label_smoothing=config.label_smoothing or 0.0),
        compute=run.compute,
        clip=1.0,
    )


def _loader(run: Prepared, split: int, *, training: bool) -> Loader:
    config = run.config
    dataset = SplitDataset(
        run.store,
        run.indices(split),
        run.samples.targets,
        augment=build_augment(config.augment) if training else None,
        seed=config.seed,
    )
    return Loader(
        dataset,
        config.batch_size,
        shuffle_seed=config.seed if training else None,
        workers=config.workers,
        pin_memory=run.compute.device.type == "cuda",
    )


def _fit(run: Prepared, run_dir: Path, reporter: Reporter) -> None:
    """Train epoch by epoch, keep the best, stop when it gets no better."""
    config = run.config
    checkpoint = Checkpoint(
        model=config.model,
        class_names=run.samples.class_names,
        preprocess=run.store.preprocess,
        ordered=run.samples.ordered,
    )
    train, val = _loader(run, TRAIN, training=True), _loader(run, VAL, training=False)
    trainer = _build_trainer(run, checkpoint, len(train))
    network = trainer.classifier.network
    _tell_plan(run, network, len(train), reporter)
    history = History(run_dir / "metrics.csv")
    stopping = EarlyStopping(config.monitor, config.patience)
    images = (train.count + val.count) * config.epochs
    with reporter.progress("training", images) as advance:
        for epoch in range(1, config.epochs + 1):
            row = _train_epoch(trainer, train, val, epoch, advance)
            if stopping.update(row):
                best = replace(checkpoint, epoch=epoch, metrics=row)
                save_checkpoint(run_dir / BEST, network, best)
            save_last(run_dir / LAST, _state(trainer, row))
            history.append(row)
            reporter.note(_tell_epoch(row, config.epochs, is_best=stopping.best is row))
            if stopping.should_stop:
                reporter.note(f"stopped: {config.patience} epochs without a better one")
                break
    assert stopping.best is not None
    best_epoch = int(stopping.best["epoch"])
    save_curves(run_dir / "curves.png", history.rows, best_epoch=best_epoch)


def _train_epoch(
    trainer: Trainer, train: Loader, val: Loader, epoch: int, advance: Callable[[int, str], None]
) -> Row:
    """Train and validate one epoch; return its row of ``metrics.csv``."""
    start = time.perf_counter()
    done = 0

    def show(count: int, text: str) -> None:
        nonlocal done
        done += count
        rate = done / (time.perf_counter() - start)
        advance(count, f"epoch {epoch}, {rate:,.0f} images/s")

    lr = trainer.lr
    result = trainer.train_epoch(train, epoch, show)
    train_seconds = time.perf_counter() - start
    targets, probabilities = predict_split(trainer.classifier, val, trainer.compute, advance)
    scores = validation_metrics(targets, probabilities)
    return {
        "epoch": epoch,
        "seconds": round(time.perf_counter() - start, 3),
        "images_per_second": round(train.count / train_seconds, 1),
        "lr": lr,
        "train_loss": result.loss,
        "train_accuracy": result.accuracy,
        "val_loss": log_loss(targets, probabilities),
        **{f"val_{name}": value for name, value in scores.items()},
    }


def _state(trainer: Trainer, row: Row) -> dict[str, object]:
    return {
        "epoch": row["epoch"],
        "step": trainer.step,
        "network": trainer.classifier.network.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
    }


def _evaluate_best(run: Prepared, run_dir: Path, reporter: Reporter) -> Report:
    """Judge the checkpoint as it was written, on test if there is one, else on val."""
    network, checkpoint = load_checkpoint(run_dir / BEST)
    network.to(run.compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    classifier = checkpoint.classifier(network).to(run.compute.device)
    split = TEST if len(run.indices(TEST)) else VAL
    loader = _loader(run, split, training=False)
    targets, probabilities = predict_split(classifier, loader, run.compute)
    name = SPLITS[split] if split == TEST else "val (chosen on)"
    return judge(targets, probabilities, checkpoint, split=name, reporter=reporter)


def _tell_plan(run: Prepared, network: nn.Module, steps: int, reporter: Reporter) -> None:
    config, counts = run.config, split_counts(run.splits)
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    colour = "grey" if config.in_channels == 1 else f"{config.in_channels} channels"
    reporter.note(
        f"{parts} images of {len(run.samples.class_names)} classes, {colour}, "
        f"{format_size(size_of(config))} px ({config.resize_mode})"
    )
    reporter.note(
        f"{config.model}, {count_parameters(network):,} parameters; {run.compute.device}, "
        f"{run.compute.precision}, {torch.get_num_threads()} threads, {config.workers} workers; "
        f"batch {config.batch_size}, {steps} steps per epoch, at most {config.epochs} epochs, "
        f"lr {config.lr:g}"
    )


def _tell_epoch(row: Row, epochs: int, *, is_best: bool) -> str:
    return (
        f"epoch {row['epoch']:>3}/{epochs}  {row['seconds']:6.1f} s  "
        f"train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}  "
        f"val loss {row['val_loss']:.4f} accuracy {row['val_accuracy']:.4f} "
        f"macro F1 {row['val_macro_f1']:.4f}{'  best' if is_best else ''}"
    )
