"""``--data torchvision:NAME``: data sets of torchvision, read by torchvision's own classes."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS, Split
from cnncli.connection import why_unreachable
from cnncli.data import TORCHVISION
from cnncli.data.array_source import ArraySource
from cnncli.data.samples import NO_SPLIT, FileSource, ImageSource, Samples, TextColumn
from cnncli.data.torchvision_table import SETS, TorchvisionSet
from cnncli.data.walk import check_names
from cnncli.errors import CnncliError, did_you_mean
from cnncli.files import expand_path


@dataclass(frozen=True)
class _Part:
    """One split of a data set, as torchvision's class gives it.

    Attributes:
        images: Array whose first axis is the N images, or the N paths of their files.
        targets: (N,) indices into ``class_names``.
        class_names: Names of the classes, in torchvision's order.
    """

    images: Array | Sequence[str]
    targets: Array
    class_names: tuple[str, ...]


def data_root() -> Path:
    """Return the folder for downloaded data sets.

    It is ``$CNNCLI_DATA`` if that is set, else ``datasets`` in the folder where torch keeps
    weights: ``$TORCH_HOME``, or ``torch`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    chosen = os.environ.get("CNNCLI_DATA") or os.path.join(home, "datasets")
    return expand_path(chosen).absolute()


def load_torchvision_samples(data: str) -> Samples:
    """Load a data set with its own splits. It is downloaded if it is not on the disk.

    Args:
        data: ``torchvision:NAME``, as ``--data`` names it.

    Raises:
        CnncliError: If there is no such set, if it is damaged, or if it cannot be downloaded.
    """
    given = data.removeprefix(TORCHVISION)
    name = {known.lower(): known for known in SETS}.get(given.lower())
    if name is None:
        near = did_you_mean(given, SETS) or f"; it knows {', '.join(SETS)}"
        raise CnncliError(f"--data {data}: no labelled data set of torchvision{near}")
    entry, root = SETS[name], data_root()
    if not (root / entry.lies_in).exists():
        _download(data, entry, root)
    try:
        parts = {split: _read(entry, root, given) for split, given in entry.parts.items()}
    except Exception as error:
        # Incomplete or foreign files make torchvision raise almost anything.
        reason = _first_sentence(error)
        raise CnncliError(
            f"--data {data}: {root / entry.lies_in} cannot be read ({reason}); move it away, and "
            "it is downloaded anew"
        ) from error
    return _join(entry, root, parts)


def _open(entry: TorchvisionSet, root: Path, given: Mapping[str, Any], *, download: bool) -> Any:
    """Return an object of torchvision's class, made with the arguments of one split."""
    from torchvision import datasets

    kind = getattr(datasets, entry.kind)
    # Some classes print, but stdout is for the answer of the command.
    with contextlib.redirect_stdout(sys.stderr):
        return kind(str(root), download=download, **given)


def _download(data: str, entry: TorchvisionSet, root: Path) -> None:
    """Download a data set to a temporary folder, then move it to its place.

    So an incomplete download is never taken for the data set.

    Raises:
        CnncliError: If it cannot be downloaded; the message says where to put it by hand.
    """
    reason = why_unreachable(entry.url)
    unfinished = root / f".part-{entry.kind}"
    try:
        if reason is None:
            shutil.rmtree(unfinished, ignore_errors=True)  # left by a download that was stopped
            unfinished.mkdir(parents=True, exist_ok=True)
            for given in entry.parts.values():
                _open(entry, unfinished, given, download=True)
            shutil.copytree(unfinished, root, dirs_exist_ok=True, copy_function=_move)
            shutil.rmtree(unfinished)
            return
    except Exception as error:
        # Network, disk and data sets that have moved each raise errors of their own.
        reason = _first_sentence(error)
        shutil.rmtree(unfinished, ignore_errors=True)
    raise CnncliError(
        f"--data {data}: not on this machine, and not to be had ({reason}): unpack it (from "
        f"{entry.url}) so that there is {root / entry.lies_in}, or set CNNCLI_DATA to the folder "
        f"that holds {entry.lies_in}"
    )


def _first_sentence(error: Exception) -> str:
    """Return the first line of an error, without torchvision's advice to pass download=True."""
    text = str(error) or repr(error)
    return text.splitlines()[0].split(" You can use download=True")[0].rstrip(".")


def _move(source: str, target: str) -> object:
    """Move a file, with the signature that ``shutil.copytree`` expects of a copy function."""
    Path(source).replace(target)
    return target


def _read(entry: TorchvisionSet, root: Path, given: Mapping[str, Any]) -> _Part:
    """Read one split from the disk."""
    content = _open(entry, root, given, download=False)
    names = entry.class_names or getattr(content, "classes", None) or content.categories
    class_names = tuple(name if isinstance(name, str) else name[0] for name in names)
    images, targets = _FORMS[entry.form](content)
    return _Part(images, np.asarray(targets, dtype=np.int64), class_names)


# Each of the following returns the images (an array, or paths) and the targets of a split, from an
# object of torchvision's class; `TorchvisionSet.form` says which of them a class needs.


def _arrays(content: Any) -> tuple[Any, Any]:
    targets = np.asarray(content.targets if hasattr(content, "targets") else content.labels)
    return np.asarray(content.data), targets if targets.ndim == 1 else targets[:, 0]


def _files(content: Any) -> tuple[Any, Any]:
    images = content._images if hasattr(content, "_images") else content._image_files
    return [str(path) for path in images], content._labels


def _samples(content: Any) -> tuple[Any, Any]:
    samples = content.samples if hasattr(content, "samples") else content._samples
    return [str(path) for path, _ in samples], [target for _, target in samples]


def _categories(content: Any) -> tuple[Any, Any]:
    """Caltech's classes keep no paths; a file is named by its class and its number in it."""
    folder = next(Path(content.root).glob("*_ObjectCategories"))
    pattern = "{0:03d}_{1:04d}.jpg" if folder.name.startswith("256") else "image_{1:04d}.jpg"
    pairs = zip(content.y, content.index, strict=True)
    paths = [
        str(folder / content.categories[target] / pattern.format(target + 1, number))
        for target, number in pairs
    ]
    return paths, content.y


_FORMS = {"arrays": _arrays, "files": _files, "samples": _samples, "categories": _categories}


def _join(entry: TorchvisionSet, root: Path, parts: Mapping[Split | None, _Part]) -> Samples:
    """Return all splits as one set of samples, without classes that have no image."""
    names: list[str] = []
    targets, splits = [], []
    for split, part in parts.items():
        names += [name for name in part.class_names if name not in names]
        targets.append(np.array([names.index(n) for n in part.class_names])[part.targets])
        number = NO_SPLIT if split is None else SPLITS.index(split)
        splits.append(np.full(len(part.targets), number, dtype=np.int8))
    used, renumbered = np.unique(np.concatenate(targets), return_inverse=True)
    paths = TextColumn()
    source: ImageSource
    if entry.form == "arrays":
        for split, part in parts.items():
            for number in range(len(part.targets)):
                paths.append(f"{split or 'all'}/{number:06d}.png")
        images = np.concatenate([part.images for part in parts.values()])
        if entry.axes is not None:
            images = images.transpose(0, *(axis + 1 for axis in entry.axes))
        found = paths.array()
        source = ArraySource(images)
    else:
        for part in parts.values():
            for path in part.images:
                paths.append(os.path.relpath(path, root).replace(os.sep, "/"))
        found = paths.array()
        check_names(root, found)
        source = FileSource(root, found)
    return Samples(
        source=source,
        paths=found,
        targets=renumbered.astype(np.int64),
        class_names=tuple(names[number] for number in used),
        splits=np.concatenate(splits),
    )
