"""What an epoch trains and validates: batches of images, or of features computed once."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnncli.data.loader import Loader
from cnncli.data.splits import TRAIN, VAL
from cnncli.errors import count_of
from cnncli.models.build import Classifier
from cnncli.models.freeze_plan import FreezePlan
from cnncli.reporting import Reporter
from cnncli.run.prepared_run import PreparedRun
from cnncli.training.epoch_inputs import EpochInputs
from cnncli.training.feature_head import Head, HeadClassifier, detect_head
from cnncli.training.features import FeatureLoader, Features, compute_features
from cnncli.training.kept_features import digest_layers


def build_inputs(run: PreparedRun, plan: FreezePlan) -> EpochInputs:
    """Return the run's whole network, moved to the run's device, with batches of images."""
    config, device = run.config, run.compute.device
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    run.network.to(device, memory_format=layout)  # type: ignore[call-overload]

    def classify(network: nn.Module) -> Classifier:
        return run.checkpoint.classifier(network).to(device)

    train = run.loader(TRAIN, augment=config.augment != "none", shuffle=True)
    val = run.loader(VAL, sliced=True)
    return EpochInputs(
        classify(run.network), train, val, plan.train_mode, classify, image_loaders=(train, val)
    )


def keep_features(
    run: PreparedRun, plan: FreezePlan, images: EpochInputs, spill: Path, reporter: Reporter
) -> EpochInputs:
    """Run a frozen backbone once, and return its head with batches of the features it gave.

    Args:
        run: The images and settings.
        plan: What is frozen in which epoch.
        images: The inputs with batches of images, as :func:`build_inputs` returns them.
        spill: Folder for a file of features that are too large for memory.
        reporter: Gets a line about what was done.

    Returns:
        The inputs of features; ``images`` itself where the backbone does not give the same output
        for an image in every epoch, or where more than the head must run on its output.
    """
    config = run.config
    is_augmented = config.augment != "none"
    is_fixed = plan.backbone_is_fixed and (not is_augmented or config.augment_views > 1)
    if not is_fixed or config.mixup or config.cutmix:
        return images
    classifier, val = images.classifier, images.val
    assert isinstance(classifier, Classifier)
    assert isinstance(val, Loader)
    plan.train_mode()
    with closing(run.loader(VAL)) as loader:
        head = detect_head(classifier, config.model, loader, plan.frozen, run.compute)
    if head is None:
        reporter.note(f"{config.model}: what follows its head must run too: no features are kept")
        return images
    start = time.perf_counter()
    in_order = run.loader(TRAIN, augment=is_augmented)
    with closing(in_order):
        compute = _compute_shared if run.shared else _compute_own
        train_features, val_features, told = compute(run, images, head, in_order, spill, reporter)
    reporter.note(told.format(seconds=time.perf_counter() - start))
    return _build_feature_inputs(run, head, train_features, val_features, (in_order, val))


def _compute_own(
    run: PreparedRun,
    images: EpochInputs,
    head: Head,
    in_order: Loader,
    spill: Path,
    reporter: Reporter,
) -> tuple[Features, Features, str]:
    """Compute the features of train and val, and return them and a line about it."""
    classifier, val = images.classifier, images.val
    assert isinstance(classifier, Classifier)
    assert isinstance(val, Loader)
    views = _count_views(run)
    count = views * in_order.count + val.count
    with reporter.progress("features", count) as advance:
        train_features = compute_features(
            classifier, head, in_order, run.compute, views=views, spill=spill, advance=advance
        )
        classifier.eval()
        val_features = compute_features(
            classifier, head, val, run.compute, spill=spill, advance=advance
        )
    return train_features, val_features, _tell(count)


def _compute_shared(
    run: PreparedRun,
    images: EpochInputs,
    head: Head,
    in_order: Loader,
    spill: Path,
    reporter: Reporter,
) -> tuple[Features, Features, str]:
    """Compute the features of all images, or take those of an earlier fold, as `_compute_own`."""
    classifier, kept = images.classifier, run.shared
    assert isinstance(classifier, Classifier)
    assert kept is not None
    numbers, views = run.indices(None), _count_views(run)
    config = run.config
    layers = digest_layers(run.network, head.paths, numbers)
    form = (layers, run.store.preprocess, config.batch_size, str(config.augment), config.seed)

    def compute(views: int, *, augment: bool) -> Features:
        with (
            closing(run.loader(None, augment=augment)) as loader,
            reporter.progress("features", views * loader.count) as advance,
        ):
            return compute_features(
                classifier, head, loader, run.compute, views=views, spill=spill, advance=advance
            )

    augmented = config.augment != "none"
    every, was_kept = kept.take(("train", *form), lambda: compute(views, augment=augmented))
    classifier.eval()
    plain = every
    if augmented:
        plain, _ = kept.take(("plain", *form), lambda: compute(1, augment=False))
    train = every.select(np.searchsorted(numbers, run.indices(TRAIN)))
    mine = run.compute.world.slice(run.indices(VAL))
    told = _tell((views + augmented) * len(numbers))
    told = "the frozen backbone's features are those of the first fold" if was_kept else told
    return train, plain.select(np.searchsorted(numbers, mine)), told


def _count_views(run: PreparedRun) -> int:
    return run.config.augment_views if run.config.augment != "none" else 1


def _tell(count: int) -> str:
    images = count_of(count, "image")
    return f"the frozen backbone ran once: features of {images} in {{seconds:.1f}} s"


def _build_feature_inputs(
    run: PreparedRun,
    head: Head,
    train: Features,
    val: Features,
    image_loaders: tuple[Loader, ...],
) -> EpochInputs:
    config, module = run.config, head.module(run.network)
    train_loader = FeatureLoader(
        train,
        config.batch_size,
        shuffle_seed=config.seed,
        balanced=config.balance == "sampler",
        shard=run.batch_shard,
    )
    return EpochInputs(
        HeadClassifier(module),
        train_loader,
        FeatureLoader(val, config.batch_size, shuffle_seed=None),
        module.train,
        lambda network: HeadClassifier(head.module(network)),
        image_loaders,
    )
