"""A source for images that are in an array: it gives them as files, like those of any other set."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from cnncli.arrays import Array


@dataclass(frozen=True)
class ArraySource:
    """Gives each image of an array as a PNG file.

    Attributes:
        images: (N, H, W) grey or (N, H, W, 3) RGB, uint8, 0–255.
    """

    images: Array

    def read(self, index: int) -> tuple[bytes, ...]:
        """Return the content of an image's PNG file."""
        image = self.images[index]
        if image.ndim == 3:
            image = image[..., ::-1]  # OpenCV expects BGR
        return (bytes(cv2.imencode(".png", image)[1]),)

    def size(self, index: int) -> int:
        """Return the size of an image's PNG file in bytes."""
        return len(self.read(index)[0])
