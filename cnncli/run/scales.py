"""Warns of images that are nearly black beside others, since their scale or depth is another one.

Float images may be of two scales, DICOM files may declare several depths, and files of 8 bits may
hold 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.data.store import ImageStore
from cnncli.data.survey import ImageSurvey
from cnncli.errors import count_of
from cnncli.images.preprocess import Preprocess
from cnncli.images.scales import DARK_BYTE, find_depths, find_scales, tell_depths, tell_scales
from cnncli.reporting import Reporter

# A range that ends there or above is of levels, not of fractions.
_LEVELS = 16.0
# No fraction is above this; float32 has left it so far from 1.
_WHITE = 1.001
# The greatest value of 12 bits in a file that declares 14 or 16, as a fraction.
_QUARTER, _SIXTEENTH = 4095 / 16383, 4095 / 65535


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
    """Return whether an image is nearly black to a network, as `warn_of_dark` has it.

    Args:
        image: (H, W, C) uint8 or float32, preprocessed.
        preprocess: The preprocessing of the run.
    """
    for channels, above, limit, _ in _dark_limits(preprocess):
        pixels = image[..., channels]
        if max(pixels.min(), above) < pixels.max() <= limit:
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
        told = next(_dark_limits(preprocess))[-1]
        reporter.warn(
            f"{count_of(count, 'image is', 'images are')} nearly black: {told} (such as {first}); "
            "if they are of another scale or depth than the training images, bring them to the same"
        )


def warn_of_dark(samples: Samples, store: ImageStore, reporter: Reporter) -> None:
    """Warn of images that are nearly black to the network, though not black all over.

    They are looked at only if they are in memory.

    Args:
        samples: The labelled images.
        store: The same images, preprocessed.
        reporter: Gets the warning.
    """
    if store.cached is None:
        return
    for channels, above, limit, told in _dark_limits(store.preprocess):
        pixels = store.cached[..., channels].flatten(1)
        lowest, highest = pixels.amin(1).numpy(), pixels.amax(1).numpy()
        found = np.flatnonzero((np.maximum(lowest, above) < highest) & (highest <= limit))
        if len(found):
            reporter.warn(
                f"{len(found)} of {len(samples)} images are nearly black: {told} (such as "
                f"{samples.paths[found[0]]}); if they hold fractions or the numbers of classes, or "
                "are of another depth, bring all to one scale"
            )


def _dark_limits(preprocess: Preprocess) -> Iterator[tuple[slice, float, float, str]]:
    """Yield what counts as nearly black in each file of a sample.

    Levels of 0 to 255 or more are nearly black if none is above 1. Fractions and 8 bits are if they
    use a quarter or a sixteenth of their scale at most, and no pixel is as light as the mean of the
    training images, if that is known. Fractions that use less than a sixteenth are told of
    elsewhere (`is_unlike_training`).

    Yields:
        The channels of the file; above which value and up to which one the greatest value of a
        dark image lies, as the arrays hold it; and a sentence's part that says so.
    """
    if preprocess.dtype == "uint8":
        mean = 255 * max(preprocess.mean, default=1.0)
        if mean > DARK_BYTE:
            yield slice(None), 0.0, DARK_BYTE, f"they have no level above {DARK_BYTE} of 255"
        return
    first = 0
    files = preprocess.files or (preprocess.channels,)
    for count, window in zip_longest(files, preprocess.windows):  # no window is the full scale
        channels = slice(first, first + count)
        first += count
        mean = max(preprocess.mean[channels], default=0.0)
        if window is None or window.unit == "fraction":
            if mean > 0:
                told = "their lightest pixel is below a quarter of the scale and below the mean of"
                most = min(_QUARTER, mean)
                yield channels, _SIXTEENTH, most, f"{told} the training images"
        elif window.high >= _LEVELS and window.low >= -1:
            white = (_WHITE - window.low) / (window.high - window.low)
            told = f"they have no value above 1, where the intensities go to {window.high:g}"
            yield channels, -math.inf, white, told
