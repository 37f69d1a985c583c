"""A data set in a ``.npz`` file: arrays ``train_images`` and ``train_labels``, and so on.

Source: MedMNIST (Yang et al. 2023, doi:10.1038/s41597-022-01721-8) and Keras have these names.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import Split
from cnncli.data.array_parts import check_bytes, join_parts
from cnncli.data.samples import Samples
from cnncli.data.walk import list_folder
from cnncli.errors import CnncliError, shorten
from cnncli.images.npy import read_array_head

_SPLITS: dict[str, Split] = {
    **{"train": "train", "training": "train", "tr": "train"},
    **{"val": "val", "valid": "val", "validation": "val", "dev": "val"},
    **{"test": "test", "testing": "test", "te": "test"},
}
_IMAGES = {"images", "image", "x", "imgs", "img", "data", "pixels"}
_LABELS = {"labels", "label", "y", "targets", "target", "classes"}
_WANTED = "train_images and train_labels (or x_train and y_train), and so for val and test"

# A folder of more files is one of images.
_MOST_FILES = 50

Role = Literal["images", "labels"]


@dataclass(frozen=True)
class _Key:
    """What the name of an array says: the split (or None) and whether it holds images or labels."""

    split: Split | None
    role: Role


def is_npz_set(path: Path) -> bool:
    """Return whether a file is a ``.npz`` with arrays named like a data set's images and labels."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            keys = [_parse_key(name.removesuffix(".npy")) for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return False
    return {"images", "labels"} <= {key.role for key in keys if key}


def find_npz_sets(folder: Path) -> list[Path]:
    """Return the ``.npz`` data sets in a folder; none if it holds folders, or many files.

    Args:
        folder: The folder.
    """
    folders, files = list_folder(folder)
    if folders or len(files) > _MOST_FILES:
        return []
    return [folder / name for name in files if is_npz_set(folder / name)]


def find_in_npz(path: Path) -> Samples:
    """Read the images and labels of a ``.npz`` file, with the splits that it has.

    Nothing is unpickled. The size of each array is read from its header before it is inflated.

    Args:
        path: The file.

    Raises:
        CnncliError: If the file is damaged, or holds no images with labels.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {n.removesuffix(".npy"): n for n in archive.namelist() if n.endswith(".npy")}
            keys = {name: _parse_key(name) for name in members}
            pairs = _pair(path, keys)
            used = [name for pair in pairs.values() for name in pair]
            total = sum(_promised_bytes(path, archive, members[name], name) for name in used)
            check_bytes(path, total, "the file")
            arrays = {name: _read_array(archive, members[name]) for name in used}
    except CnncliError:
        raise
    except OSError as error:
        raise CnncliError(f"--data {path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # zlib, zipfile, struct and NumPy each raise errors of their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CnncliError(
            f"--data {path}: is damaged or cut short ({reason}); get the file anew"
        ) from None
    unused = sorted(set(members) - set(used))
    remarks = [f"{path.name}: not read: {shorten(unused)}"] if unused else []
    parts = {s: (arrays[images], arrays[labels]) for s, (images, labels) in pairs.items()}
    return join_parts(path, parts, remarks)


def _parse_key(name: str) -> _Key | None:
    """Return what the name of an array says, or None if it says nothing known."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    splits = [_SPLITS[word] for word in words if word in _SPLITS]
    roles: list[Role] = ["images" for word in words if word in _IMAGES]
    roles += ["labels" for word in words if word in _LABELS]
    if len(words) != len(splits) + len(roles) or len(splits) > 1 or len(roles) != 1:
        return None
    return _Key(splits[0] if splits else None, roles[0])


def _pair(path: Path, keys: dict[str, _Key | None]) -> dict[Split | None, tuple[str, str]]:
    """Return the names of the arrays of images and of labels of each split.

    Raises:
        CnncliError: If images and labels do not go together.
    """
    found: dict[Split | None, dict[Role, str]] = {}
    for name, key in keys.items():
        if key is None:
            continue
        other = found.setdefault(key.split, {}).setdefault(key.role, name)
        if other != name:
            raise CnncliError(
                f"--data {path}: {other} and {name} are both the {key.role}"
                f"{f' of {key.split}' if key.split else ''}; leave one of them out"
            )
    order: Iterable[Split | None] = ("train", "val", "test", None)
    pairs = {
        split: (found[split]["images"], found[split]["labels"])
        for split in order
        if len(found.get(split, {})) == 2
    }
    if not pairs or (None in pairs and len(pairs) > 1):
        raise CnncliError(
            f"--data {path}: it holds {shorten(list(keys)) or 'no arrays'}; a "
            f"data set needs {_WANTED}"
        )
    return pairs


def _promised_bytes(path: Path, archive: zipfile.ZipFile, member: str, name: str) -> int:
    """Return the number of bytes of an array by its header, without inflating the array.

    Raises:
        CnncliError: If it holds Python objects, or more than the archive says that it has.
    """
    with archive.open(member) as file:
        shape, _, dtype = read_array_head(file)
        left = archive.getinfo(member).file_size - file.tell()
    if dtype.hasobject:
        raise CnncliError(
            f"--data {path}: {name} holds Python objects, which are not read from files of others; "
            "save it as numbers or fixed-width texts"
        )
    count = math.prod(shape) * dtype.itemsize
    if count != left or min(shape, default=0) < 0:
        raise CnncliError(
            f"--data {path}: is damaged or cut short ({name} promises {count:,} bytes and has "
            f"{left:,}); get the file anew"
        )
    return count


def _read_array(archive: zipfile.ZipFile, member: str) -> Array:
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):  # reads to the end too, where the checksum is compared
            raise ValueError("more bytes than the header promises")
    return np.asarray(array)
