"""Warnings of images of which little is left in the intensities that the network takes."""

from __future__ import annotations

import numpy as np

from cnncli.data.samples import Samples
from cnncli.data.store import ImageStore
from cnncli.errors import count_of
from cnncli.images.intensity import bits_of_dark
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter

# An image is reported if more than this fraction of its values lies outside the chosen range. A
# range in fractions was chosen to hold every value of a set, so 1 % is much. A range in values was
# chosen by percentiles, which cut off some of the brightest images.
_MUCH_CUT = {"fraction": 0.01, "value": 0.25}
# More than this fraction outside of a range that the user named leaves next to nothing.
_NEARLY_ALL = 0.9
# The same for images of another source than the training images: whether the range was named is not
# known there. Twelve bits of a picture of sixteen leave out more than half of its values.
_MUCH_CUT_ELSEWHERE = {"fraction": 0.5, "value": 0.9}


def warn_of_cut(
    samples: Samples, store: ImageStore, intensity: str, reporter: Reporter, *, named: bool
) -> None:
    """Warn if images have many values outside the range.

    Args:
        samples: The labelled images.
        store: The same images, preprocessed, with the fraction of values that was cut of each.
        intensity: The chosen range as text.
        reporter: Prints the warning.
        named: Whether the user named the range. It may be narrow on purpose, as windows of CT are:
            only images of which next to nothing is left are warned of.
    """
    ranges = store.preprocess.windows
    if store.cut is None:
        return
    if not ranges:
        if named:
            return
        dark = np.flatnonzero(store.cut)
        if len(dark):
            reporter.warn(
                f"{count_of(len(dark), 'image is', 'images are')} nearly black (or white, if "
                f"inverted): their values use {_few(store.preprocess)}, "
                f"and the other images the full scale (such as {samples.paths[int(dark[0])]}); "
                "--intensity LOW:HIGH takes another range, or convert them to the same depth"
            )
        return
    limit = _NEARLY_ALL if named else _MUCH_CUT[ranges[0].unit]
    far = np.flatnonzero(store.cut > limit)
    if len(far):
        worst = int(far[store.cut[far].argmax()])
        reporter.warn(
            f"{count_of(len(far), 'image has', 'images have')} more than {limit:.0%} of their "
            "values beyond the intensities "
            f"{intensity}, where they are cut ({samples.paths[worst]}: "
            f"{store.cut[worst]:.0%}); --intensity LOW:HIGH takes in more"
        )


def _few(preprocess: Preprocess) -> str:
    """Return what a dark image uses, for a network with this preprocessing."""
    bits = bits_of_dark(preprocess.dtype)
    return f"{bits} of 16 bits or fewer (of fractions, 1/{2 ** (16 - bits)} of the scale)"


def is_unlike_training(cut: float, preprocess: Preprocess) -> bool:
    """Return whether so little is left of an image that it is hardly like the training images.

    Args:
        cut: What `Preprocess.read` returned for it: the fraction of its values that was cut.
        preprocess: The preprocessing of the run.
    """
    windows = preprocess.windows
    return cut > _MUCH_CUT_ELSEWHERE[windows[0].unit] if windows else cut > 0


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
            f"{images} whose values use {_few(preprocess)}: dark or nearly black (white, if "
            f"inverted) to a network that was trained on all of {bits} bits"
        )
    reporter.warn(
        f"{text} ({first}{', …' * (count > 1)}); convert to the depth of the training images"
    )
