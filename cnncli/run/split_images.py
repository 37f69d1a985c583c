"""Some images of a run's split, as its network takes them, wherever the run's data still are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.data.classes import match_classes
from cnncli.data.find_samples import find_samples
from cnncli.data.manifest import load_manifest
from cnncli.data.samples import CsvColumns, Samples
from cnncli.errors import CnncliError
from cnncli.files import SPLITS_FILE, run_dir_of
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.run.samples import data_of_run


@dataclass(frozen=True)
class SplitImage:
    """One image of a split.

    Attributes:
        path: Its path, as ``splits.csv`` has it.
        files: The bytes of its files.
        array: (H, W, C) as the network takes it.
        target: The number of its class.
    """

    path: str
    files: tuple[bytes, ...]
    array: Array
    target: int


@dataclass(frozen=True)
class SplitImages:
    """The images of one split, read one by one.

    Attributes:
        samples: All images of the run's data, with the checkpoint's classes.
        numbers: The numbers of those of the split.
        preprocess: What the network takes.
    """

    samples: Samples
    numbers: Array
    preprocess: Preprocess

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, most: int) -> Iterator[SplitImage]:
        """Yield images that are spread evenly over the split; those that cannot be read are left.

        Args:
            most: The greatest number of images.
        """
        chosen = self.numbers
        if len(chosen) > most:
            chosen = chosen[np.linspace(0, len(chosen) - 1, most).round().astype(int)]
        for number in chosen.tolist():
            try:
                files = self.samples.source.read(number)
                array = self.preprocess(files)
            except (ImageError, OSError):
                continue
            target = int(self.samples.targets[number])
            yield SplitImage(str(self.samples.paths[number]), files, array, target)


def find_split_images(
    checkpoint: Path,
    class_names: tuple[str, ...],
    preprocess: Preprocess,
    split: int,
    samples: Samples | None = None,
) -> SplitImages:
    """Find the images of a split of a run by their paths, without reading any.

    Args:
        checkpoint: The checkpoint's file; the run's settings and splits lie beside it.
        class_names: Its classes.
        preprocess: What its network takes.
        split: The split's index into SPLITS.
        samples: The run's images; None looks for them where the run's settings say.

    Raises:
        CnncliError: If it is not known which images these are, or none of them is there.
    """
    file = run_dir_of(checkpoint) / SPLITS_FILE
    manifest = load_manifest(file)
    if manifest is None:
        raise CnncliError(f"{file}: missing, so it is not known which images are {SPLITS[split]}")
    if samples is None:
        samples = find_samples(*data_of_run(checkpoint, CsvColumns()))
    samples = match_classes(samples, class_names)
    rows = [manifest.by_path.get(path, -1) for path in samples.paths.tolist()]
    numbers = np.array(
        [n for n, row in enumerate(rows) if row >= 0 and manifest.splits[row] == split], int
    )
    if not len(numbers):
        raise CnncliError(f"{file}: none of the run's {SPLITS[split]} images is there any more")
    return SplitImages(samples, numbers, preprocess)
