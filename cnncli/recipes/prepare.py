"""All that comes before the first step: images, settings, network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import nn

from cnncli.choices import Interpolation, format_size
from cnncli.config import ResolvedConfig, RunConfig
from cnncli.data.loader import Loader, SplitDataset
from cnncli.data.sources import Array, Samples, split_counts
from cnncli.data.splits import TRAIN
from cnncli.data.store import (
    FileFacts,
    ImageStore,
    fit_normalisation,
    fits_in_memory,
    load_images,
    look_at,
    open_images,
)
from cnncli.images.augment import build_augment
from cnncli.images.preprocess import Preprocess
from cnncli.models.build import count_parameters
from cnncli.recipes.defaults import fill_in, size_of
from cnncli.recipes.samples import gather_samples
from cnncli.recipes.transfer import Pretrained, find_pretrained
from cnncli.reporting import Reporter
from cnncli.training.checkpoint import Checkpoint
from cnncli.training.device import Compute, count_cpus


@dataclass(frozen=True)
class Prepared:
    """All that is known before the first step.

    Attributes:
        config: With every setting decided.
        samples: The labelled images.
        splits: (N,) indices into SPLITS.
        store: Gives the preprocessed images.
        facts: Sizes and hashes of the files.
        compute: Device and precision.
        network: With the weights the run starts from, on the CPU.
    """

    config: ResolvedConfig
    samples: Samples
    splits: Array
    store: ImageStore
    facts: FileFacts
    compute: Compute
    network: nn.Module

    @property
    def checkpoint(self) -> Checkpoint:
        """What the run's checkpoints say beside the weights."""
        return _describe(self.config, self.samples, self.store.preprocess)

    def indices(self, split: int) -> Array:
        """Return the images of a split."""
        return np.flatnonzero(self.splits == split)

    def loader(
        self,
        split: int,
        *,
        augment: bool = False,
        shuffle: bool = False,
        batch_size: int | None = None,
    ) -> Loader:
        """Return a split in batches of the run's size, or another."""
        config = self.config
        dataset = SplitDataset(
            self.store,
            self.indices(split),
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
        )


def prepare(config: RunConfig, compute: Compute, reporter: Reporter) -> Prepared:
    """Find and read the images, decide what is open, build the network.

    Raises:
        CnncliError: If a setting, an image or the weights are wrong.
    """
    pretrained = find_pretrained(config)
    samples, splits = gather_samples(config, reporter)
    threads = count_cpus()
    resolved = fill_in(
        config,
        pretrained,
        look=look_at(samples, threads=threads),
        train_images=int((splits == TRAIN).sum()),
        compute=compute,
    )
    preprocess = _choose_preprocess(resolved, pretrained)
    torch.manual_seed(config.seed)
    # Before the images are read: a missing file of weights is told at once.
    network = _describe(resolved, samples, preprocess).build()
    normalisation = pretrained.normalisation(config.model, resolved.in_channels)
    pretrained.load(network, config.model, normalisation, reporter)
    if fits_in_memory(len(samples), preprocess):
        with reporter.progress("reading images", len(samples)) as advance:
            store, facts = load_images(samples, preprocess, threads=threads, advance=advance)
    else:
        reporter.note("the images do not fit in memory: they are read anew in every epoch")
        store, facts = open_images(samples, preprocess)
    if normalisation is None:
        preprocess = fit_normalisation(store, np.flatnonzero(splits == TRAIN))
    else:
        preprocess = replace(preprocess, mean=normalisation.mean, std=normalisation.std)
    store = replace(store, preprocess=preprocess)
    return Prepared(resolved, samples, splits, store, facts, compute, network)


def _choose_preprocess(config: ResolvedConfig, pretrained: Pretrained) -> Preprocess:
    """Return how images come to size: as the weights saw theirs, else by area."""
    height, width = size_of(config)
    preprocess = Preprocess(height, width, config.in_channels, resize_mode=config.resize_mode)
    expects = pretrained.expects
    if expects is None or expects.interpolation is None:
        return preprocess
    resize_size = None
    if config.resize_mode == "crop" and expects.resize_size is not None:
        # At another size than the weights' own, the same share of the image is cut out.
        ratio = expects.resize_size / max(expects.image_size)
        resize_size = max(height, width, round(ratio * min(height, width)))
    interpolation = cast(Interpolation, expects.interpolation)
    return replace(preprocess, interpolation=interpolation, resize_size=resize_size)


def _describe(config: ResolvedConfig, samples: Samples, preprocess: Preprocess) -> Checkpoint:
    options = {"activation": config.activation, "norm": config.norm, "dropout": config.dropout}
    return Checkpoint(
        model=config.model,
        class_names=samples.class_names,
        preprocess=preprocess,
        options={name: value for name, value in options.items() if value is not None},
        ordered=samples.ordered,
    )


def tell_plan(run: Prepared, steps: int, reporter: Reporter) -> None:
    """Say what is going to be trained on what, in two lines."""
    config, counts = run.config, split_counts(run.splits)
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    colour = "grey" if config.in_channels == 1 else f"{config.in_channels} channels"
    reporter.note(
        f"{parts} images of {len(run.samples.class_names)} classes, {colour}, "
        f"{format_size(size_of(config))} px ({config.resize_mode})"
    )
    reporter.note(
        f"{config.model}, {count_parameters(run.network):,} parameters; {run.compute.device}, "
        f"{run.compute.precision}, {torch.get_num_threads()} threads, {config.workers} workers; "
        f"batch {config.batch_size}, {steps} steps per epoch, at most {config.epochs} epochs, "
        f"lr {config.lr:g}"
    )
