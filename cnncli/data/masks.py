"""Masks among the images: the second half of a set for segmentation is no class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from cnncli.data.layout import Layout
from cnncli.data.split_names import is_all_about, is_mask_name
from cnncli.errors import CnncliError, count_of, shorten

# What the name of a mask ends with behind the name of its image, such as "benign (1)_mask_1".
_ENDING = re.compile(
    r"(?i)[ _.-]*(?<![a-z])"
    r"(?:masks?|seg|segmentation|gt|ground[_-]?truth|labels?|annotation|trimap)"
    r"(?:[ _-]?\d+)?$"
)
# Words that tell the names of an image and of its mask apart, wherever they stand.
_WORDS = re.compile(r"[ _.-]+")
# Folders belong together if so large a fraction of the smaller one's names pair up.
_PAIRED = 0.8


def doubt_masks(
    root: Path, layout: Layout, paths: Sequence[str], classes: Sequence[str], targets: Sequence[int]
) -> list[str]:
    """Return what among the images looks like masks of the others.

    Args:
        root: The folder that ``--data`` names.
        layout: How the images are laid out.
        paths: Path of each of the N images, relative to the root.
        classes: The names of the classes.
        targets: The number of each image's class in ``classes``.

    Raises:
        CnncliError: If the classes are but ``images`` and ``masks`` of the same names: that is no
            layout of classes.
    """
    notes = [*_doubt_classes(root, layout, paths, classes, targets)]
    inside = _find_inside(layout, paths, classes, targets)
    if inside:
        count, places = sum(inside.values()), [place for place, _ in inside.most_common()]
        notes.append(
            f"{count_of(count, 'image lies', 'images lie')} in folders of masks inside of classes "
            f"({shorten(places)}) and "
            f"{'is read as an image' if count == 1 else 'are read as images'} of the class; move "
            "them away if they are none"
        )
    beside = _find_beside(paths)
    if beside:
        notes.append(
            f"{count_of(len(beside), 'image is', 'images are')} named like a mask of the image "
            f"beside it ({shorten(beside)}) and "
            f"{'is read as an image' if len(beside) == 1 else 'are read as images'} of the class; "
            "move them away if they are none"
        )
    return notes


def _doubt_classes(
    root: Path, layout: Layout, paths: Sequence[str], classes: Sequence[str], targets: Sequence[int]
) -> list[str]:
    """Return warnings on classes that are called masks and have the file names of another class."""
    named = {number for number, name in enumerate(classes) if is_mask_name(name)}
    if not named or len(named) == len(classes):  # mask and no_mask are two classes
        return []
    keys: list[set[str]] = [set() for _ in classes]
    for path, target in zip(paths, targets, strict=True):
        keys[target].add(_name_of_picture(path))
    notes = []
    for mask in sorted(named):
        for other in sorted(set(range(len(classes))) - named):
            pairs, fewer = len(keys[mask] & keys[other]), min(len(keys[mask]), len(keys[other]))
            if pairs < 2 or pairs < _PAIRED * fewer:
                continue
            one, two = classes[other], classes[mask]
            told = f"{pairs:,} of {fewer:,} file names are in both"
            pure = is_all_about(two, "masks") and is_all_about(one, "pictures")
            if len(classes) == 2 and pure:
                raise CnncliError(
                    f"--data {root}: its folders {one} and {two} are images and their masks, as "
                    f"for segmentation, and no classes ({told}); {_advise(root, layout, one)}"
                )
            notes.append(
                f"{two} is taken as a class, though it looks like the masks of {one} ({told}); "
                "move it away if it is none"
            )
    return notes


def _advise(root: Path, layout: Layout, pictures: str) -> str:
    """Return what to type in place of a folder of images and masks."""
    place = root / layout.base / pictures
    if not layout.splits and place.is_dir() and any(p.is_dir() for p in place.iterdir()):
        return f"if {place} holds the classes, name it"
    return "put the images in DATA/<class>/, or name a CSV that has their labels"


def _name_of_picture(path: str) -> str:
    """Return the stem of a file's name without the words that tell an image from its mask."""
    stem = path.rsplit("/", 1)[-1].rpartition(".")[0]
    stem = _ENDING.sub("", stem) or stem
    words = [word for word in _WORDS.split(stem) if word and not _tells_kind(word)]
    return "_".join(words) or stem


@lru_cache(maxsize=4096)
def _tells_kind(word: str) -> bool:
    return is_all_about(word, "masks") or is_all_about(word, "pictures")


def _find_inside(
    layout: Layout, paths: Sequence[str], classes: Sequence[str], targets: Sequence[int]
) -> Counter[str]:
    """Return the folders of masks below the folders of classes, and the images in each."""
    found: Counter[str] = Counter()
    for path, target in zip(paths, targets, strict=True):
        folder = path[len(layout.base) :].rpartition("/")[0]
        if "/" in folder and _masks_below(folder, classes[target]):
            found[folder] += 1
    return found


@lru_cache(maxsize=4096)
def _masks_below(folder: str, class_name: str) -> bool:
    """Return whether a folder below that of a class is called like one of masks."""
    parts = folder.split("/")
    place = parts.index(class_name) if class_name in parts else len(parts)
    return any(is_mask_name(part) for part in parts[place + 1 :])


def _find_beside(paths: Sequence[str]) -> list[str]:
    """Return the images named like another one in their folder, with the ending of a mask."""
    candidates = []
    for path in paths:
        stem = path.rpartition(".")[0]
        image = _ENDING.sub("", stem)
        if image != stem and not image.endswith("/"):
            candidates.append((path, image))
    if not candidates:
        return []
    stems = {path.rpartition(".")[0] for path in paths}
    return [path for path, image in candidates if image in stems]
