"""What is convolved: kernels by name, numbers, images and arrays, as they are given."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, cast

from cnncli.choices import format_channels
from cnncli.convolving.kernels import Kernel, parse_kernel, unknown_kernel
from cnncli.convolving.notation import LARGEST, looks_like_numbers, parse_file, parse_grids
from cnncli.convolving.values import Values
from cnncli.errors import CnncliError
from cnncli.files import MOST_OF_IMAGE, decode_text, expand_path, read_file
from cnncli.reporting import Reporter

if TYPE_CHECKING:
    from cnncli.arrays import Array

_NUMPY_MAGIC = b"\x93NUMPY"
_TEXT_FILES = (".csv", ".tsv", ".txt")


class Loaded(NamedTuple):
    """An input.

    Attributes:
        values: Its numbers, (C, H, W).
        white: The number that is white, if it is an image; None if it is not.
    """

    values: Values
    white: float | None = None


class Colours(NamedTuple):
    """How many channels a colour image is to have.

    Attributes:
        grey: Whether it becomes grey first.
        channels: Number of channels of the kernel that has most. A picture that looks grey keeps
            three channels for a kernel of three.
    """

    grey: bool = False
    channels: int = 1

    @classmethod
    def of(cls, kernels: Sequence[Kernel], *, grey: bool) -> Colours:
        """Return what the kernels take."""
        return cls(grey, max((kernel.channels for kernel in kernels), default=1))


def load_kernels(texts: Sequence[str], *, flip: bool) -> tuple[Kernel, ...]:
    """Return the kernels that are named, written out or in files.

    Args:
        texts: Names, numbers or paths of files.
        flip: Whether to turn them by 180°.

    Raises:
        CnncliError: If a text is none of them, or a file holds no kernel.
    """
    kernels = [kernel for text in texts for kernel in _load_kernel(text)]
    return tuple(kernel.flipped() if flip else kernel for kernel in kernels)


def _load_kernel(text: str) -> list[Kernel]:
    if (kernel := parse_kernel(text)) is not None:
        return [kernel]
    path = expand_path(text)
    if not path.is_file():
        _refuse_bad_numbers(text, "--kernel")
        raise unknown_kernel(text)
    data = _read(path, "--kernel")
    if not data.startswith(_NUMPY_MAGIC):
        return [Kernel(path.name, (parse_file(_decode(data, text), f"--kernel {text}"),))]
    array = _load_array(data, f"--kernel {text}", (2, 3, 4))
    several = array if array.ndim == 4 else [array]
    return [
        Kernel(path.name + (f" {number}" if array.ndim == 4 else ""), (_to_values(each),))
        for number, each in enumerate(several)
    ]


def _refuse_bad_numbers(text: str, what: str) -> None:
    """Raise the error of what is meant as numbers and is none, as ``1 2; 3 x``."""
    if re.match(r"\s*([+−-]?\.?\d|nan\b|[+-]?inf\b)", text, re.IGNORECASE) and re.search(
        r"[\s;|,]", text.strip()
    ):
        parse_grids(text, what)


def find_folder(given: str) -> Path | None:
    """Return the folder that an input names; None if it is no folder."""
    if given == "-" or not given.strip() or looks_like_numbers(given):
        return None
    path = expand_path(given)
    return path if path.is_dir() else None


def read_input(given: str, stdin: TextIO, colours: Colours, reporter: Reporter) -> Loaded:
    """Return the numbers of an input.

    Args:
        given: Numbers, the path of a file, or ``-`` for a pipe.
        stdin: Where ``-`` reads from.
        colours: What becomes of the colours of an image.
        reporter: Is told how it was read, where that is a choice.

    Raises:
        CnncliError: If it cannot be read, or holds no numbers.
    """
    if given == "-":
        _refuse_grey(colours, "-")
        buffer = getattr(stdin, "buffer", None)
        data = buffer.read() if buffer else stdin.read().encode()
        return Loaded(_read_content(data, "-", reporter))
    if looks_like_numbers(given):
        if os.path.lexists(given.strip()):
            reporter.note(f"{given}: taken as a number; write ./{given.strip()} for the file")
        _refuse_grey(colours, "INPUT")
        return Loaded(parse_grids(given, "INPUT"))
    if not given.strip():
        raise CnncliError("INPUT: is empty; write numbers such as '1 2; 3 4', or name an image")
    path = expand_path(given)
    if not os.path.lexists(path):
        _refuse_bad_numbers(given, "INPUT")
        shown = given if len(given) <= 60 else given[:60] + "…"
        raise CnncliError(
            f"INPUT {shown!r}: there is no such file, and it is no numbers; numbers are written as "
            "'1 2; 3 4'"
        )
    if path.suffix.lower() == ".npz":
        raise CnncliError(f"INPUT {given}: holds several arrays; save the one that counts as .npy")
    data = _read(path, "INPUT")
    if data.startswith(_NUMPY_MAGIC) or path.suffix.lower() in _TEXT_FILES:
        _refuse_grey(colours, given)
        return Loaded(_read_content(data, given, reporter))
    return decode_image(data, given, colours, reporter)


def _refuse_grey(colours: Colours, name: str) -> None:
    if colours.grey:
        raise CnncliError(f"--grey: {name} holds numbers; only an image has colours to make grey")


def decode_image(data: bytes, name: str, colours: Colours, reporter: Reporter) -> Loaded:
    """Return an image's stored values: 0–255 where it has 8 bits.

    Args:
        data: The bytes of the file.
        name: How messages call it.
        colours: What becomes of its colours. Grey is the ITU-R 601 luma.
        reporter: Is told that a picture is grey though it is stored as colour.

    Raises:
        CnncliError: If it is no image that can be read.
    """
    import numpy as np

    from cnncli.images.channels import full_scale, is_grey, to_channels
    from cnncli.images.decode import decode
    from cnncli.images.formats import read_header
    from cnncli.images.header import ImageError

    try:
        header = read_header(data)
        pixels = decode(data, header)
    except ImageError as error:
        raise CnncliError(f"{name}: {error}") from None
    if header.format == "DICOM":
        reporter.note(
            f"{name}: DICOM, as it is displayed: black is 0 and white is {_white_of(pixels):g}"
        )
    if colours.grey and pixels.shape[2] not in (1, 3):
        raise CnncliError(f"--grey: {name} has {pixels.shape[2]} channels, which are no colours")
    if pixels.shape[2] == 3:
        looks_grey = colours.channels == 1 and not colours.grey and is_grey(pixels)
        if looks_grey:
            reporter.note(f"{name}: looks grey and is stored as colour; taken as one grey channel")
        if looks_grey or colours.grey:
            pixels = to_channels(pixels, 1)
    white = full_scale(pixels) if pixels.dtype.kind == "u" else float(pixels.max()) or 1.0
    return Loaded(_to_values(np.moveaxis(pixels, 2, 0)), white)


def _white_of(pixels: Array) -> float:
    from cnncli.images.channels import full_scale

    return full_scale(pixels) if pixels.dtype.kind == "u" else 1.0


def read_image(path: Path, colours: Colours, reporter: Reporter) -> Loaded:
    """Return the stored values of an image file; see `decode_image`."""
    return decode_image(_read(path, "INPUT"), str(path), colours, reporter)


def _read_content(data: bytes, given: str, reporter: Reporter) -> Values:
    if not data.startswith(_NUMPY_MAGIC):
        return parse_file(_decode(data, given), given)
    array = _load_array(data, given, (2, 3))
    if array.ndim == 3:
        if array.shape[2] in (1, 3, 4) and array.shape[0] > 16:
            raise CnncliError(
                f"{given}: an array of {'×'.join(map(str, array.shape))} has its channels last; "
                "here they are first, as in torch: save numpy.moveaxis(array, -1, 0)"
            )
        channels = format_channels(array.shape[0])
        reporter.note(f"{given}: read as {channels}, which is its first axis")
    return _to_values(array)


def _read(path: Path, what: str) -> bytes:
    try:
        return read_file(path, most=MOST_OF_IMAGE)
    except OSError as error:
        raise CnncliError(f"{what} {path}: cannot be read ({error.strerror})") from None


def _decode(data: bytes, name: str) -> str:
    try:
        return decode_text(data)
    except UnicodeDecodeError:
        more = "; an image has to be a file that is named" if name == "-" else ""
        raise CnncliError(f"{name}: is neither text nor a NumPy file{more}") from None


def _load_array(data: bytes, name: str, dimensions: Sequence[int]) -> Array:
    """Return the array of a ``.npy`` file of real numbers."""
    import numpy as np

    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # NumPy raises errors of many kinds
        raise CnncliError(f"{name}: is no NumPy file that can be read ({error})") from None
    axes = " or ".join(map(str, dimensions))
    if array.ndim not in dimensions or not array.size or array.dtype.kind not in "buif":
        raise CnncliError(
            f"{name}: holds an array of shape {'×'.join(map(str, array.shape)) or '()'} and type "
            f"{array.dtype}; {axes} axes of numbers are needed"
        )
    if not np.isfinite(array).all() or np.abs(array.astype(np.float64)).max() > LARGEST:
        raise CnncliError(f"{name}: holds NaN, infinity or a number above {LARGEST:.0e}")
    return cast("Array", array)


def _to_values(array: Array) -> Values:
    """Return an array (H, W) or (C, H, W) as values; whole numbers become Python's where few."""
    shape = array.shape if array.ndim == 3 else (1, *array.shape)
    flat: Any = array.astype(float).reshape(-1)
    if flat.size <= 10_000:
        flat = [int(x) if x.is_integer() else x for x in flat.tolist()]
    return Values(tuple(map(int, shape)), flat)


def list_images(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the images of a folder, sorted, each with its path below the folder.

    Raises:
        CnncliError: If there are none.
    """
    from cnncli.data.walk import looks_like_image, walk_files

    found = False
    for name in walk_files(folder):
        if looks_like_image(str(folder / name)):
            found = True
            yield name, folder / name
    if not found:
        raise CnncliError(f"{folder}: no images in this folder")
