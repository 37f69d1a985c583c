"""A survey of the images before training: their size, channels, number type and values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.data.store import describe_failure, map_in_threads
from cnncli.errors import CnncliError, count_of
from cnncli.images.channels import is_grey
from cnncli.images.decode import decode
from cnncli.images.formats import read_header
from cnncli.images.header import ImageError, declared_bits
from cnncli.images.levels import Levels, measure_levels, sample_values

# A set counts as grey if at least this fraction of its images looks grey, so that one photograph
# with a colour chart does not make it a colour set.
_GREY_FRACTION = 0.9


@dataclass(frozen=True)
class ImageSurvey:
    """What the images are like, by a part of them.

    Attributes:
        sides: Median height and median width in pixels.
        files: Number of channels of each file of a sample, without alpha: 1 if at least nine in
            ten images look grey, else 3, or the number that most images have if that is another.
        alpha: Whether some images have transparency.
        dtype: The deepest number type among the images: ``uint8``, ``uint16`` or ``float32``.
        values: Per file of a sample, (M,) sorted pixel values: fractions of full scale (0–1), or,
            of float images, the values themselves. The smallest and the greatest value of each
            image are among them. Images of a shallower number type are left out.
        levels: Per file of a sample, the stored values of each image of the deepest number type;
            empty if they are not known.
        numbers: Per file of a sample, the number of the sample that each of the levels is of.
    """

    sides: tuple[int, int]
    files: tuple[int, ...] = (1,)
    alpha: bool = False
    dtype: str = "uint8"
    values: tuple[Array, ...] = ()
    levels: tuple[tuple[Levels, ...], ...] = ()
    numbers: tuple[tuple[int, ...], ...] = ()

    @property
    def channels(self) -> int:
        """Number of channels of all files of a sample together."""
        return sum(self.files)


@dataclass(frozen=True)
class _FileSurvey:
    """What one file of one sample is like.

    Attributes:
        size: (height, width) in pixels, upright.
        channels: Number of channels without alpha.
        grey: Whether the picture looks grey.
        alpha: Whether it has transparency.
        dtype: Its number type as `decode` returns it.
        values: (M,) values of some pixels; see `ImageSurvey.values`.
        levels: Its least and greatest value, with and without outliers.
    """

    size: tuple[int, int]
    channels: int
    grey: bool
    alpha: bool
    dtype: str
    values: Array
    levels: Levels


def survey_images(
    samples: Samples,
    *,
    threads: int,
    most: int = 96,
    raw: bool = False,
    channels: int | None = None,
) -> ImageSurvey:
    """Decode up to ``most`` images, evenly spread over the set, and sum up what they are like.

    Args:
        samples: The labelled images.
        threads: Number of threads that decode.
        most: Greatest number of images to decode.
        raw: Whether to take the physical units of DICOM files, in place of what their own display
            window shows.
        channels: Number of channels that the user named, which decides between the axes of a
            NumPy array.

    Raises:
        CnncliError: If none of them can be read.
    """
    indices = np.unique(np.linspace(0, len(samples) - 1, most).astype(int))

    def survey(index: int) -> list[_FileSurvey] | str:
        try:
            return [
                _survey_file(data, raw=raw, channels=channels)
                for data in samples.source.read(index)
            ]
        except (ImageError, OSError) as error:
            return describe_failure(error)  # reported when all images are read

    results = list(map_in_threads(survey, indices.tolist(), threads))
    readable = [files for files in results if not isinstance(files, str)]
    read = [n for n, files in zip(indices.tolist(), results, strict=True) if type(files) is list]
    if not readable:
        raise CnncliError(
            f"--data: none of {count_of(len(indices), 'image')} looked at can be read; the first, "
            f"{samples.paths[indices[0]]}, {results[0]}"
        )
    by_file = list(zip(*readable, strict=False))
    heights, widths = zip(*(file.size for file in by_file[0]), strict=True)
    types = {file.dtype for files in readable for file in files}
    dtype = next(name for name in ("float32", "uint16", "uint8") if name in types)
    return ImageSurvey(
        sides=(int(np.median(heights)), int(np.median(widths))),
        files=tuple(_count_channels(files) for files in by_file),
        alpha=any(file.alpha for file in by_file[0]),
        dtype=dtype,
        values=tuple(_pool_values(files, dtype) for files in by_file),
        levels=tuple(tuple(f.levels for f in files if f.dtype == dtype) for files in by_file),
        numbers=tuple(
            tuple(number for number, f in zip(read, files, strict=True) if f.dtype == dtype)
            for files in by_file
        ),
    )


def _survey_file(data: bytes, *, raw: bool, channels: int | None) -> _FileSurvey:
    header = read_header(data, channels)
    image = decode(data, header, raw=raw)
    values = sample_values(image)
    if image.dtype.kind == "u":
        values /= np.iinfo(image.dtype).max
    return _FileSurvey(
        size=image.shape[:2],
        channels=image.shape[2],
        grey=image.shape[2] in (1, 3) and is_grey(image),
        alpha=header.alpha,
        dtype=image.dtype.name,
        values=values,
        levels=replace(measure_levels(image), bits=declared_bits(header)),
    )


def _count_channels(files: tuple[_FileSurvey, ...]) -> int:
    """Return the number of channels that the network is to get from one file of each sample.

    Grey and colour images can be converted to each other, so they count together; images of
    another number of channels cannot, so the most frequent number is taken.
    """
    plain = [file for file in files if file.channels in (1, 3)]
    if 2 * len(plain) >= len(files):
        return 1 if np.mean([file.grey for file in plain]) >= _GREY_FRACTION else 3
    return Counter(file.channels for file in files).most_common(1)[0][0]


def _pool_values(files: tuple[_FileSurvey, ...], dtype: str) -> Array:
    """Return the sorted values of the files of a number type; of all files if none has it."""
    chosen = [file.values for file in files if file.dtype == dtype]
    return np.sort(np.concatenate(chosen or [file.values for file in files]))
