"""Whether an exported network answers as torch does, on the same images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.engine.load_onnxruntime import load_onnxruntime
from cnncli.engine.metadata import INPUT, OUTPUT
from cnncli.errors import RUNTIME_FAILURE, CnncliError

# The greatest difference of a probability, and the least one of the two largest probabilities for
# another label to count.
MOST_APART = 1e-4
_TIE = 2e-4
# The sizes of batches that are tried: of one, of the size that was traced, and of another.
_BATCHES = (1, 2, 7)


@dataclass(frozen=True)
class Parity:
    """How an exported network differs from torch.

    Attributes:
        images: Number of images.
        apart: The greatest difference of a probability.
        changed: Number of images with another most probable class, where the two largest of torch's
            probabilities differ by more than 2e-4.
    """

    images: int
    apart: float
    changed: int

    @property
    def is_kept(self) -> bool:
        """Whether the network may be used in torch's place, in float32."""
        return self.apart <= MOST_APART and not self.changed  # NaN is no number that is small

    def describe(self) -> str:
        """Return the difference in words."""
        labels = f", {self.changed} other labels" if self.changed else ", the same labels"
        return f"probabilities within {self.apart:.1e} of torch's{labels}"


class OnnxModel:
    """An ONNX network that ONNX Runtime runs on the CPU."""

    def __init__(self, data: bytes, threads: int = 0) -> None:
        """Open it.

        Args:
            data: The content of the file.
            threads: Number of threads; 0 for one per core.

        Raises:
            CnncliError: If ONNX Runtime cannot run it.
        """
        onnxruntime = load_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # only what ends the process; the comparison judges
        try:
            self._session: Any = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors have no class in common
            raise _refuse(str(error)) from error

    def __call__(self, images: Array) -> Array:
        """Return the probabilities (N, K) in float32 of images (N, H, W, C).

        Raises:
            CnncliError: If it fails, or does not give a row for each image.
        """
        try:
            found: Array = self._session.run([OUTPUT], {INPUT: images})[0]
        except Exception as error:
            raise _refuse(f"a batch of {len(images)}: {error}") from error
        if len(found) != len(images):
            raise _refuse(f"a batch of {len(images)} images gives {len(found)} answers")
        return found


def _refuse(reason: str) -> CnncliError:
    told = " ".join(reason.split())[:200]
    return CnncliError(
        f"ONNX Runtime cannot run the exported network: {told}", exit_code=RUNTIME_FAILURE
    )


def compare_networks(
    expected: Callable[[Array], Array],
    found: Callable[[Array], Array],
    images: Iterable[Array],
    *,
    seconds: float,
) -> Parity:
    """Give the same images to two networks, in batches of 1, 2, 7, 7 … images.

    Args:
        expected: Torch's network: takes (N, H, W, C), returns probabilities (N, K).
        found: The exported network, likewise.
        images: The images (H, W, C); there must be one at least.
        seconds: No batch is begun when so much time has passed, but the first three are.
    """
    begun = time.monotonic()
    total = Parity(0, 0.0, 0)
    for number, batch in enumerate(_batches(iter(images))):
        if number >= len(_BATCHES) and time.monotonic() - begun > seconds:
            break
        one = compare_answers(expected(batch), found(batch))
        apart = float(np.maximum(total.apart, one.apart))  # NaN stays
        total = Parity(total.images + one.images, apart, total.changed + one.changed)
    assert total.images
    return total


def _batches(images: Iterator[Array]) -> Iterator[Array]:
    for size in chain(_BATCHES, repeat(_BATCHES[-1])):
        batch = list(islice(images, size))
        if not batch:
            return
        yield np.stack(batch)


def compare_answers(expected: Array, found: Array) -> Parity:
    """Compare probabilities with torch's.

    Args:
        expected: (N, K) what torch answers.
        found: (N, K) what the exported network answers.
    """
    highest = np.sort(expected, axis=1)[:, ::-1]
    is_clear = np.ones(len(expected), bool)
    if expected.shape[1] > 1:
        is_clear = highest[:, 0] - highest[:, 1] > _TIE
    changed = (expected.argmax(axis=1) != found.argmax(axis=1)) & is_clear
    return Parity(len(expected), float(abs(expected - found).max()), int(changed.sum()))
