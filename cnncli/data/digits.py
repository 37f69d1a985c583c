"""The embedded data set: 1,797 handwritten digits of 8×8 pixels (UCI, in scikit-learn)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnncli.data.array_source import ArraySource
from cnncli.data.samples import NO_SPLIT, Samples, text_array
from cnncli.errors import CnncliError
from cnncli.files import expand_path


def load_digits_samples() -> Samples:
    """Load the digits: 1,797 grey images of 8×8 pixels with the classes ``0`` to ``9``.

    Their grey values, 0–16 in the data set, are stretched to 0–255. No image has a split.

    Source: E. Alpaydin & C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, doi:10.24432/C50P49 (its test part, as scikit-learn ships it).
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    targets = digits.target.astype(np.int64)
    names = [f"{target}/{number:04d}.png" for number, target in enumerate(targets)]
    return Samples(
        source=ArraySource(np.rint(digits.images * (255 / 16)).astype(np.uint8)),
        paths=text_array(names),
        targets=targets,
        class_names=tuple(str(number) for number in range(10)),
        splits=np.full(len(targets), NO_SPLIT, dtype=np.int8),
    )


def write_digits(folder: str) -> Path:
    """Write the digits as ``folder/<class>/<number>.png``, and return the folder.

    Args:
        folder: A folder that is empty or does not exist yet.

    Raises:
        CnncliError: If the folder is not empty, or cannot be written to.
    """
    root = expand_path(folder)
    try:
        if root.exists() and any(root.iterdir()):
            raise CnncliError(f"{folder}: not empty; name a new folder")
        samples = load_digits_samples()
        for index, name in enumerate(samples.paths):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (data,) = samples.source.read(index)
            path.write_bytes(data)
    except OSError as error:
        raise CnncliError(f"{folder}: cannot be written to ({error.strerror})") from None
    return root
