"""Images that are read once for several runs: the folds of a cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, field

from cnncli.data.samples import Samples
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
from cnncli.training.device import count_cpus

Opened = tuple[ImageStore, FileDigests, Bad]


@dataclass
class OpenedImages:
    """Reads the same images for several runs, each preprocessing once.

    Attributes:
        found: What was read, by its preprocessing. Runs of the same images and settings have one
            or two: the second where another resize mode is better than that of the weights.
    """

    found: list[tuple[Preprocess, Opened]] = field(default_factory=list)

    def open(self, samples: Samples, preprocess: Preprocess, reporter: Reporter) -> Opened:
        """Return what `open_store` does, which an earlier call may have read.

        Args:
            samples: The images; they are the same in every call.
            preprocess: Turns the files of a sample into an array.
            reporter: Gets a line and progress.
        """
        for known, opened in self.found:
            if known == preprocess:
                return opened
        if self.found and not fits_in_memory(len(samples), preprocess):
            self.found.clear()
        opened = open_store(samples, preprocess, reporter)
        self.found = [*self.found[-1:], (preprocess, opened)]
        return opened


def open_store(samples: Samples, preprocess: Preprocess, reporter: Reporter) -> Opened:
    """Read all images if they fit in memory, else only check that the files are there."""
    if not fits_in_memory(len(samples), preprocess):
        reporter.note("the images do not fit in memory: they are read anew in every epoch")
        return open_images(samples, preprocess)
    with reporter.progress("reading images", len(samples)) as advance:
        return load_images(samples, preprocess, threads=count_cpus(), advance=advance)
