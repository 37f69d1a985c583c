"""Sources for images that are in arrays: they give them as files, like those of any other set."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cnncli.arrays import Array


@dataclass(frozen=True)
class ArraySource:
    """Gives each image of an array as a PNG file, or as a NumPy file where a PNG cannot hold it.

    Attributes:
        images: (N, H, W) grey or (N, H, W, C) images, of which 3 channels are RGB. A PNG holds
            grey and RGB of uint8 and uint16.
    """

    images: Array

    def read(self, index: int) -> tuple[bytes, ...]:
        """Return the content of an image's file."""
        image = self.images[index]
        if not fits_png(self.images):
            file = io.BytesIO()
            np.save(file, np.ascontiguousarray(image), allow_pickle=False)
            return (file.getvalue(),)
        if image.ndim == 3:
            image = image[..., ::-1]  # OpenCV expects BGR
        return (bytes(cv2.imencode(".png", image)[1]),)

    def size(self, index: int) -> int:
        """Return the size of an image's file in bytes."""
        return len(self.read(index)[0])


def fits_png(images: Array) -> bool:
    """Return whether PNG files can hold the images (N, H, W) or (N, H, W, C) of an array."""
    return images.dtype in (np.uint8, np.uint16) and (images.ndim == 3 or images.shape[3] in (1, 3))


@dataclass(frozen=True)
class JoinedSource:
    """Gives the images of several sources, one behind the other.

    Attributes:
        sources: The sources.
        ends: For each source: one more than the number of its last image.
    """

    sources: Sequence[ArraySource]
    ends: Sequence[int]

    def read(self, index: int) -> tuple[bytes, ...]:
        """Return the content of an image's file."""
        source, number = self._locate(index)
        return source.read(number)

    def size(self, index: int) -> int:
        """Return the size of an image's file in bytes."""
        source, number = self._locate(index)
        return source.size(number)

    def _locate(self, index: int) -> tuple[ArraySource, int]:
        which = bisect_right(self.ends, index)
        return self.sources[which], index - (self.ends[which - 1] if which else 0)
