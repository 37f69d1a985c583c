"""A first look at the images: how large, how many channels, how deep."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.data.store import describe_failure, map_in_threads
from cnncli.errors import CnncliError
from cnncli.images.channels import is_grey
from cnncli.images.decode import decode
from cnncli.images.formats import read_header
from cnncli.images.header import ImageError

# Nine in ten that look grey make a set grey: a stray colour chart does not.
_GREY_SHARE = 0.9
# Pixels of each image that are kept to choose a window of intensities by.
_KEPT = 4096


@dataclass(frozen=True)
class ImageSurvey:
    """What a sample of the images is like.

    Attributes:
        sides: Median (height, width) in pixels.
        files: Channels of each of a sample's files, without alpha: 1 if at least nine in ten look
            grey, else 3, or the number that pictures of more kinds of light have.
        alpha: Whether some have transparency.
        dtype: The deepest type among them: ``uint8``, ``uint16`` or ``float32``.
        values: Per file, (M,) sorted samples of the pixels, as fractions of full scale or, of
            floats, as they are.
    """

    sides: tuple[int, int]
    files: tuple[int, ...] = (1,)
    alpha: bool = False
    dtype: str = "uint8"
    values: tuple[Array, ...] = ()

    @property
    def channels(self) -> int:
        """All files' channels together."""
        return sum(self.files)


@dataclass(frozen=True)
class _Picture:
    """One file of one sample."""

    size: tuple[int, int]
    channels: int
    grey: bool
    alpha: bool
    dtype: str
    values: Array


def survey_images(
    samples: Samples, *, threads: int, most: int = 96, raw: bool = False
) -> ImageSurvey:
    """Look at up to ``most`` images, evenly spread.

    Args:
        samples: The labelled images.
        threads: That decode.
        most: Images to look at.
        raw: Whether to see DICOM files in their units, for a window of values.

    Raises:
        CnncliError: If none of them can be read.
    """
    indices = np.unique(np.linspace(0, len(samples) - 1, most).astype(int))

    def look(index: int) -> list[_Picture] | str:
        try:
            return [_look_at_file(data, raw=raw) for data in samples.source.read(index)]
        except (ImageError, OSError) as error:
            return describe_failure(error)  # told later, with all the others

    looks = list(map_in_threads(look, indices.tolist(), threads))
    seen = [pictures for pictures in looks if not isinstance(pictures, str)]
    if not seen:
        raise CnncliError(
            f"--data: none of {len(indices)} images looked at can be read; the first, "
            f"{samples.paths[indices[0]]}, {looks[0]}"
        )
    by_file = list(zip(*seen, strict=False))
    heights, widths = zip(*(picture.size for picture in by_file[0]), strict=True)
    types = {picture.dtype for pictures in seen for picture in pictures}
    dtype = next(name for name in ("float32", "uint16", "uint8") if name in types)
    return ImageSurvey(
        sides=(int(np.median(heights)), int(np.median(widths))),
        files=tuple(_count_channels(pictures) for pictures in by_file),
        alpha=any(picture.alpha for picture in by_file[0]),
        dtype=dtype,
        values=tuple(np.sort(np.concatenate([p.values for p in ps])) for ps in by_file),
    )


def _look_at_file(data: bytes, *, raw: bool) -> _Picture:
    header = read_header(data)
    image = decode(data, header, raw=raw)
    flat = image.reshape(-1)
    values = flat[:: max(1, flat.size // _KEPT)].astype(np.float64)
    if image.dtype.kind == "u":
        values = values / np.iinfo(image.dtype).max
    # The extremes count: windows are to hold them all.
    ends = np.array([flat.min(), flat.max()], np.float64)
    ends = ends / np.iinfo(image.dtype).max if image.dtype.kind == "u" else ends
    return _Picture(
        size=image.shape[:2],
        channels=image.shape[2],
        grey=image.shape[2] in (1, 3) and is_grey(image),
        alpha=header.alpha,
        dtype=image.dtype.name,
        values=np.concatenate([values, ends]),
    )


def _count_channels(pictures: tuple[_Picture, ...]) -> int:
    """Return what most of them have; grey and colour mix, other numbers do not."""
    plain = [picture for picture in pictures if picture.channels in (1, 3)]
    if 2 * len(plain) >= len(pictures):
        return 1 if np.mean([picture.grey for picture in plain]) >= _GREY_SHARE else 3
    return Counter(picture.channels for picture in pictures).most_common(1)[0][0]
