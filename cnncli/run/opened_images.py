"""Images that are read once for several runs: the folds of a cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import Samples, text_array
from cnncli.data.store import (
    Bad,
    FileDigests,
    ImageStore,
    fits_in_memory,
    load_images,
    open_images,
)
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter
from cnncli.training.cores import count_cpus
from cnncli.training.kept_features import KeptFeatures

Opened = tuple[ImageStore, FileDigests, Bad]


@dataclass
class OpenedImages:
    """Reads the same images for several runs, each preprocessing once.

    Attributes:
        found: What was read, by its preprocessing. Runs of the same images and settings have one
            or two: the second where another resize mode is better than that of the weights.
        features: What frozen layers gave for the images.
        paths: (N,) the paths of the images.
    """

    found: list[tuple[Preprocess, Opened]] = field(default_factory=list)
    features: KeptFeatures = field(default_factory=KeptFeatures)
    paths: Array = field(default_factory=lambda: text_array([]))

    def open(self, samples: Samples, preprocess: Preprocess, reporter: Reporter) -> Opened:
        """Return what `open_store` does, which an earlier call may have read.

        Args:
            samples: The images; others than in the last call are read anew.
            preprocess: Turns the files of a sample into an array.
            reporter: Gets a line and progress.
        """
        for known, opened in self.found:
            if known == preprocess and np.array_equal(self.paths, samples.paths):
                return opened
        if self.found and not fits_in_memory(len(samples), preprocess):
            self.found.clear()
        if not np.array_equal(self.paths, samples.paths):
            self.found.clear()
        opened = open_store(samples, preprocess, reporter)
        self.paths = samples.paths
        self.found = [*self.found[-1:], (preprocess, opened)]
        return opened


def open_store(samples: Samples, preprocess: Preprocess, reporter: Reporter) -> Opened:
    """Read all images if they fit in memory, else only check that the files are there."""
    if not fits_in_memory(len(samples), preprocess):
        reporter.note("the images do not fit in memory: they are read anew in every epoch")
        return open_images(samples, preprocess)
    with reporter.progress("reading images", len(samples)) as advance:
        return load_images(samples, preprocess, threads=count_cpus(), advance=advance)
