"""Understands how a folder of images is laid out: where its splits and its classes are.

Names alone do not tell: a class may be called "test". Folders are splits if their names say so and
they hold folders of the same classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from cnncli.choices import SPLITS, Split
from cnncli.data.folder_tree import FolderTree
from cnncli.data.layout_doubts import doubt_classes, doubt_depth, doubt_splits, normalise_names
from cnncli.data.split_names import USUAL, SplitName, parse_split_name
from cnncli.errors import CnncliError, shorten

# What a folder of images without labels is called, beside folders of splits.
_UNLABELLED = {"unlabeled", "unlabelled", "pred", "predict", "prediction", "predictions"}
# So many images may lie beside a folder that is the only one: previews, logos, figures.
_PREVIEWS = 9


@dataclass(frozen=True)
class Layout:
    """How the images below a folder are laid out.

    Attributes:
        base: The folder that holds the splits or the classes, relative to the root: empty, or a
            path that ends in ``/``.
        splits: The split of each folder of a split; empty if there are none.
        inner: For each folder of a split, the path below ``base`` in which its classes lie, with
            ``/`` at its end: ``train/``, or ``seg_train/seg_train/``.
        aside: Names of folders below ``base`` that are not read.
        flat: Names of folders of splits in which images lie without a class folder.
        splits_inside: Whether the folders are classes, each of which holds folders of splits.
        remarks: Sentences on how the layout was understood.
        notes: Sentences on what may be a mistake.
    """

    base: str = ""
    splits: dict[str, Split] = field(default_factory=dict)
    inner: dict[str, str] = field(default_factory=dict)
    aside: tuple[str, ...] = ()
    flat: tuple[str, ...] = ()
    splits_inside: bool = False
    remarks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def label(self, path: str) -> tuple[str, Split | None] | None:
        """Return the class of an image and its split, None for an image in no class folder.

        Args:
            path: Its path relative to the root.
        """
        if not path.startswith(self.base):
            return None
        below = path[len(self.base) :]
        top, _, _ = below.partition("/")
        split = self.splits.get(top)
        inner = self.inner.get(top, "")
        parts = below[len(inner) :].split("/", 2)
        if not below.startswith(inner) or len(parts) < 2 or (self.splits and split is None):
            return None
        if self.splits_inside:
            found = parse_split_name(parts[1]) if len(parts) > 2 else None
            return (parts[0], found.split) if found else None
        return parts[0], split

    def is_aside(self, path: str) -> bool:
        """Return whether a file is in one of the folders that are not read."""
        below = path[len(self.base) :] if path.startswith(self.base) else ""
        return below.partition("/")[0] in self.aside


def find_base(root: Path) -> str:
    """Return the folder that holds what is meant, relative to ``root``, through sole wrappers.

    A folder is a wrapper if it is the only one with images, and holds folders with images itself.

    Args:
        root: The folder that ``--data`` names.

    Returns:
        An empty text for ``root`` itself, or a path that ends in ``/``.
    """
    tree, base = FolderTree(root), ""
    while len(inside := tree.folders(base)) == 1 and not tree.has_images(base, more_than=_PREVIEWS):
        (only,) = inside
        meant = parse_split_name(only)
        if meant is not None and meant.is_plain:
            return base
        base = f"{base}{only}/"
    is_meant = len(inside) > 1 and not tree.has_images(base, more_than=_PREVIEWS)
    return base if is_meant else ""


def find_layout(root: Path) -> Layout:
    """Find out how the images below a folder are laid out.

    Args:
        root: The folder that ``--data`` names.

    Raises:
        CnncliError: If the layout may mean several things, none of them likelier.
    """
    base = find_base(root)
    tree = FolderTree(root / base)
    layout = _find_splits(tree, root / base)
    layout = layout or _find_classes(tree, root / base)
    if base:
        told = f"{base[:-1]} is the only folder with images in {root}, so its folders are read"
        layout = replace(layout, base=base, remarks=(told, *layout.remarks))
    return layout


def _find_splits(tree: FolderTree, place: Path) -> Layout | None:
    """Return the layout if the folders are splits, else None."""
    folders = tree.folders("")
    # A split that is still empty is one too: only its name can say so.
    named = {name: parse_split_name(name) for name in tree.all_folders("")}
    meant = {name: found for name, found in named.items() if found is not None}
    candidates = [name for name in folders if name in meant]
    others = [name for name in folders if name not in meant]
    if not candidates:
        return None
    inner = {name: tree.enter(name) for name in candidates}
    classes = {name: normalise_names(tree.folders(inner[name])) for name in candidates}
    if not _are_splits(meant, classes, others, place):
        return None
    used = {n: found.split for n, found in meant.items() if n in candidates or found.is_plain}
    flat = [name for name in candidates if not classes[name]]
    return Layout(
        splits=used,
        inner={name: inner.get(name, f"{name}/") for name in used},
        aside=tuple(name for name in tree.all_folders("") if name not in used),
        flat=tuple(flat) if len(flat) < len(used) else (),
        remarks=_tell_splits(used, inner, others),
        notes=(
            *doubt_splits(used, classes, others, tree),
            *(note for name in candidates for note in doubt_depth(tree, inner[name])),
        ),
    )


def _are_splits(
    meant: dict[str, SplitName], classes: dict[str, set[str]], others: list[str], place: Path
) -> bool:
    """Decide whether folders whose names may mean splits are splits.

    Args:
        meant: What the names may mean.
        classes: For each of these folders that holds images: the classes that lie in it.
        others: Names of the folders with images beside them.
        place: The folder that holds them, for the message.
    """
    found = {meant[name].split for name in classes}
    plain = all(meant[name].is_plain for name in classes)
    labelled = [name for name in classes if classes[name]]
    trains = [name for name in labelled if meant[name].split == "train"]
    if any(classes[a] & classes[b] for a in trains for b in labelled if _differ(meant, a, b)):
        return True
    if plain and len(found) > 1 and any(len(classes[name]) > 1 for name in trains):
        return True
    if [name for name in others if name.lower() not in _UNLABELLED]:
        return False
    if len(found) == 1:
        shared = set.intersection(*classes.values())
        return plain and (len(classes) == 1 or bool(shared))
    if plain or trains:
        return True
    if not labelled and "train" in found:
        raise CnncliError(
            f"--data {place}: {shorten(list(classes))} are named like splits, but hold no folders "
            "of classes; put the images in train/<class>/ and test/<class>/"
        )
    return False


def _differ(meant: dict[str, SplitName], one: str, other: str) -> bool:
    return meant[one].split != meant[other].split


def _tell_splits(
    used: dict[str, Split], inner: dict[str, str], others: list[str]
) -> tuple[str, ...]:
    """Return what to say of folders that are taken as splits."""
    told = []
    unusual = [n for n in used if n not in USUAL or inner.get(n, f"{n}/") != f"{n}/"]
    if unusual or others:
        ordered = sorted(used, key=lambda name: SPLITS.index(used[name]))
        places = {name: inner.get(name, name).rstrip("/") for name in ordered}
        read = shorten(
            [p if p == used[n] else f"{p} is {used[n]}" for n, p in places.items()], most=8
        )
        beside = f"; beside them, not read: {shorten(others)}" if others else ""
        told.append(f"the folders are splits, not classes: {read}{beside}")
    return tuple(told)


def _find_classes(tree: FolderTree, place: Path) -> Layout:
    """Return the layout of folders that are classes.

    Raises:
        CnncliError: If one of them holds the splits of all classes.
    """
    folders = tree.folders("")
    below = {name: tree.folders(f"{name}/") for name in folders}
    for name in folders:
        inside = FolderTree(place / name)
        if len(folders) > 1 and below[name] and _holds_shared_splits(inside):
            raise CnncliError(
                f"--data {place}: its folder {name} holds splits ({shorten(below[name])}), and "
                f"beside it is {shorten([f for f in folders if f != name])}; name the folder that "
                f"is meant, such as {place / name}"
            )
    notes = []
    empty = [name for name in tree.all_folders("") if name not in folders]
    if empty:
        notes.append(f"no image in {shorten(empty)}")
    if _are_splits_of_classes(tree, below):
        told = (
            "every class folder holds folders of splits: "
            f"{shorten(sorted({name for inside in below.values() for name in inside}))}"
        )
        return Layout(splits_inside=True, remarks=(told,), notes=tuple(notes))
    return Layout(notes=(*notes, *doubt_classes(tree, below)))


def _holds_shared_splits(tree: FolderTree) -> bool:
    """Return whether a folder holds several splits that have classes in common."""
    named = {name: parse_split_name(name) for name in tree.folders("")}
    meant = {name: found for name, found in named.items() if found is not None}
    classes = {name: normalise_names(tree.folders(tree.enter(name))) for name in meant}
    return any(classes[a] & classes[b] for a in meant for b in meant if _differ(meant, a, b))


def _are_splits_of_classes(tree: FolderTree, below: dict[str, list[str]]) -> bool:
    """Return whether every class folder holds nothing but folders of splits, full of images."""
    names = {name for inside in below.values() for name in inside}
    meant = [parse_split_name(name) for name in names]
    if len(below) < 2 or not all(below.values()):
        return False
    if not all(found is not None and found.is_plain for found in meant):
        return False
    splits = {found.split for found in meant if found is not None}
    deeper = any(tree.folders(f"{name}/{part}/") for name in below for part in below[name])
    loose = any(tree.has_images(f"{name}/") for name in below)
    return "train" in splits and len(splits) > 1 and not deeper and not loose
