"""Images that lie in an array, given as files, so that they go the way of every other image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from cnncli.arrays import Array


@dataclass(frozen=True)
class ArraySource:
    """Gives each image of an array as a PNG file.

    Attributes:
        images: (N, H, W) grey or (N, H, W, 3) RGB, uint8.
    """

    images: Array

    def read(self, index: int) -> tuple[bytes, ...]:
        image = self.images[index]
        if image.ndim == 3:
            image = image[..., ::-1]  # OpenCV's order
        return (bytes(cv2.imencode(".png", image)[1]),)

    def size(self, index: int) -> int:
        return len(self.read(index)[0])
