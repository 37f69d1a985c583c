"""What a run needs before its first step: images, settings and network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.audit.quick import check_quickly
from cnncli.augmentation.build import build_augment
from cnncli.augmentation.classes import complete_steps
from cnncli.augmentation.dry_run import check_pipeline
from cnncli.choices import SPLITS
from cnncli.config import ResolvedConfig, RunConfig
from cnncli.data.epoch_batches import WHOLE_BATCH, BatchShard
from cnncli.data.loader import Loader, SplitDataset
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.data.splits import TRAIN, VAL
from cnncli.data.store import (
    Bad,
    FileDigests,
    ImageStore,
    fit_normalisation,
    fits_in_memory,
    load_images,
    open_images,
)
from cnncli.errors import CnncliError
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.models.build import build_network, has_batch_norm
from cnncli.reporting import Reporter
from cnncli.run.bad_images import exclude_bad
from cnncli.run.choose_preprocess import (
    choose_channels,
    choose_intensity,
    choose_preprocess,
    survey_as_read,
    warn_of_cut,
)
from cnncli.run.defaults import fill_in, size_of, with_batch_size
from cnncli.run.pretrained import find_pretrained
from cnncli.run.samples import gather_samples
from cnncli.training.batch_size import find_batch_size
from cnncli.training.checkpoint import Checkpoint
from cnncli.training.device import Compute, count_cpus
from cnncli.training.state import seed_everything


@dataclass(frozen=True)
class PreparedRun:
    """Everything that is decided before the first step.

    Attributes:
        config: The settings, all of them decided.
        samples: The N labelled images.
        splits: (N,) indices into SPLITS, or NO_SPLIT.
        store: The preprocessed images.
        digests: Sizes and hashes of the image files.
        compute: Device and precision.
        network: The network with the weights that the run starts from, on the CPU.
        bad: The images that cannot be used and are in no split: their number among the samples,
            and why.
    """

    config: ResolvedConfig
    samples: Samples
    splits: Array
    store: ImageStore
    digests: FileDigests
    compute: Compute
    network: nn.Module
    bad: Bad = field(default_factory=dict)

    @property
    def checkpoint(self) -> Checkpoint:
        """What the run's checkpoints hold besides the weights."""
        return _describe(self.config, self.samples, self.store.preprocess)

    def leave_out(self, found: Bad) -> PreparedRun:
        """Return the run without images that turned out to be unusable.

        Args:
            found: The images' numbers among the samples, and why each cannot be used.
        """
        splits = self.splits.copy()
        splits[list(found)] = NO_SPLIT
        return replace(self, splits=splits, bad={**self.bad, **found})

    def indices(self, split: int) -> Array:
        """Return the numbers (M,) of the images in a split."""
        return np.flatnonzero(self.splits == split)

    def loader(
        self,
        split: int,
        *,
        augment: bool = False,
        shuffle: bool = False,
        batch_size: int | None = None,
        sliced: bool = False,
    ) -> Loader:
        """Return a split in batches.

        Args:
            split: Index into SPLITS.
            augment: Whether to augment the images.
            shuffle: Whether to shuffle them for training; each of several processes then gets its
                part of each batch.
            batch_size: Number of images per batch in each process; None for the run's.
            sliced: Whether each process gets only its slice of the split.
        """
        config, world = self.config, self.compute.world
        indices = self.indices(split)
        dataset = SplitDataset(
            self.store,
            world.slice(indices) if sliced else indices,
            self.samples.targets,
            augment=build_augment(config.augment) if augment else None,
            seed=config.seed,
        )
        return Loader(
            dataset,
            batch_size or config.batch_size,
            shuffle_seed=config.seed if shuffle else None,
            workers=config.workers,
            pin_memory=self.compute.device.type == "cuda",
            balanced=shuffle and config.balance == "sampler",
            shard=self.batch_shard if shuffle else WHOLE_BATCH,
        )

    @property
    def batch_shard(self) -> BatchShard:
        """This process's part of each training batch.

        With BatchNorm every process must have at least two images of a batch.
        """
        world = self.compute.world
        min_images = world.size * (2 if has_batch_norm(self.network) else 1)
        return BatchShard(world.rank, world.size, max(2, min_images))


