"""Warns of float images of two scales: those of the small one are nearly black beside others.

DICOM files that declare several depths are of two scales too.
"""

from __future__ import annotations

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.data.store import ImageStore
from cnncli.data.survey import ImageSurvey
from cnncli.errors import count_of
from cnncli.images.levels import find_depths, find_scales, tell_depths, tell_scales
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter

# A range that ends there or above is of levels, not of fractions.
_LEVELS = 16.0
# No fraction is above this; float32 has left it so far from 1.
_WHITE = 1.001


def warn_of_scales(
    samples: Samples, survey: ImageSurvey, store: ImageStore, reporter: Reporter
) -> None:
    """Warn if some float images are fractions and others levels, or levels of another scale.

    The images looked at before training tell of it, and then all images, if they are in memory.

    Args:
        samples: The labelled images.
        survey: What a part of them is like.
        store: All of them, preprocessed.
        reporter: Gets the warning.
    """
    for levels, numbers in zip(survey.levels, survey.numbers, strict=True):
        seen = f"of {len(levels)} images looked at, " if len(levels) < len(samples) else ""
        scales = find_scales(levels)
        if scales is not None:
            counts = [len(part) for part in scales]
            tops = [max(levels[position].high for position in part) for part in scales]
            named = [str(samples.paths[numbers[part[0]]]) for part in scales]
            reporter.warn(seen + tell_scales(counts, tops, named))
            return
        depths = find_depths(levels)
        if depths is not None:
            counts = [len(part) for part in depths]
            firsts = [levels[part[0]] for part in depths]
            named = [str(samples.paths[numbers[part[0]]]) for part in depths]
            reporter.warn(seen + tell_depths(counts, firsts, named))
            return
    warn_of_dark(samples, store, reporter)


def is_dark(image: Array, preprocess: Preprocess) -> bool:
    """Return whether an image has no value above 1 where the network takes levels.

    Args:
        image: (H, W, C) float32, preprocessed.
        preprocess: The preprocessing.
    """
    first = 0
    for channels, window in zip(
        preprocess.files or (preprocess.channels,), preprocess.windows, strict=False
    ):
        pixels = image[..., first : first + channels]
        first += channels
        if window.unit == "fraction" or window.high < _LEVELS or window.low < -1:
            continue
        low, high = float(pixels.min()), float(pixels.max())
        if low < high and high * (window.high - window.low) + window.low <= _WHITE:
            return True
    return False


def warn_of_dark_files(count: int, first: str, preprocess: Preprocess, reporter: Reporter) -> None:
    """Warn of images for which `is_dark` is true.

    Args:
        count: Their number; none is no warning.
        first: The path of the first of them.
        preprocess: The preprocessing of the run.
        reporter: Gets the warning.
    """
    if count:
        top = max(window.high for window in preprocess.windows)
        reporter.warn(
            f"{count_of(count, 'image is', 'images are')} nearly black: no value above 1, where "
            f"the intensities of the training images go to {top:g} (such as {first}); if they hold "
            "fractions, bring them to the same scale"
        )


def warn_of_dark(samples: Samples, store: ImageStore, reporter: Reporter) -> None:
    """Warn of images that have no value above 1 where the network takes levels, of 255 or more.

    They are looked at only if they are in memory.

    Args:
        samples: The labelled images.
        store: The same images, preprocessed.
        reporter: Gets the warning.
    """
    if store.cached is None:
        return
    preprocess, first = store.preprocess, 0
    for channels, window in zip(
        preprocess.files or (preprocess.channels,), preprocess.windows, strict=False
    ):
        pixels = store.cached[..., first : first + channels].flatten(1)
        first += channels
        if window.unit == "fraction" or window.high < _LEVELS or window.low < -1:
            continue
        lowest, highest = pixels.amin(1).numpy(), pixels.amax(1).numpy()
        dark = highest * (window.high - window.low) + window.low <= _WHITE
        found = np.flatnonzero(dark & (lowest < highest))
        if len(found):
            reporter.warn(
                f"{len(found)} of {len(samples)} images are nearly black: they have no value above "
                f"1, where the intensities go to {window.high:g} (such as "
                f"{samples.paths[found[0]]}); if they hold fractions, bring all to one scale"
            )
