"""What a run needs before its first step: images, settings and network."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.audit.findings import Finding
from cnncli.audit.quick import check_quickly
from cnncli.augmentation.classes import complete_steps
from cnncli.augmentation.dry_run import check_pipeline
from cnncli.choices import SPLITS
from cnncli.config import ResolvedConfig, RunConfig
from cnncli.data.samples import Samples
from cnncli.data.splits import TRAIN, VAL
from cnncli.data.store import (
    FileDigests,
    ImageStore,
    fit_normalisation,
)
from cnncli.errors import CnncliError, count_of
from cnncli.images.header import ImageError
from cnncli.models.build import build_network
from cnncli.reporting import ListeningReporter, Reporter
from cnncli.run.bad_images import exclude_bad
from cnncli.run.begun import BegunRun
from cnncli.run.choose_preprocess import (
    choose_channels,
    choose_intensity,
    choose_preprocess,
    survey_as_read,
)
from cnncli.run.data_check import as_data_check
from cnncli.run.defaults import fill_in, size_of, with_batch_size
from cnncli.run.fold import Fold
from cnncli.run.opened_images import OpenedImages
from cnncli.run.prepared_run import PreparedRun, network_options
from cnncli.run.pretrained import Pretrained, find_pretrained
from cnncli.run.samples import gather_samples
from cnncli.run.scales import warn_of_scales
from cnncli.run.settle_form import settle_form
from cnncli.run.settle_head import can_fit, refuse_fit, settle_head, tell_squash
from cnncli.run.warn_of_cut import warn_of_cut
from cnncli.run.warn_of_reuse import warn_of_reuse
from cnncli.training.batch_size import find_batch_size
from cnncli.training.cores import count_cpus
from cnncli.training.device import Compute
from cnncli.training.history import KAPPA
from cnncli.training.state import seed_everything


def prepare(
    config: RunConfig,
    compute: Compute,
    reporter: Reporter,
    begun: BegunRun | None = None,
    fold: Fold | None = None,
) -> PreparedRun:
    """Find and read the images, decide the open settings, and build the network.

    Args:
        config: The settings that the user gave.
        compute: Device and precision.
        reporter: Gets remarks, warnings and progress.
        begun: The run that is resumed; None for a new run.
        fold: The fold of a cross-validation that the run is of; None for a run of its own.

    Raises:
        CnncliError: If a setting, an image or the weights are wrong, or if the images are not those
            that the run was begun with.
    """
    asked, config = config, settle_head(config, compute, reporter)
    pretrained = find_pretrained(config)
    heard: list[str] = []
    listener = ListeningReporter(reporter, heard)
    samples, splits = _gather(config, listener, begun, fold)
    images = OpenedImages() if fold is None else fold.images
    survey = survey_as_read(samples, config.intensity, config.in_channels, threads=count_cpus())
    channels = choose_channels(config.in_channels, _expected_channels(pretrained), survey)
    intensity, intensity_ranges = choose_intensity(config.intensity, survey, listener)
    resolved = fill_in(
        config,
        pretrained,
        look=survey,
        in_channels=channels.total,
        intensity=intensity,
        train_images=int((splits == TRAIN).sum()),
        compute=compute,
    )
    normalisation = pretrained.normalisation(config.model, resolved.in_channels)
    preprocess = choose_preprocess(
        survey,
        channels,
        intensity_ranges,
        size_of(resolved),
        resize_mode=resolved.resize_mode,
        exact_decode=resolved.exact_decode,
        expects=pretrained.expects,
        normalisation=normalisation,
    )
    seed_everything(config.seed)
    options = network_options(resolved, linear_head=pretrained.linear_head)
    # Before the images are read, so that a missing weights file is reported at once.
    network = build_network(
        resolved.model,
        num_classes=len(samples.class_names),
        in_channels=preprocess.channels,
        image_size=preprocess.image_size,
        **options,
    )
    if resolved.fits_head and not can_fit(network, resolved.model, preprocess):
        return prepare(refuse_fit(asked, reporter), compute, reporter, begun, fold)
    pretrained.load(network, resolved, samples.class_names, normalisation, reporter)
    store, digests, bad = images.open(samples, preprocess, listener)
    warn_of_cut(samples, store, intensity, listener, named=config.intensity is not None)
    warn_of_scales(samples, survey, store, listener)
    if bad:
        splits = exclude_bad(samples, splits, bad, config.on_bad_image, listener)
    _check_monitor(config.monitor, samples.targets[splits == VAL])
    findings = warn_of_data(samples, splits, digests, listener)
    _warn_of_weights(pretrained, samples, splits, begun, listener)
    of_train = np.flatnonzero(splits == TRAIN)
    if normalisation is None:
        store = replace(store, preprocess=fit_normalisation(store, of_train))
    resolved = check_augment(resolved, store, of_train)
    run = PreparedRun(resolved, samples, splits, store, digests, compute, network, bad, options)
    _check_shares(run)
    kept = None if fold is None else fold.images.features
    run = replace(run, kept=kept, data_check=as_data_check(findings, heard))
    run = settle_form(run, config, pretrained, survey, images, reporter)
    return _settle(run, config, pretrained, reporter)


def _gather(
    config: RunConfig, reporter: Reporter, begun: BegunRun | None, fold: Fold | None
) -> tuple[Samples, Array]:
    """Return the images and the split of each: those of the fold, or of the run that is resumed."""
    if fold is not None and begun is None:
        return fold.samples, fold.splits
    with nullcontext() if begun is None else begun.explain_data(config.data):
        return gather_samples(config, reporter, begun)


def _settle(
    run: PreparedRun,
    asked: RunConfig,
    pretrained: Pretrained,
    reporter: Reporter,
) -> PreparedRun:
    """Return the run with what can only be decided by running the network on images."""
    if not run.config.fits_head:
        tell_squash(asked, run.config.resize_mode, pretrained.resize_mode, reporter)
    if asked.batch_size == "auto" and run.compute.device.type == "cuda":
        run = replace(run, config=_fit_batch(run, asked, reporter))
    if asked.sync_bn:  # after the search for the batch size, in which each process is on its own
        synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(run.network)  # type: ignore[no-untyped-call]
        run = replace(run, network=synchronised)
    return run


def _check_monitor(monitor: str, val_targets: Array) -> None:
    """Refuse to choose the epoch by a value that the val images, all of one class, do not have."""
    if monitor == KAPPA and len(np.unique(val_targets)) < 2:
        raise CnncliError(
            f"--monitor {KAPPA}: undefined, since all val images are of one class; choose by "
            "another column, such as val_loss"
        )


def _check_shares(run: PreparedRun) -> None:
    """Refuse more processes than there are images for each of them."""
    processes = run.compute.world.size
    for split, min_images in ((TRAIN, run.batch_shard.min_images), (VAL, processes)):
        count = len(run.indices(split))
        if processes > 1 and count < min_images:
            raise CnncliError(
                f"--data: {count_of(count, f'{SPLITS[split]} image')} for {processes} processes, "
                "which need "
                f"{min_images} at least; start fewer"
            )


def _fit_batch(run: PreparedRun, asked: RunConfig, reporter: Reporter) -> ResolvedConfig:
    """Return the config with the largest batch that fits on the GPU of every process."""
    form, world, count = run.store.preprocess, run.compute.world, len(run.indices(TRAIN))
    # A blank one, since an image of the data may turn out to be unreadable.
    blank = np.zeros((*form.image_size, form.channels), form.dtype)
    size = find_batch_size(
        run.checkpoint.classifier(run.network),
        torch.from_numpy(blank),
        len(run.samples.class_names),
        run.compute,
        most=count // world.size,
    )
    size = min(world.gather(size))
    reporter.note(
        f"--batch-size auto: {count_of(size, 'image fits', 'images fit')} {run.compute.device}"
    )
    return with_batch_size(run.config, size, asked, processes=world.size, train_images=count)


def check_augment(config: ResolvedConfig, store: ImageStore, indices: Array) -> ResolvedConfig:
    """Try the augmentation on a training image, and return the config with all its arguments.

    Args:
        config: The settings; the arguments of its augmentation may be incomplete.
        store: The preprocessed images.
        indices: Numbers of the training images; the first one that can be read is tried.

    Raises:
        CnncliError: If a step of the augmentation changes an image's shape or dtype.
    """
    if config.augment == "none":
        return config
    for index in indices.tolist():
        try:
            image = store[index]
        except ImageError:
            continue  # it is reported with all others after the first epoch
        check_pipeline(config.augment, image)
        break
    return config.model_copy(update={"augment": complete_steps(config.augment)})


def _expected_channels(pretrained: Pretrained) -> int | None:
    return pretrained.expects.in_channels if pretrained.expects else None


def _warn_of_weights(
    pretrained: Pretrained,
    samples: Samples,
    splits: Array,
    begun: BegunRun | None,
    reporter: Reporter,
) -> None:
    """Warn of images that the weights of a new run were trained on."""
    if begun is None and pretrained.source is not None:
        warn_of_reuse(pretrained.source.path, samples, splits, reporter)


def warn_of_data(
    samples: Samples, splits: Array, digests: FileDigests, reporter: Reporter
) -> list[Finding]:
    """Warn of faults in the data that can be found without decoding the images; return them."""
    found = list(check_quickly(samples, splits, digests.hashes, threads=count_cpus()))
    for finding in found:
        reporter.warn(finding.text)
    if found:
        reporter.note("cnncli check-data says more, and names the images")
    return found
