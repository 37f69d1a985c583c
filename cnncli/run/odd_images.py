"""Images of which little is left for the network: cut off, nearly black, or without their colour.

Light: ``predict`` looks at each image without torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest

import numpy as np

from cnncli.arrays import Array
from cnncli.errors import count_of
from cnncli.images.intensity import DARK_BYTE, bits_of_dark
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter

# An image is reported if more than this fraction of its values lies outside the range that was
# chosen for the training images. It comes from another source than they: whether the user named the
# range is not known. Twelve bits of a picture of sixteen leave out more than half of its values.
_MUCH_CUT_ELSEWHERE = {"fraction": 0.5, "value": 0.9}
# A range that ends there or above is of levels, not of fractions.
_LEVELS = 16.0
# No fraction is above this; float32 has left it so far from 1.
_WHITE = 1.001
# The greatest value of 12 bits in a file that declares 14 or 16, as a fraction.
_QUARTER, _SIXTEENTH = 4095 / 16383, 4095 / 65535


def is_unlike_training(cut: float, preprocess: Preprocess) -> bool:
    """Return whether so little is left of an image that it is hardly like the training images.

    Args:
        cut: What `Preprocess.read` returned for it: the fraction of its values that was cut.
        preprocess: The preprocessing of the run.
    """
    windows = preprocess.windows
    return cut > _MUCH_CUT_ELSEWHERE[windows[0].unit] if windows else cut > 0


def find_dark(images: Array, preprocess: Preprocess) -> list[bool]:
    """Return which images are nearly black to a network, as `dark_limits` has it.

    Args:
        images: (N, H, W, C) uint8 or float32, preprocessed.
        preprocess: The preprocessing of the run.
    """
    found = np.zeros(len(images), dtype=bool)
    for channels, above, limit, _ in dark_limits(preprocess):
        pixels = images[..., channels]
        highest = pixels.max(axis=(1, 2, 3))
        for place in np.flatnonzero(highest <= limit).tolist():  # mostly none
            found[place] |= max(pixels[place].min(), above) < highest[place]
    return [bool(each) for each in found]


def has_raw_name(path: str) -> bool:
    """Return whether a path has bytes that are not UTF-8, as Python represents them."""
    return not path.isascii() and any("\ud800" <= letter <= "\udfff" for letter in path)


def warn_of_raw_names(count: int, first: str, reporter: Reporter) -> None:
    """Warn of file names that are not UTF-8, and so are not text for other programs.

    Args:
        count: Number of such files.
        first: The path of one of them.
        reporter: Gets the warning.
    """
    if count:
        reporter.warn(
            f"{count_of(count, 'file has a name that is', 'files have names that are')} not UTF-8 "
            f"({first}): a CSV has their bytes as they are, so that the files can be opened by "
            "it, and other programs may refuse to read it"
        )


def warn_of_colour(count: int, first: str, reporter: Reporter) -> None:
    """Warn of colour pictures that a network of grey images gets as grey ones.

    Args:
        count: Their number; none is no warning.
        first: The path of the first of them.
        reporter: Prints the warning.
    """
    if count:
        reporter.warn(
            f"{count_of(count, 'image is', 'images are')} in colour, and the network takes grey "
            f"ones: the colour is left out ({first}{', …' * (count > 1)})"
        )


def warn_unlike_training(
    count: int, first: str, preprocess: Preprocess, reporter: Reporter
) -> None:
    """Warn of images for which `is_unlike_training` is true.

    Args:
        count: Their number; none is no warning.
        first: The path of the first of them.
        preprocess: The preprocessing of the run.
        reporter: Prints the warning.
    """
    if not count:
        return
    images = count_of(count, "image")
    if preprocess.windows:
        share = _MUCH_CUT_ELSEWHERE[preprocess.windows[0].unit]
        text = (
            f"{images} with more than {share:.0%} of the values beyond the intensities of the "
            "training images, which become black or white"
        )
    else:
        bits = 8 if preprocess.dtype == "uint8" else 16
        text = (
            f"{images} whose values use {tell_few(preprocess)}: dark or nearly black (white, if "
            f"inverted) to a network that was trained on all of {bits} bits"
        )
    reporter.warn(
        f"{text} ({first}{', …' * (count > 1)}); convert to the depth of the training images"
    )


def warn_of_dark_files(count: int, first: str, preprocess: Preprocess, reporter: Reporter) -> None:
    """Warn of images that `find_dark` has found.

    Args:
        count: Their number; none is no warning.
        first: The path of the first of them.
        preprocess: The preprocessing of the run.
        reporter: Gets the warning.
    """
    if count:
        told = next(dark_limits(preprocess))[-1]
        reporter.warn(
            f"{count_of(count, 'image is', 'images are')} nearly black: {told} (such as {first}); "
            "if they are of another scale or depth than the training images, bring them to the same"
        )


def dark_limits(preprocess: Preprocess) -> Iterator[tuple[slice, float, float, str]]:
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


def tell_few(preprocess: Preprocess) -> str:
    """Return what a dark image uses, for a network with this preprocessing."""
    bits = bits_of_dark(preprocess.dtype)
    return f"{bits} of 16 bits or fewer (of fractions, 1/{2 ** (16 - bits)} of the scale)"
