"""The folders below a root that hold images."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from cnncli.data.split_names import parse_split_name
from cnncli.data.walk import holds_image, list_folder, looks_like_image

# What folders between a split and its classes are called.
_BETWEEN = {"image", "images", "img", "imgs", "data", "dataset", "pictures", "photos", "classes"}


class FolderTree:
    """The folders below a root, looked at as they are asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._inside: dict[str, list[str]] = {}

    def all_folders(self, path: str) -> list[str]:
        """Return the sorted names of the folders in a folder but hidden ones."""
        return list_folder(self.root / path)[0]

    def folders(self, path: str) -> list[str]:
        """Return the sorted names of the folders in a folder that hold an image."""
        if path not in self._inside:
            place = self.root / path
            inside = [name for name in self.all_folders(path) if holds_image(place / name)]
            self._inside[path] = inside
        return self._inside[path]

    def has_images(self, path: str, *, more_than: int = 0) -> bool:
        """Return whether images lie directly in a folder, and more than a number of them."""
        place = self.root / path
        images = (n for n in list_folder(place)[1] if looks_like_image(os.path.join(place, n)))
        return len(list(islice(images, more_than + 1))) > more_than

    def enter(self, name: str) -> str:
        """Return the path in which the classes of a split lie: in it, or in a folder between."""
        path = f"{name}/"
        while len(inside := self.folders(path)) == 1 and not self.has_images(path):
            (only,) = inside
            meant, outer = parse_split_name(only), parse_split_name(Path(path).name)
            same = only.casefold() == name.rsplit("/", 1)[-1].casefold() or (
                meant is not None and outer is not None and meant.split == outer.split
            )
            if not (same or only.lower() in _BETWEEN):
                break
            path = f"{path}{only}/"
        return path
