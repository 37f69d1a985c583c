"""A run before its first step: its images, settings and network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import nn

from cnncli.arrays import Array
from cnncli.augmentation.build import build_augment
from cnncli.augmentation.notation import Pipeline
from cnncli.config import ResolvedConfig
from cnncli.data.epoch_batches import WHOLE_BATCH, BatchShard
from cnncli.data.loader import Loader, SplitDataset
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.data.store import (
    Bad,
    FileDigests,
    ImageStore,
)
from cnncli.models.build import has_batch_norm
from cnncli.models.registry import find_model
from cnncli.run.data_check import DataCheck
from cnncli.training.checkpoint import Checkpoint
from cnncli.training.device import Compute
from cnncli.training.kept_features import KeptFeatures
from cnncli.training.threads import Choice


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
        options: What is exchanged in the network, by the arguments of `build_network`.
        kept: Features that the folds of a cross-validation share; None for a run of its own.
        threads: The number of threads that was measured so far.
        data_check: What was warned of about the images.
    """

    config: ResolvedConfig
    samples: Samples
    splits: Array
    store: ImageStore
    digests: FileDigests
    compute: Compute
    network: nn.Module
    bad: Bad = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    kept: KeptFeatures | None = None
    threads: Choice = field(default_factory=Choice)
    data_check: DataCheck = field(default_factory=DataCheck)

    @property
    def shared(self) -> KeptFeatures | None:
        """Where features are kept for other folds; None where images are read on demand.

        Of these it is not known beforehand which can be read.
        """
        return None if self.store.cached is None else self.kept

    @property
    def checkpoint(self) -> Checkpoint:
        """What the run's checkpoints hold besides the weights."""
        return _describe(self)

    def leave_out(self, found: Bad) -> PreparedRun:
        """Return the run without images that turned out to be unusable.

        Args:
            found: The images' numbers among the samples, and why each cannot be used.
        """
        splits = self.splits.copy()
        splits[list(found)] = NO_SPLIT
        return replace(self, splits=splits, bad={**self.bad, **found})

    def indices(self, split: int | None) -> Array:
        """Return the numbers (M,) of the images in a split; None for those of all splits."""
        return np.flatnonzero(self.splits != NO_SPLIT if split is None else self.splits == split)

    def loader(
        self,
        split: int | None,
        *,
        augment: bool | Pipeline = False,
        shuffle: bool = False,
        batch_size: int | None = None,
        sliced: bool = False,
    ) -> Loader:
        """Return a split in batches.

        Args:
            split: Index into SPLITS; None for the images of all splits.
            augment: Whether to augment the images as the run does, or the steps to do it by.
            shuffle: Whether to shuffle them for training; each of several processes then gets its
                part of each batch.
            batch_size: Number of images per batch in each process; None for the run's.
            sliced: Whether each process gets only its slice of the split.
        """
        config, world = self.config, self.compute.world
        indices = self.indices(split)
        steps = augment if isinstance(augment, list) else config.augment
        dataset = SplitDataset(
            self.store,
            world.slice(indices) if sliced else indices,
            self.samples.targets,
            augment=build_augment(steps) if augment else None,
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


def network_options(config: ResolvedConfig, *, linear_head: bool = False) -> dict[str, Any]:
    """Return what is to be exchanged in the network, by the arguments of `build_network`.

    Args:
        config: The settings.
        linear_head: Whether the network of the weights has no activation behind its head. A head
            that is fitted has none either.
    """
    options = {"activation": config.activation, "norm": config.norm, "dropout": config.dropout}
    found: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    has_activation = find_model(config.model).layout.head_activation is not None
    if has_activation and (linear_head or config.fits_head):
        found["linear_head"] = True
    return found


def _describe(run: PreparedRun) -> Checkpoint:
    config = run.config
    return Checkpoint(
        model=config.model,
        class_names=run.samples.class_names,
        preprocess=run.store.preprocess,
        options=run.options,
        ordered=run.samples.ordered,
        augment=[] if config.augment == "none" else config.augment,
    )
