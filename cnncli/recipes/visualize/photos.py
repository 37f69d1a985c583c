"""The images that a picture of a network is drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.data.find_samples import find_samples, report_layout
from cnncli.data.manifest import load_manifest
from cnncli.data.samples import (
    NO_SPLIT,
    CsvColumns,
    Samples,
    select_samples,
    spread_over_classes,
)
from cnncli.data.splits import TEST, VAL
from cnncli.data.store import ImageStore
from cnncli.errors import CnncliError
from cnncli.files import MOST_OF_IMAGE, SPLITS_FILE, expand_path, read_file, run_dir_of
from cnncli.images.header import ImageError
from cnncli.images.placement import Box, find_seen_box
from cnncli.images.preprocess import Preprocess
from cnncli.recipes.visualize.settings import VisualizeSettings
from cnncli.reporting import Reporter
from cnncli.run.draw_sample import draw_file, draw_sample
from cnncli.run.samples import data_of_run
from cnncli.run.subject import Subject
from cnncli.training.cores import count_cpus


@dataclass(frozen=True)
class Photo:
    """An image as a person and as the network see it.

    Attributes:
        name: Its path as given, or as the data set has it.
        picture: (H, W, C) uint8, or float32 from 0 to 1: upright, in its own size.
        pixels: (h, w, c) what the network gets before normalisation, as `Preprocess` makes it.
        seen: The part of ``picture`` that became ``pixels``.
        label: The name of its class; None where it is not known.
    """

    name: str
    picture: Array
    pixels: Array
    seen: Box
    label: str | None = None


def as_batch(photos: Sequence[Photo]) -> torch.Tensor:
    """Return (N, h, w, c): the input of `Classifier` for these images."""
    return torch.from_numpy(np.stack([photo.pixels for photo in photos]))


def choose_photos(
    settings: VisualizeSettings, subject: Subject, reporter: Reporter, *, count: int
) -> list[Photo]:
    """Read the images that the user named, or else some of the data, the classes taking turns.

    Args:
        settings: Names the files, or the data and the split.
        subject: The network that the images are for.
        reporter: Is told which images of the data were taken.
        count: Number of images of the data, at most.

    Returns:
        At least one image.

    Raises:
        CnncliError: If there are none, or one that was named cannot be read.
    """
    if settings.images:
        return [read_photo(path, subject.preprocess) for path in settings.images]
    samples = choose_samples(settings, subject, reporter)
    store = ImageStore(samples.source, subject.preprocess)
    photos: list[Photo] = []
    for index in spread_over_classes(samples.targets).tolist():
        if len(photos) == count:
            break
        try:
            pixels = store[index]
            picture = draw_sample(samples, index, subject.preprocess)
        except (ImageError, OSError) as error:
            reporter.warn(f"{samples.paths[index]}: {error}; left out")
            continue
        photos.append(
            Photo(
                name=str(samples.paths[index]),
                picture=picture,
                pixels=pixels,
                seen=find_seen_box(subject.preprocess, picture.shape[:2]),
                label=samples.class_names[samples.targets[index]],
            )
        )
    if not photos:
        raise CnncliError("--data: none of its images can be read; cnncli check-data names them")
    if count == 1:
        reporter.note(f"image: {photos[0].name} ({photos[0].label}); --image names another")
    return photos


def choose_photo(settings: VisualizeSettings, subject: Subject, reporter: Reporter) -> Photo:
    """Read the image that the user named, or else the first that `choose_photos` takes.

    Raises:
        CnncliError: If several were named, or the image cannot be read.
    """
    if len(settings.images) > 1:
        raise CnncliError(f"--image: {len(settings.images)} images; this picture is of one")
    return choose_photos(settings, subject, reporter, count=1)[0]


def choose_samples(settings: VisualizeSettings, subject: Subject, reporter: Reporter) -> Samples:
    """Return the images of the data that are to be used, without reading them.

    Of the run's own data these are the ones in the split, so that a picture shows what the network
    does with images it was not trained on.

    Raises:
        CnncliError: If there are no data, or no image of them is in the split.
    """
    data, columns = settings.data, CsvColumns()
    if data is None and subject.checkpoint is None:
        raise CnncliError("--image: missing; name an image, or images with --data")
    if data is None:
        assert subject.checkpoint is not None
        data, columns = data_of_run(subject.checkpoint, columns)
    samples = find_samples(data, columns)
    report_layout(samples, reporter)
    splits = samples.splits
    if subject.checkpoint is not None:
        manifest = load_manifest(run_dir_of(subject.checkpoint) / SPLITS_FILE)
        if manifest is not None:
            seen = manifest.find_splits(manifest.look_up(samples, threads=count_cpus()))
            splits = np.where(seen >= 0, seen, samples.splits)
    if settings.split == "all":
        return samples
    if settings.split is not None:
        wanted = SPLITS.index(settings.split)
    elif (splits == TEST).any():
        wanted = TEST
    elif (splits == VAL).any():
        wanted = VAL
    else:
        return samples
    keep = np.flatnonzero(splits == wanted)
    if settings.data is not None and settings.split is None:
        keep = np.flatnonzero((splits == wanted) | (splits == NO_SPLIT))
    if not len(keep):
        raise CnncliError(f"--split {settings.split}: no image of {data} is in it")
    return select_samples(samples, keep)


def read_photo(given: str, preprocess: Preprocess, flag: str = "--image") -> Photo:
    """Read one image file.

    Args:
        given: Its path as the user wrote it.
        preprocess: What turns it into the network's input.
        flag: The flag that named it.

    Raises:
        CnncliError: If it cannot be read, or does not fit the network's channels.
    """
    path = expand_path(given)
    try:
        data = read_file(path, most=MOST_OF_IMAGE)
        pixels = preprocess([data])
        picture = draw_file(data, preprocess)
    except (ImageError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CnncliError(f"{flag} {given}: {reason}") from None
    return Photo(given, picture, pixels, find_seen_box(preprocess, picture.shape[:2]))
