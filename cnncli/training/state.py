"""``last.pt``: everything that a run needs to continue as if it had never stopped."""

from __future__ import annotations

import random
from collections.abc import Mapping
from io import RawIOBase
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch

from cnncli.errors import CnncliError
from cnncli.files import write_atomically

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

    write_atomically(path, write)


class _ErrorKeepingFile:
    """A file to write to that keeps the error of a failed write.

    Attributes:
        file: The file that is written to.
        error: The error of the last write that failed; None if none did.
    """

    def __init__(self, file: RawIOBase) -> None:
        """Wrap a file.

        Args:
            file: An unbuffered file that is open for writing.
        """
        self.file = file
        self.error: Exception | None = None

    def write(self, data: Any) -> int:
        """Write all of the data; an unbuffered file may write a part of it at a time."""
        try:
            rest = memoryview(data).cast("B")
            length = len(rest)
            while rest:
                rest = rest[self.file.write(rest) or 0 :]
        except Exception as error:  # also one that a signal handler raises here
            self.error = error
            raise
        return length

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""


def load_state(path: Path) -> State:
    """Read what :func:`save_state` wrote; no code that the file may hold is run.

    Raises:
        CnncliError: If the file is missing, damaged or of a newer cnncli.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CnncliError(f"--resume {path.parent}: {path.name}: {error.strerror}") from None
    except Exception as error:  # the zip reader and the unpickler raise many kinds
        first = str(error).split("\n")[0]
        raise CnncliError(f"--resume {path.parent}: {path.name} is damaged ({first})") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CnncliError(
            f"--resume {path.parent}: {path.name} is not of a run that this cnncli can go on with; "
            f"its weights can still be trained on: cnncli finetune --weights {path.parent}"
        )
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
