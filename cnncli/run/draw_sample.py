"""An image as a person sees it: upright, in its own size, with the intensities of a network."""

from __future__ import annotations

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.images.decode import decode
from cnncli.images.formats import read_header
from cnncli.images.header import ImageError
from cnncli.images.intensity import to_fractions, to_uint8
from cnncli.images.preprocess import Preprocess


def draw_file(data: bytes, preprocess: Preprocess) -> Array:
    """Return an image in its own size, with the intensities that the network gets.

    Args:
        data: Content of the file.
        preprocess: How the network gets its images.

    Returns:
        (H, W, C) uint8, or float32 from 0 to 1.

    Raises:
        ImageError: If it cannot be read.
    """
    channels = preprocess.channels
    header = read_header(data, channels)
    window = preprocess.windows[0] if preprocess.windows else None
    image = decode(
        data,
        header,
        keep_alpha=preprocess.keep_alpha,
        raw=window is not None and window.unit == "value",
    )
    if preprocess.dtype == "uint8":
        return to_uint8(image)
    return to_fractions(image, window)


def draw_sample(samples: Samples, index: int, preprocess: Preprocess) -> Array:
    """Return a sample in its own size; what the network gets where it is not one image file.

    Args:
        samples: The samples.
        index: The number of one of them.
        preprocess: How the network gets its images.

    Returns:
        (H, W, C) uint8, or float32 from 0 to 1.

    Raises:
        ImageError: If it cannot be read.
        OSError: If a file of it cannot be read.
    """
    content = samples.source.read(index)
    if samples.files == 1:
        try:
            return draw_file(content[0], preprocess)
        except ImageError:
            pass  # what the network gets says why
    return preprocess(content)
