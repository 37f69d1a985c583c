"""Fit: epoch by epoch, keep the best, stop when it gets no better."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnncli.data.loader import Loader
from cnncli.data.manifest import save_manifest
from cnncli.data.sources import NO_SPLIT
from cnncli.data.splits import TEST, TRAIN, VAL
from cnncli.evaluation.metrics import log_loss, validation_metrics
from cnncli.evaluation.plots import save_curves
from cnncli.models.build import Classifier
from cnncli.recipes.bad_images import check_bad, save_bad
from cnncli.recipes.prepare import Prepared, tell_plan
from cnncli.recipes.transfer import FreezePlan
from cnncli.reporting import Reporter
from cnncli.training.balance import balance_rows, class_weights
from cnncli.training.checkpoint import BEST, LAST, save_checkpoint, save_last
from cnncli.training.features import FeatureLoader, HeadClassifier, compute_features, find_head
from cnncli.training.history import EarlyStopping, History, Row
from cnncli.training.loop import Trainer, predict_split
from cnncli.training.losses import build_loss
from cnncli.training.schedule import warmup_cosine

Advance = Callable[[int, str], None]


@dataclass(frozen=True)
class Loop:
    """What an epoch runs on: images and the whole network, or features and its head.

    Attributes:
        classifier: What is trained.
        train: Its batches.
        val: The batches the best epoch is chosen on.
        train_mode: Puts it in train mode, but for what is frozen.
    """

    classifier: Classifier | HeadClassifier
    train: Loader | FeatureLoader
    val: Loader | FeatureLoader
    train_mode: Callable[[], object]


def fit(run: Prepared, run_dir: Path, reporter: Reporter, *, cache_features: bool = True) -> None:
    """Train, and write the run folder's metrics, checkpoints and curves.

    Args:
        run: All that is known before the first step.
        run_dir: The run's folder.
        reporter: Told of every epoch.
        cache_features: Whether a backbone that stays frozen may run only once; the result is
            the same, bit by bit in float32.

    Raises:
        CnncliError: If the loss is not finite, or the folder cannot be written.
    """
    config, network = run.config, run.network
    plan = FreezePlan(network, config)
    loop = _build_loop(run, plan, run_dir, reporter, cache_features=cache_features)
    trainer = _build_trainer(run, plan, loop)
    tell_plan(run, len(loop.train), reporter)
    if config.freeze != "none" or len(set(plan.scales.values())) > 1:
        reporter.table(f"freeze {config.freeze}", plan.table(config.lr))
    if config.balance != "none":
        targets = run.samples.targets[run.indices(TRAIN)]
        rows = balance_rows(config.balance, targets, run.samples.class_names)
        reporter.table(f"balance {config.balance}", rows)
    history = History(run_dir / "metrics.csv")
    stopping = EarlyStopping(config.monitor, config.patience)
    images = (loop.train.count + loop.val.count) * config.epochs
    with reporter.progress("training", images) as advance:
        for epoch in range(1, config.epochs + 1):
            if plan.begin(epoch):
                policy = plan.unfreezing.at(epoch)
                reporter.table(f"freeze {policy} from epoch {epoch}", plan.table(config.lr))
            row = _train_epoch(trainer, loop, epoch, advance)
            if stopping.update(row):
                best = replace(
                    run.checkpoint, freeze=plan.unfreezing.at(epoch), epoch=epoch, metrics=row
                )
                save_checkpoint(run_dir / BEST, network, best)
            save_last(run_dir / LAST, _state(network, trainer, row))
            history.append(row)
            if epoch == 1 and run.store.cached is None:
                _look_through(run, run_dir, reporter)
            reporter.note(_tell_epoch(row, config.epochs, is_best=stopping.best is row))
            if stopping.should_stop:
                reporter.note(f"stopped: {config.patience} epochs without a better one")
                break
    assert stopping.best is not None
    best_epoch = int(stopping.best["epoch"])
    save_curves(run_dir / "curves.png", history.rows, best_epoch=best_epoch)


def _look_through(run: Prepared, run_dir: Path, reporter: Reporter) -> None:
    """Tell what the first epoch found that cannot be read; the test split is read for it.

    Raises:
        CnncliError: If there is any and it is not to be skipped; the first epoch is kept.
    """
    for _ in run.loader(TEST).epoch(1):
        pass
    found = {i: reason for i, reason in run.bad.items() if run.splits[i] != NO_SPLIT}
    check_bad(run.samples, found, run.config.on_bad_image, reporter)
    if found:
        run.splits[list(found)] = NO_SPLIT
        save_manifest(run_dir / "splits.csv", run.samples, run.splits, run.facts)
        save_bad(run_dir, run.samples, run.bad)


def _build_loop(
    run: Prepared, plan: FreezePlan, run_dir: Path, reporter: Reporter, *, cache_features: bool
) -> Loop:
    """Return the loop over images, or over features where the backbone gives the same each time."""
    config, device = run.config, run.compute.device
    run.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    classifier = run.checkpoint.classifier(run.network).to(device)
    augmented = config.augment != "none"
    train = run.loader(TRAIN, augment=augmented, shuffle=True)
    images = Loop(classifier, train, run.loader(VAL), plan.train_mode)
    fixed = plan.backbone_is_fixed and (not augmented or config.augment_views > 1)
    if not (cache_features and fixed):
        return images
    plan.train_mode()
    head = find_head(classifier, config.model, run.loader(VAL), plan.frozen, run.compute)
    if head is None:
        reporter.note(f"{config.model}: what follows its head must run too: no features are kept")
        return images
    start = time.perf_counter()
    views = config.augment_views if augmented else 1
    count = views * train.count + len(run.indices(VAL))
    with reporter.progress("features", count) as advance:
        kept = compute_features(
            classifier,
            head,
            run.loader(TRAIN, augment=augmented),
            run.compute,
            views=views,
            spill=run_dir,
            advance=advance,
        )
        classifier.eval()
        judged = compute_features(
            classifier, head, run.loader(VAL), run.compute, advance=advance, spill=run_dir
        )
    seconds = time.perf_counter() - start
    reporter.note(f"the frozen backbone ran once: features of {count:,} images in {seconds:.1f} s")
    module = head.module(run.network)
    return Loop(
        HeadClassifier(module),
        FeatureLoader(
            kept,
            config.batch_size,
            shuffle_seed=config.seed,
            balanced=config.balance == "sampler",
        ),
        FeatureLoader(judged, config.batch_size, shuffle_seed=None),
        module.train,
    )


def _build_trainer(run: Prepared, plan: FreezePlan, loop: Loop) -> Trainer:
    config = run.config
    peak, steps = config.lr, config.epochs * len(loop.train)
    warmup = round(0.15 * steps)
    return Trainer(
        classifier=loop.classifier,
        optimizer=torch.optim.AdamW(plan.parameter_groups(config.weight_decay), lr=peak),
        lr_at=lambda step: peak * warmup_cosine(step, steps, warmup),
        criterion=_build_loss(run),
        compute=run.compute,
        train_mode=loop.train_mode,
        clip=1.0,
    )


def _build_loss(run: Prepared) -> nn.Module:
    config, num_classes = run.config, len(run.samples.class_names)
    weights = None
    if config.balance == "loss":
        weights = class_weights(run.samples.targets[run.indices(TRAIN)], num_classes)
    loss = build_loss(
        "cross_entropy",
        num_classes,
        label_smoothing=config.label_smoothing,
        class_weights=weights,
    )
    return loss.to(run.compute.device)


def _train_epoch(trainer: Trainer, loop: Loop, epoch: int, advance: Advance) -> Row:
    """Train and validate one epoch; return its row of ``metrics.csv``."""
    start = time.perf_counter()
    done = 0

    def show(count: int, text: str) -> None:
        nonlocal done
        done += count
        rate = done / (time.perf_counter() - start)
        advance(count, f"epoch {epoch}, {rate:,.0f} images/s")

    lr = trainer.lr
    result = trainer.train_epoch(loop.train, epoch, show)
    train_seconds = time.perf_counter() - start
    targets, probabilities = predict_split(loop.classifier, loop.val, trainer.compute, advance)
    if not np.isfinite(probabilities).all():  # the epoch's last step has broken the weights
        trainer.stop_not_finite(epoch)
    scores = validation_metrics(targets, probabilities)
    return {
        "epoch": epoch,
        "seconds": round(time.perf_counter() - start, 3),
        "images_per_second": round(loop.train.count / train_seconds, 1),
        "lr": lr,
        "train_loss": result.loss,
        "train_accuracy": result.accuracy,
        "val_loss": log_loss(targets, probabilities),
        **{f"val_{name}": value for name, value in scores.items()},
    }


def _state(network: nn.Module, trainer: Trainer, row: Row) -> dict[str, object]:
    return {
        "epoch": row["epoch"],
        "step": trainer.step,
        "network": network.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
    }


def _tell_epoch(row: Row, epochs: int, *, is_best: bool) -> str:
    return (
        f"epoch {row['epoch']:>3}/{epochs}  {row['seconds']:6.1f} s  "
        f"train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}  "
        f"val loss {row['val_loss']:.4f} accuracy {row['val_accuracy']:.4f} "
        f"macro F1 {row['val_macro_f1']:.4f}{'  best' if is_best else ''}"
    )
