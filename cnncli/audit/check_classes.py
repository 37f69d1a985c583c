"""Findings on classes: spelt in two ways, missing in a split, with few images, or with many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.findings import Finding
from cnncli.choices import SPLITS
from cnncli.data.classes import tell_alone
from cnncli.data.label_text import doubt_labels
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.errors import shorten

# A class of fewer images than this is reported: after a split, too few remain to measure on.
_FEW = 10
# From this ratio of the largest class to the smallest, accuracy says little.
_IMBALANCE = 5.0


def check_classes(samples: Samples, splits: Array) -> Iterator[Finding]:
    """Yield findings on how the images are distributed over classes and splits.

    Args:
        samples: The labelled images.
        splits: (N,) indices into SPLITS, ``NO_SPLIT`` for an image without a split.
    """
    names = samples.class_names
    yield from (Finding("label-spelling", doubt) for doubt in doubt_labels(names))
    for split in sorted(set(splits.tolist()) - {NO_SPLIT}):
        present = set(samples.targets[splits == split].tolist())
        missing = [name for target, name in enumerate(names) if target not in present]
        if missing:
            what = "cannot be learnt" if split == 0 else "cannot be judged there"
            text = f"no image of {shorten(missing)} in {SPLITS[split]}: what is missing {what}"
            yield Finding("missing-class", text)
    counts = np.bincount(samples.targets, minlength=len(names))
    alone = tell_alone(samples) if len(names) > 1 else ""
    if alone:
        yield Finding("single-images", f"{alone}: a class needs several images")
        return
    few = [f"{name} ({n})" for name, n in zip(names, counts.tolist(), strict=True) if n < _FEW]
    if few:
        yield Finding("few-images", f"fewer than {_FEW} images of {shorten(few)}")
    yield from check_imbalance(samples, splits)


def check_imbalance(samples: Samples, splits: Array) -> Iterator[Finding]:
    """Yield a finding if the training images have far more of one class than of another.

    Images without a split count as training images.

    Args:
        samples: The labelled images.
        splits: (N,) indices into SPLITS, ``NO_SPLIT`` for an image without a split.
    """
    trained = np.isin(splits, (NO_SPLIT, 0))
    counts = np.bincount(samples.targets[trained], minlength=len(samples.class_names))
    most, least = int(counts.argmax()), int(np.where(counts > 0, counts, counts.max() + 1).argmin())
    ratio = counts[most] / max(counts[least], 1)
    if ratio >= _IMBALANCE:
        names = samples.class_names
        text = (
            f"{ratio:.1f} times as many images of {names[most]} ({counts[most]:,}) as of "
            f"{names[least]} ({counts[least]:,}): compare macro F1 and recall, not accuracy"
        )
        yield Finding("imbalance", text)
