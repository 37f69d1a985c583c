"""Warnings of images of which little is left in the intensities that the network takes."""

from __future__ import annotations

import numpy as np

from cnncli.data.samples import Samples
from cnncli.data.store import ImageStore
from cnncli.errors import count_of
from cnncli.reporting import Reporter
from cnncli.run.odd_images import tell_few

# An image is reported if more than this fraction of its values lies outside the chosen range. A
# range in fractions was chosen to hold every value of a set, so 1 % is much. A range in values was
# chosen by percentiles, which cut off some of the brightest images.
_MUCH_CUT = {"fraction": 0.01, "value": 0.25}
# More than this fraction outside of a range that the user named leaves next to nothing.
_NEARLY_ALL = 0.9


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
                f"inverted): their values use {tell_few(store.preprocess)}, "
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
