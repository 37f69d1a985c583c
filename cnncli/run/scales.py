"""Warns of float images of two scales: those of the small one are nearly black beside others."""

from __future__ import annotations

import numpy as np

from cnncli.data.samples import Samples
from cnncli.data.store import ImageStore
from cnncli.data.survey import ImageSurvey
from cnncli.images.levels import find_scales, tell_scales
from cnncli.reporting import Reporter

# A range that ends there or above is of levels, not of fractions.
_LEVELS = 16.0


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
        scales = find_scales(levels)
        if scales is not None:
            counts = [len(part) for part in scales]
            tops = [max(levels[position].high for position in part) for part in scales]
            named = [str(samples.paths[numbers[part[0]]]) for part in scales]
            seen = f"of {len(levels)} images looked at, " if len(levels) < len(samples) else ""
            reporter.warn(seen + tell_scales(counts, tops, named))
            return
    warn_of_dark(samples, store, reporter)


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
        dark = highest * (window.high - window.low) + window.low <= 1
        found = np.flatnonzero(dark & (lowest < highest))
        if len(found):
            reporter.warn(
                f"{len(found)} of {len(samples)} images are nearly black: they have no value above "
                f"1, where the intensities go to {window.high:g} (such as "
                f"{samples.paths[found[0]]}); if they hold fractions, bring all to one scale"
            )
