"""A data set in the files of MNIST: ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``.

Source: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits: big-endian
32-bit numbers, of which the first is 0x0800 plus the number of axes, then the length of each axis.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import Split
from cnncli.data.array_parts import check_bytes, join_parts
from cnncli.data.samples import Samples
from cnncli.data.walk import list_folder
from cnncli.errors import CnncliError, shorten

_NAME = re.compile(
    r"(?:(?P<set>.+)[-_.])?(?P<split>train|training|t10k|test|testing|val|valid|validation)"
    r"[-_.](?P<role>images|labels)[-_.]idx[134][-_.]ubyte(?P<gz>\.gz)?",
    re.IGNORECASE,
)
_SPLITS: dict[str, Split] = {
    **{"train": "train", "training": "train", "t10k": "test", "test": "test", "testing": "test"},
    **{"val": "val", "valid": "val", "validation": "val"},
}
# The numbers of unsigned bytes along so many axes begin with this.
_UNSIGNED_BYTE = 0x0800
# Most of a packed file that is read at a time.
_CHUNK = 1 << 24


@dataclass(frozen=True)
class _File:
    """A file of the set: the set's own name, its split, and whether it holds images or labels."""

    name: str
    set_name: str
    split: Split
    role: str


def find_idx_folder(path: Path) -> Path | None:
    """Return the folder with MNIST's files that ``path`` is or holds, or None if there is none.

    The files may lie in ``raw/`` or ``MNIST/raw/``, where torchvision puts them, or in a folder
    that is the only one.

    Args:
        path: A folder.
    """
    for place in (path, path / "raw", path / "MNIST" / "raw"):
        if place.is_dir() and any(file.role == "images" for file in _list_files(place)):
            return place
    folders, files = list_folder(path)
    return find_idx_folder(path / folders[0]) if len(folders) == 1 and len(files) < 10 else None


def find_in_idx(root: Path) -> Samples:
    """Read the images and labels of MNIST's files; ``train`` and ``t10k`` are train and test.

    If only one of them is there, splits are drawn.

    Args:
        root: A folder from `find_idx_folder`.

    Raises:
        CnncliError: If a file is missing or damaged, or if the folder holds several sets.
    """
    files = _list_files(root)
    sets = sorted({file.set_name for file in files})
    if len(sets) > 1:
        names = shorten([name or "(without a name)" for name in sets])
        raise CnncliError(
            f"--data {root}: several data sets ({names}); put the files of one in a folder"
        )
    parts: dict[Split | None, tuple[Array, Array]] = {}
    splits: tuple[Split, ...] = ("train", "val", "test")
    for split in splits:
        found = {file.role: file.name for file in files if file.split == split}
        if not found:
            continue
        if len(found) == 1:
            ((role, name),) = found.items()
            other = "labels" if role == "images" else "images"
            raise CnncliError(f"--data {root}: {name} has no file of {other} beside it")
        images = _read_idx(root / found["images"], (3, 4))
        parts[split] = (images, _read_idx(root / found["labels"], (1,)))
    samples = join_parts(root, parts)
    if not sets[0].startswith("emnist"):
        return samples
    told = (
        f"{root}: EMNIST's own files hold their pictures on their side, rows for columns, and they "
        "are read so; --data torchvision:EMNIST-balanced (or -letters, …) turns them upright"
    )
    return replace(samples, remarks=(*samples.remarks, told))


def _list_files(root: Path) -> list[_File]:
    """Return the files of MNIST's form in a folder; of one that is packed too, the plain one."""
    found: dict[tuple[str, str, str], _File] = {}
    folders, names = list_folder(root)
    # Some unpackers put each file into a folder of its own, called like the file.
    inside = [f"{name}/{name}" for name in folders if _NAME.fullmatch(name)]
    inside = [name for name in inside if (root / name).is_file()]
    for name in [*inside, *sorted(names, reverse=True)]:  # "x.gz" before "x"; the last one counts
        match = _NAME.fullmatch(name.rpartition("/")[2])
        if match:
            key = ((match["set"] or "").lower(), match["split"].lower(), match["role"].lower())
            found[key] = _File(name, key[0], _SPLITS[key[1]], key[2])
    return list(found.values())


def _read_idx(path: Path, axes: tuple[int, ...]) -> Array:
    """Read one file, plain or packed by gzip, up to the length that its header promises.

    Args:
        path: The file.
        axes: The numbers of axes that it may have.

    Raises:
        CnncliError: If it is no such file, damaged, or too large for the memory.
    """
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            file = cast(IO[bytes], gzip.GzipFile(fileobj=plain)) if packed else plain
            return _read_open_idx(path, file, axes)
    except (OSError, EOFError, zlib.error) as error:
        raise CnncliError(
            f"--data {path}: is damaged or cut short ({error}); get the file anew"
        ) from None


def _read_open_idx(path: Path, file: IO[bytes], axes: tuple[int, ...]) -> Array:
    magic = int.from_bytes(file.read(4), "big")
    count = magic - _UNSIGNED_BYTE
    if count not in axes:
        wanted = " or ".join(f"{_UNSIGNED_BYTE + number:#06x}" for number in axes)
        raise CnncliError(
            f"--data {path}: begins with {magic:#06x}, not with {wanted}: no such file of MNIST's "
            "form"
        )
    header = file.read(4 * count)
    if len(header) < 4 * count:
        raise EOFError("its header is cut short")
    shape = np.frombuffer(header, ">u4").tolist()
    length = math.prod(shape)
    check_bytes(path, length, "its header")
    data = bytearray()
    while len(data) <= length:  # not at once: a header may promise more than there is
        chunk = file.read(min(_CHUNK, length + 1 - len(data)))
        if not chunk:
            break
        data += chunk
    if len(data) != length:
        what = "more" if len(data) > length else f"{len(data):,}"
        raise EOFError(f"its header promises {length:,} bytes, and there are {what}")
    return np.frombuffer(data, np.uint8).reshape(shape)
