"""Warns of images that are nearly black beside others, since their scale or depth is another one.

Float images may be of two scales, DICOM files may declare several depths, and files of 8 bits may
hold 0 and 1.
"""

from __future__ import annotations

import numpy as np

from cnncli.data.samples import Samples
from cnncli.data.store import ImageStore
from cnncli.data.survey import ImageSurvey
from cnncli.images.scales import find_depths, find_scales, tell_depths, tell_scales
from cnncli.reporting import Reporter
from cnncli.run.odd_images import dark_limits


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
    for channels, above, limit, told in dark_limits(store.preprocess):
        pixels = store.cached[..., channels].flatten(1)
        lowest, highest = pixels.amin(1).numpy(), pixels.amax(1).numpy()
        found = np.flatnonzero((np.maximum(lowest, above) < highest) & (highest <= limit))
        if len(found):
            reporter.warn(
                f"{len(found)} of {len(samples)} images are nearly black: {told} (such as "
                f"{samples.paths[found[0]]}); if they hold fractions or the numbers of classes, or "
                "are of another depth, bring all to one scale"
            )
