"""What an epoch trains and validates: batches of images, or of features computed once."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

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
from cnncli.training.features import (
    FeatureLoader,
    Features,
    Head,
    HeadClassifier,
    compute_features,
    detect_head,
)


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
    views = config.augment_views if is_augmented else 1
    in_order = run.loader(TRAIN, augment=is_augmented)
    count = views * in_order.count + val.count
    with closing(in_order), reporter.progress("features", count) as advance:
        train_features = compute_features(
            classifier, head, in_order, run.compute, views=views, spill=spill, advance=advance
        )
        classifier.eval()
        val_features = compute_features(
            classifier, head, val, run.compute, spill=spill, advance=advance
        )
    seconds = time.perf_counter() - start
    reporter.note(
        f"the frozen backbone ran once: features of {count_of(count, 'image')} in {seconds:.1f} s"
    )
    return _build_feature_inputs(run, head, train_features, val_features, (in_order, val))


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
