"""What in the layout of folders may be a mistake."""

from __future__ import annotations

from collections.abc import Iterable

from cnncli.choices import Split
from cnncli.data.folder_tree import FolderTree
from cnncli.data.label_text import loosen_label
from cnncli.data.split_names import is_mask_name, parse_split_name
from cnncli.errors import shorten


def normalise_names(names: Iterable[str]) -> set[str]:
    """Return names of classes in a form in which small differences of spelling do not count."""
    return {loosen_label(name) for name in names}


def doubt_splits(
    used: dict[str, Split], classes: dict[str, set[str]], others: list[str], tree: FolderTree
) -> tuple[str, ...]:
    """Return what may be a mistake where folders are taken as splits."""
    notes = []
    empty = [name for name in used if name not in classes]
    if empty:
        notes.append(f"no image in {shorten(empty)}")
    for split in ("train", "val", "test"):
        same = [name for name in classes if used[name] == split and classes[name]]
        if len(same) > 1:
            notes.append(f"{shorten(same)} are all taken as {split}; move away what is not")
    known = set().union(*classes.values())
    alike = [o for o in others if len(known & normalise_names(tree.folders(f"{o}/"))) > 1]
    if alike:
        notes.append(
            f"{shorten(alike)} beside the splits holds folders of the same classes, but its name "
            "is none of a split: it is not read"
        )
    classes_beside = [o for o in others if loosen_label(o) in known]
    if classes_beside:
        notes.append(
            f"{shorten(classes_beside)} beside the splits is called like a class in them: it is "
            "not read"
        )
    return tuple(notes)


def doubt_classes(tree: FolderTree, below: dict[str, list[str]]) -> list[str]:
    """Return what may be a mistake where folders are taken as classes."""
    meant = {name: parse_split_name(name) for name in below}
    plain = [name for name, found in meant.items() if found is not None and found.is_plain]
    splits = {found.split for name, found in meant.items() if found is not None and name in plain}
    others = [name for name in below if name not in plain]
    if "train" in splits and len(splits) > 1:
        return [
            f"the folders {shorten(plain)} are taken as classes, because {shorten(others)} beside "
            "them is no split"
        ]
    holding = [n for n in plain if len(below[n]) > 1 and not tree.has_images(f"{n}/")]
    if holding and others:
        return [
            f"the folder {holding[0]} is taken as a class, though it holds the folders "
            f"{shorten(below[holding[0]])}; if these are the classes, name it: "
            f"--data DATA/{holding[0]}"
        ]
    shared = set.intersection(*map(set, below.values())) if len(below) > 1 else set()
    doubt = _doubt_parts(tree, below)
    if doubt:
        return [doubt]
    if any(map(is_mask_name, shared)):  # told in `cnncli.data.masks`
        return []
    if len(shared) > 1:
        return [
            f"each of the folders {shorten(list(below))} holds the folders "
            f"{shorten(sorted(shared))}: if these are the classes, move them to the top"
        ]
    within = [n for n in below if len(set(below[n]) & set(below)) > 1]
    if within:
        return [
            f"the folder {within[0]} is taken as a class, though it holds folders with the names "
            f"of other classes: {shorten(below[within[0]])}"
        ]
    uneven = doubt_depth(tree, "")
    if uneven:
        return uneven
    small = [n for n in below if n.lower() in ("thumbs", "thumbnails", "thumbnail")]
    return [f"the folder {name} is taken as a class; move it away if it is none" for name in small]


def _doubt_parts(tree: FolderTree, below: dict[str, list[str]]) -> str:
    """Return a warning on folders in the classes that are named like splits; empty for none.

    Args:
        tree: The folders.
        below: For each folder of a class: the folders with images in it.
    """
    meant = {name: [parse_split_name(part) for part in parts] for name, parts in below.items()}
    shared = set.intersection(*map(set, below.values())) if len(below) > 1 else set()
    parts = [name for name in sorted(shared) if parse_split_name(name) is not None]
    plain = [n for n, found in meant.items() if found and all(f and f.is_plain for f in found)]
    if len(parts) > 1 or (parts and len(plain) == len(below)):
        return (
            f"each class holds the folder{'s' * (len(parts) > 1)} {shorten(parts)}, not taken as "
            f"split{'s' * (len(parts) > 1)}, since they hold folders, or others or images lie "
            "beside them; put them above the classes"
        )
    if not plain or len(below) < 2:
        return ""
    named = [f"{name}/{part}" for name in plain for part in below[name]]
    others = [name for name in below if name not in plain]
    why = "the classes hold different ones"
    if others:
        why = f"{shorten(others)} hold{'s' * (len(others) == 1)} images of no split"
    return (
        f"{shorten(named)} are named like splits, but {why}: they are not taken as splits, and all "
        "images in them are read as images of their class; put the splits above the classes, or "
        "into every class"
    )


def doubt_depth(tree: FolderTree, place: str) -> list[str]:
    """Return a warning if some folders of classes hold images, and others only folders of images.

    Args:
        tree: The folders.
        place: The folder that holds the classes: empty, or a path that ends in ``/``.
    """
    below = {name: tree.folders(f"{place}{name}/") for name in tree.folders(place)}
    flat = [name for name, inside in below.items() if not inside]
    deep = [n for n in below if len(below[n]) > 1 and not tree.has_images(f"{place}{n}/")]
    if not flat or not deep:
        return []
    return [
        f"{place}{deep[0]} is taken as one class, though it holds the folders "
        f"{shorten(below[deep[0]])} and no image beside them, while {shorten(flat)} hold images; "
        "if these folders are classes, move them beside the others"
    ]
