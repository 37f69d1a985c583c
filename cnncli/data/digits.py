"""The embedded data set: 1,797 handwritten digits of 8×8 pixels (UCI, in scikit-learn)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cnncli.data.sources import NO_SPLIT, Array, Samples, text_array


@dataclass(frozen=True)
class DigitSource:
    """Gives each digit as a PNG file, so that it goes the way of every other image."""

    images: Array

    def read(self, index: int) -> tuple[bytes, ...]:
        return (bytes(cv2.imencode(".png", self.images[index])[1]),)

    def size(self, index: int) -> int:
        return len(self.read(index)[0])


def load_digits_samples() -> Samples:
    """Load the digits, grey values 0–16 stretched to 0–255, classes ``0`` to ``9``.

    Source: E. Alpaydin & C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, doi:10.24432/C50P49 (its test part, as scikit-learn ships it).
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    targets = digits.target.astype(np.int64)
    names = [f"{target}/{number:04d}.png" for number, target in enumerate(targets)]
    return Samples(
        source=DigitSource(np.rint(digits.images * (255 / 16)).astype(np.uint8)),
        paths=text_array(names),
        targets=targets,
        class_names=tuple(str(number) for number in range(10)),
        splits=np.full(len(targets), NO_SPLIT, dtype=np.int8),
    )
