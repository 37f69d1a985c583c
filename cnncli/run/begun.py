"""The images that a run was begun with, and whether those of today are still the same.

``last.pt`` holds them, and decides; a state that was written before 2026-11-26 does not, and there
``splits.csv`` alone does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.data.exclude import exclude_again, load_excluded
from cnncli.data.find_samples import is_named_set
from cnncli.data.relabelled import match_labels, tell_other_labels
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.data.split_file import load_split_file
from cnncli.data.split_match import give_rows, match_rows, tell_left_out, tell_relabelled
from cnncli.errors import CnncliError
from cnncli.files import CONFIG_FILE, SPLITS_FILE, expand_path


def record_images(data: str, samples: Samples, splits: Array) -> dict[str, Any]:
    """Return what is to be the same when a run is resumed, in 5 bytes per image.

    Args:
        data: What ``--data`` names.
        samples: The N images, in the order in which they are numbered.
        splits: (N,) indices into SPLITS, or ``NO_SPLIT``.
    """
    return {
        "data": data,
        "paths": _digest(samples.paths),
        "class_names": list(samples.class_names),
        "targets": torch.from_numpy(samples.targets.astype(np.int32)),
        "splits": torch.from_numpy(splits.astype(np.int8)),
    }


@dataclass(frozen=True)
class BegunRun:
    """A run that is resumed.

    Attributes:
        run_dir: The run's folder.
        images: What `record_images` returned when its state was saved; empty in an older state.
    """

    run_dir: Path
    images: Mapping[str, Any]

    def check_data(self, data: str) -> None:
        """Refuse data that are not there.

        Args:
            data: What ``data:`` in the run's ``config.yaml`` names.

        Raises:
            CnncliError: If there is no such file, folder or data set.
        """
        if is_named_set(data) or expand_path(data).exists():
            return
        edited = self._tell_other_data(data)
        hint = f" ({edited})" if edited else ""
        raise CnncliError(
            f"--resume {self.run_dir}: its images, {data}, are not here{hint}; a run goes on from "
            "the folder that it was begun in, with its images in their place"
        )

    @contextmanager
    def explain_data(self, data: str) -> Iterator[None]:
        """Say in an error that ``data:`` in ``config.yaml`` is not what the run was begun with.

        Args:
            data: What it names now.
        """
        try:
            yield
        except CnncliError as error:
            edited = self._tell_other_data(data)
            if not edited:
                raise
            raise CnncliError(
                f"--resume {self.run_dir}: {edited}; put it back, since the images are others "
                f"({error})"
            ) from None

    def _tell_other_data(self, data: str) -> str:
        begun = self.images.get("data", data)
        other = f"{CONFIG_FILE} has data: {data}, but the run was begun with data: {begun}"
        return "" if data == begun else other

    def give_splits(self, samples: Samples, *, threads: int) -> Samples:
        """Return the samples with the splits that the run has written down.

        Args:
            samples: The images as they are found now.
            threads: Number of threads that read files.

        Raises:
            CnncliError: If they are not the images of the run, or have other labels or another
                order.
        """
        samples = exclude_again(samples, load_excluded(self.run_dir))
        where = f"--resume {self.run_dir}: {SPLITS_FILE}"
        file = load_split_file(str(self.run_dir / SPLITS_FILE), where)
        rows = match_rows(samples, file, threads=threads)
        changed = tell_relabelled(samples, file, rows)
        if changed and self._has_labels(samples):
            edited = tell_relabelled(samples, file, rows, edited=SPLITS_FILE)
            raise self._refuse(f"{edited}: that file was edited; put it back")
        if changed:
            raise self._refuse(f"{changed}; put the labels back")
        known = rows[rows >= 0]
        if (np.diff(known) < 0).any():
            raise self._refuse(
                f"the images stand in another order than in its {SPLITS_FILE}, and an epoch that "
                "was interrupted would not go on with the right ones; put the rows of the table "
                "back in that order"
            )
        left_out = tell_left_out(samples, rows, "the run so far")
        given = give_rows(samples, file, rows, file.splits)
        return replace(given, remarks=(*given.remarks, *left_out))

    def _has_labels(self, samples: Samples) -> bool:
        """Return whether images are known to have the labels that the run was begun with."""
        begun = self.images
        if not begun or _digest(samples.paths) != begun["paths"]:
            return False
        indices = np.arange(len(samples))
        return not tell_other_labels(samples, indices, begun["class_names"], begun["targets"])

    def check_images(self, samples: Samples, splits: Array) -> Samples:
        """Return the samples, their classes spelt as the run has them.

        Args:
            samples: The N images, with splits by `give_splits` and their classes in order.
            splits: (N,) indices into SPLITS, or ``NO_SPLIT``.

        Raises:
            CnncliError: If labels or splits are not those that the run was begun with.
        """
        begun = self.images
        if not begun:
            return samples
        if _digest(samples.paths) != begun["paths"]:
            raise self._refuse(
                f"the images are not those that it was begun with, and {SPLITS_FILE} was changed "
                "with them; put both back"
            )
        names = begun["class_names"]
        changed = tell_other_labels(samples, np.arange(len(samples)), names, begun["targets"])
        if changed:
            raise self._refuse(f"{changed}, also in its {SPLITS_FILE}; put the labels back")
        before = begun["splits"].numpy()
        # What could not be read since then has no split any more.
        other = np.flatnonzero((splits != before) & (splits != NO_SPLIT))
        if len(other):
            first = other[0]
            then = "none" if before[first] == NO_SPLIT else SPLITS[before[first]]
            raise self._refuse(
                f"{len(other)} of {len(samples)} images are in another split of {SPLITS_FILE} than "
                f"when the run began ({samples.paths[first]}: {then} then, {SPLITS[splits[first]]} "
                "now); put the file back"
            )
        if match_labels(names, samples.class_names) != list(range(len(samples.class_names))):
            return samples
        return replace(samples, class_names=tuple(names))

    def _refuse(self, why: str) -> CnncliError:
        return CnncliError(
            f"--resume {self.run_dir}: {why}, or begin a new run: cnncli train --config "
            f"{self.run_dir / CONFIG_FILE}"
        )


def _digest(paths: Array) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        digest.update(f"{path}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
