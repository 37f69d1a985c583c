"""Findings on classes: missing from a split, few images, far more of one than of another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.findings import Finding
from cnncli.choices import SPLITS
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.errors import shorten

# Fewer images of a class say little when they are split, and this many times as many of another
# make accuracy say little.
_FEW, _IMBALANCE = 10, 5.0


def check_classes(samples: Samples, splits: Array) -> Iterator[Finding]:
    """Yield what is wrong with how the images are spread over classes and splits."""
    names = samples.class_names
    for split in sorted(set(splits.tolist()) - {NO_SPLIT}):
        present = set(samples.targets[splits == split].tolist())
        missing = [name for target, name in enumerate(names) if target not in present]
        if missing:
            what = "cannot be learnt" if split == 0 else "cannot be judged there"
            text = f"no image of {shorten(missing)} in {SPLITS[split]}: what is missing {what}"
            yield Finding("missing-class", "spoils", text)
    counts = np.bincount(samples.targets, minlength=len(names))
    few = [f"{name} ({n})" for name, n in zip(names, counts.tolist(), strict=True) if n < _FEW]
    if few:
        yield Finding("few-images", "note", f"fewer than {_FEW} images of {shorten(few)}")
    yield from check_imbalance(samples, splits)


def check_imbalance(samples: Samples, splits: Array) -> Iterator[Finding]:
    """Yield whether what is trained on has far more of one class than of another."""
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
        yield Finding("imbalance", "note", text)
