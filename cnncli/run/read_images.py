"""Which images a run was trained, chosen and judged on, as digests that can be compared."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

from cnncli.choices import SPLITS
from cnncli.errors import CnncliError
from cnncli.files import MOST_OF_TABLE, check_regular

_FOLD = "fold"  # the column that `cnncli.data.manifest` writes; that module imports torch


def read_images(path: Path) -> dict[str, str]:
    """Return `RunRecord.images`; an image is known by its content, or else by path and size.

    Args:
        path: Path of the ``splits.csv`` of a run or of a cross-validation.

    Raises:
        CnncliError: If the file cannot be read, or is no such table.
    """
    found: dict[str, set[str]] = {name: set() for name in (*SPLITS, "all", "class_names")}
    try:
        check_regular(path, most=MOST_OF_TABLE)
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                image = f"{row['hash'] or (row['path'], row['bytes'])} {row['label']}"
                # What a cross-validation has in its folds is judged, as a run's test is.
                found["test" if row.get(_FOLD) else row["split"]].add(image)
                found["all"].add(image)
                found["class_names"].add(row["label"])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, csv.Error):
        raise CnncliError(f"{path}: not the splits.csv of a run") from None
    return {name: _digest(sorted(images)) for name, images in found.items()}


def _digest(lines: Iterable[str]) -> str:
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest()