def prepare(config: RunConfig, compute: Compute, reporter: Reporter) -> PreparedRun:
    """Find and read the images, decide the open settings, and build the network.

    Args:
        config: The settings that the user gave.
        compute: Device and precision.
        reporter: Gets remarks, warnings and progress.

    Raises:
        CnncliError: If a setting, an image or the weights are wrong.
    """
    pretrained = find_pretrained(config)
    samples, splits = gather_samples(config, reporter)
    if config.loss == "ordinal" and not samples.ordered:
        raise CnncliError(
            "--loss ordinal: the classes have no order; name them by whole numbers (grades), or "
            "give their order with --class-order"
        )
    survey = survey_as_read(samples, config.intensity, threads=count_cpus())
    expected = pretrained.expects.in_channels if pretrained.expects else None
    channels = choose_channels(config.in_channels, expected, survey)
    intensity, intensity_ranges = choose_intensity(config.intensity, survey)
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
    # Before the images are read, so that a missing weights file is reported at once.
    network = build_network(
        resolved.model,
        num_classes=len(samples.class_names),
        in_channels=preprocess.channels,
        image_size=preprocess.image_size,
        **_network_options(resolved),
    )
    pretrained.load(network, config.model, normalisation, reporter)
    store, digests, bad = _open(samples, preprocess, reporter)
    if config.intensity is None:
        warn_of_cut(samples, store, intensity, reporter)
    if bad:
        splits = exclude_bad(samples, splits, bad, config.on_bad_image, reporter)
    warn_of_data(samples, splits, digests, reporter)
    if normalisation is None:
        fitted = fit_normalisation(store, np.flatnonzero(splits == TRAIN))
        store = replace(store, preprocess=fitted)
    resolved = check_augment(resolved, store, np.flatnonzero(splits == TRAIN))
    run = PreparedRun(resolved, samples, splits, store, digests, compute, network, bad)
    _check_shares(run)
    if config.batch_size == "auto" and compute.device.type == "cuda":
        run = replace(run, config=_fit_batch(run, config, reporter))
    if config.sync_bn:  # after the search for the batch size, in which each process is on its own
        synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        run = replace(run, network=synchronised)
    return run


def _check_shares(run: PreparedRun) -> None:
    """Refuse more processes than there are images for each of them."""
    processes = run.compute.world.size
    for split, min_images in ((TRAIN, run.batch_shard.min_images), (VAL, processes)):
        count = len(run.indices(split))
        if processes > 1 and count < min_images:
            raise CnncliError(
                f"--data: {count} {SPLITS[split]} images for {processes} processes, which need "
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
    reporter.note(f"--batch-size auto: {size} images fit {run.compute.device}")
    return with_batch_size(run.config, size, asked, processes=world.size, train_images=count)


def _open(
    samples: Samples, preprocess: Preprocess, reporter: Reporter
) -> tuple[ImageStore, FileDigests, Bad]:
    """Read all images if they fit in memory, else only check that the files are there."""
    if not fits_in_memory(len(samples), preprocess):
        reporter.note("the images do not fit in memory: they are read anew in every epoch")
        return open_images(samples, preprocess)
    with reporter.progress("reading images", len(samples)) as advance:
        return load_images(samples, preprocess, threads=count_cpus(), advance=advance)


def _network_options(config: ResolvedConfig) -> dict[str, Any]:
    """Return what is to be exchanged in the network, by the arguments of `build_network`."""
    options = {"activation": config.activation, "norm": config.norm, "dropout": config.dropout}
    return {name: value for name, value in options.items() if value is not None}


def _describe(config: ResolvedConfig, samples: Samples, preprocess: Preprocess) -> Checkpoint:
    return Checkpoint(
        model=config.model,
        class_names=samples.class_names,
        preprocess=preprocess,
        options=_network_options(config),
        ordered=samples.ordered,
        augment=[] if config.augment == "none" else config.augment,
    )


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


def warn_of_data(samples: Samples, splits: Array, digests: FileDigests, reporter: Reporter) -> None:
    """Warn of faults in the data that can be found without decoding the images."""
    found = list(check_quickly(samples, splits, digests.hashes, threads=count_cpus()))
    for finding in found:
        reporter.warn(finding.text)
    if found:
        reporter.note("cnncli check-data says more, and names the images")
