"""``last.pt``: everything that a run needs to continue as if it had never stopped."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Mapping
from io import RawIOBase
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any, cast

import numpy as np
import torch

from cnncli.errors import CnncliError
from cnncli.files import MOST_OF_WEIGHTS, check_regular, write_atomically
from cnncli.models.pretrained.digest import LENGTH_BYTES, archive_end, is_whole
from cnncli.models.pretrained.tensor_file import DAMAGED, describe_damage, load_pickle

FORMAT = 1

State = dict[str, Any]


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a run; the file from before stays until the new one is complete.

    Args:
        path: The file to write.
        state: Tensors, numbers, texts, lists and dicts. The format, the random state of this
            process and its number of threads are added.

    Raises:
        CnncliError: If the file cannot be written.
    """
    full = {**state, "format": FORMAT, "random": random_state(), "threads": torch.get_num_threads()}

    def write(part: Path) -> None:
        with part.open("wb", buffering=0) as file:
            keeping = _ErrorKeepingFile(file)
            try:
                torch.save(full, cast("IO[bytes]", keeping))
            except RuntimeError as error:  # torch's assertion fails, which hides the real reason
                raise (keeping.error or error) from None
            file.seek(-LENGTH_BYTES, os.SEEK_END)
            _ErrorKeepingFile(file).write(archive_end(keeping.digest.hexdigest()))

    write_atomically(path, write)


class _ErrorKeepingFile:
    """A file to write to that keeps the error of a failed write.

    Attributes:
        file: The file that is written to.
        error: The error of the last write that failed; None if none did.
        digest: BLAKE2b of all that was written.
    """

    def __init__(self, file: RawIOBase) -> None:
        """Wrap a file.

        Args:
            file: An unbuffered file that is open for writing.
        """
        self.file = file
        self.error: Exception | None = None
        self.digest = hashlib.blake2b(digest_size=32)

    def write(self, data: Any) -> int:
        """Write all of the data; an unbuffered file may write a part of it at a time."""
        try:
            rest = memoryview(data).cast("B")
            length = len(rest)
            self.digest.update(rest)
            while rest:
                rest = rest[self.file.write(rest) or 0 :]
        except Exception as error:  # also one that a signal handler raises here
            self.error = error
            raise
        return length

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""


def load_state(path: Path) -> State:
    """Read what `save_state` wrote; no code that the file may hold is run.

    Raises:
        CnncliError: If the file is missing, damaged or of a newer cnncli.
    """
    where = f"--resume {path.parent}: {path.name}"
    instead = (
        f"its weights can still be trained on: cnncli finetune --data DATA --weights {path.parent}"
    )
    try:
        check_regular(path, most=MOST_OF_WEIGHTS)
        whole = is_whole(path)
    except OSError as error:
        raise CnncliError(f"{where}: {error.strerror}") from None
    if not whole:
        raise CnncliError(
            f"{where} is damaged: what is in it is not what was written (another digest); copy it "
            f"again from where it is whole; {instead}"
        )
    try:
        state = load_pickle(path)
    except UnpicklingError:
        raise CnncliError(
            f"{where} is damaged, or no run has written it: it holds more than numbers, texts and "
            f"tensors, and a pickle can run code when it is opened; {instead}"
        ) from None
    except DAMAGED as error:
        raise CnncliError(f"{where} is damaged ({describe_damage(error)}); {instead}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CnncliError(f"{where} is not of a run that this cnncli can go on with; {instead}")
    return state


def seed_everything(seed: int) -> None:
    """Seed all generators of random numbers in this process: torch's, NumPy's and Python's."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def random_state() -> State:
    """Return the states of all generators of random numbers in this process."""
    kind, words, place, has_normal, normal = np.random.get_state()
    version, internal, next_normal = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
        "numpy": [
            str(kind),
            np.asarray(words).tolist(),
            place,
            has_normal,
            normal,
        ],
        "python": [version, list(internal), next_normal],
    }


def restore_random_state(state: State) -> None:
    """Set all generators of random numbers to what :func:`random_state` returned."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    if state["mps"] is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
    kind, words, place, has_normal, normal = state["numpy"]
    np.random.set_state((kind, np.array(words, np.uint32), place, has_normal, normal))
    version, internal, next_normal = state["python"]
    random.setstate((version, tuple(internal), next_normal))
