"""NumPy files: ``.npy`` with one array, and ``.npz`` with one or several as channels."""

from __future__ import annotations

import io
import math
import threading
import zipfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from cnncli.arrays import Array
from cnncli.images.header import Header, ImageError, check_size, damaged

# An array with more channels than this is taken for something that is no picture.
_MOST_CHANNELS = 256
# An axis of so few entries is the channels. Where the first and the last axis are both longer, and
# either could be, the channels have to be named.
_SURELY_CHANNELS = 16
# NumPy parses the header as Python code, and the parser of CPython 3.11 fails now and then if two
# threads use it at once (https://github.com/python/cpython/issues/106905): a good file of a data
# set that is read in threads would be called damaged.
_PARSER_LOCK = threading.Lock()


def read_header(data: bytes) -> Header:
    """Return what a file says about itself; see :class:`cnncli.images.formats.FormatModule`."""
    shapes = _read_shapes(data)
    first, dtype = shapes[0]
    height, width, _ = _layout(first)
    if any(_layout(shape)[:2] != (height, width) for shape, _ in shapes):
        raise ImageError("holds arrays of different sizes; as channels they must be of one")
    other = _other_layout(first) if len(shapes) == 1 else None
    return Header(
        format="NPZ" if data.startswith(b"PK") else "NPY",
        mode=dtype.name,
        width=width,
        height=height,
        bits=max(dtype.itemsize for _, dtype in shapes) * 8 if dtype.kind != "b" else 1,
        channels=sum(_layout(shape)[2] for shape, _ in shapes),
        other_axes=other,
        ambiguous=other is not None and min(first[0], first[2]) > _SURELY_CHANNELS,
    )


def decode_pixels(data: bytes, header: Header, *, raw: bool, reduction: int) -> tuple[Array, bool]:
    """Return an (H, W, C) array in the file's own number type, and False: there is no alpha.

    Several arrays of one file are side by side as channels. An array of three axes may be stored
    as (H, W, C) or as (C, H, W): the header says how many channels it has.
    Arguments and errors are those of :class:`cnncli.images.formats.FormatModule`.
    """
    try:
        arrays = [_read_array(file) for file in _open_arrays(data)]
    except Exception as error:  # zlib, zipfile and struct each raise errors of their own
        raise damaged(error) from None
    return np.concatenate([_channels_last(array, header) for array in arrays], axis=2), False


def _channels_last(array: Array, header: Header) -> Array:
    """Return (H, W), (H, W, C) or (C, H, W) as (H, W, C), of the height and width of the header."""
    if array.ndim == 2:
        return array[..., None]
    as_stored = array.shape[:2] == (header.height, header.width)
    if as_stored and array.shape[1:] == (header.height, header.width):
        as_stored = not _channels_first(array.shape)
    return array if as_stored else np.moveaxis(array, 0, 2)


def _other_layout(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Return the (height, width, channels) of a shape read in the less likely way, if it can be."""
    if len(shape) != 3:
        return None
    if _channels_first(shape):
        sizes = shape[0], shape[1], shape[2]
    else:
        sizes = shape[1], shape[2], shape[0]
    return sizes if sizes[2] <= _MOST_CHANNELS and sizes[2] != _layout(shape)[2] else None


def _layout(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the (height, width, channels) of an array's shape.

    Raises:
        ImageError: If the shape is none of an image.
    """
    if len(shape) == 2:
        sizes = (*shape, 1)
    elif len(shape) == 3:
        sizes = (*shape[1:], shape[0]) if _channels_first(shape) else shape
    else:
        sizes = (0, 0, 0)
    if min(sizes) < 1 or sizes[2] > _MOST_CHANNELS:
        raise ImageError(
            f"holds an array of shape {'×'.join(map(str, shape)) or '()'}; an image is "
            "height×width, or with channels as the first or last axis"
        )
    return sizes[0], sizes[1], sizes[2]


def _channels_first(shape: tuple[int, ...]) -> bool:
    return shape[0] < shape[2]


def _read_shapes(data: bytes) -> list[tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return the shape and the number type of each array in a file, without its values."""
    try:
        found = [_read_head(file)[::2] for file in _open_arrays(data)]
    except ImageError:
        raise
    except Exception as error:
        raise damaged(error) from None
    if not found:
        raise ImageError("is a zip file without NumPy arrays")
    return found


def _open_arrays(data: bytes) -> Iterator[IO[bytes]]:
    """Yield each array of a file as an open ``.npy`` file."""
    if not data.startswith(b"PK"):
        yield io.BytesIO(data)
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if name.endswith(".npy"):
                with archive.open(name) as file:
                    yield file


def _read_array(file: IO[bytes]) -> Array:
    shape, by_columns, dtype = _read_head(file)
    content = file.read(math.prod(shape) * dtype.itemsize)
    return np.ndarray(shape, dtype, content, order="F" if by_columns else "C")


def read_array_head(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return an array's shape, whether it is stored by columns, and its number type.

    Args:
        file: A ``.npy`` file at its beginning; its values can be read next.

    Raises:
        ValueError: If it is no such file.
    """
    with _PARSER_LOCK:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        return read(file)


def _read_head(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return what `read_array_head` does, of an array that can be a picture."""
    shape, by_columns, dtype = read_array_head(file)
    if dtype.kind not in "buif":
        raise ImageError(f"holds values of type {dtype}; numbers are needed")
    if len(shape) >= 2:
        check_size(*_layout(shape)[:2])
    return shape, by_columns, dtype
