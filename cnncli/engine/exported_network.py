"""What the engines that run an exported network have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from cnncli.arrays import Array
from cnncli.engine.memory import bounded_memory
from cnncli.engine.metadata import INPUT, OUTPUT
from cnncli.engine.onnx_file import OnnxFile
from cnncli.errors import RUNTIME_FAILURE, CnncliError

# A value of the network: its name, its number type, and its shape without the batch.
Value = tuple[str, str, Sequence[int | str | None]]
# How far from 1 the sum of an image's probabilities may be. A softmax in float32 is within 2e-7,
# also behind layers of 8 bits; numbers of bfloat16 have 8 bits.
_MOST_OFF, _MOST_OFF_BF16 = 1e-3, 1e-2


class ExportedNetwork(ABC):
    """An exported network, ready to answer on the CPU.

    Attributes:
        engine: What computes it, as ``--engine`` names it.
        file: The file that it was read from.
        class_names: The names of its K classes.
        preprocess: Turns the content of an image file into its input.
        checkpoint: The path of the file.
        model: The network's name in the registry.
        digest: The digest of the weights that were exported.
        precision: The precision that it is computed in: ``fp32``, ``bf16`` or ``int8``.
    """

    engine: ClassVar[str]

    def __init__(self, file: OnnxFile, threads: int, precision: str = "fp32") -> None:
        """Load the network.

        Args:
            file: The file, as `open_onnx` has checked it.
            threads: Number of threads that compute.
            precision: ``fp32``, or ``bf16`` where the engine has it.

        Raises:
            CnncliError: If the engine cannot run it, or its input or output is not what cnncli
                writes.
        """
        metadata = file.metadata
        self.file, self.checkpoint = file, file.path
        self.class_names, self.preprocess = metadata.class_names, metadata.preprocess
        self.model, self.digest = metadata.model, metadata.weights_digest
        self.precision = precision if metadata.precision == "float32" else metadata.precision
        with bounded_memory():
            try:
                self._load(threads)
            except CnncliError:
                raise
            except Exception as error:  # each of an engine's errors is a class of its own
                raise self._refuse(self._explain(error)) from None
        self._check(*self._values())

    def answer(self, images: Array) -> Array:
        """Return the probabilities (N, K) in float64 of a batch (N, H, W, C).

        Args:
            images: As the preprocessing of the file's metadata makes them.

        Raises:
            CnncliError: If the network fails on them, or answers with what are no probabilities.
                NaN is left to whoever uses the answers.
        """
        with bounded_memory():
            try:
                found = self._run(images)
            except Exception as error:
                raise self._refuse(self._explain(error)) from None
        expected = (len(images), len(self.class_names))
        if found.shape != expected:
            raise self._refuse(f"answers with shape {found.shape} where {expected} is right")
        probabilities = np.asarray(found, dtype=np.float64)
        self._check_probabilities(probabilities)
        return probabilities

    @abstractmethod
    def _load(self, threads: int) -> None:
        """Read the file into the engine."""

    @abstractmethod
    def _run(self, images: Array) -> Array:
        """Return the network's output for a batch."""

    @abstractmethod
    def _values(self) -> tuple[list[Value], list[Value]]:
        """Return the network's inputs and outputs."""

    @abstractmethod
    def _explain(self, error: Exception) -> str:
        """Return an error of the engine in one line."""

    def _check(self, taken: list[Value], given: list[Value]) -> None:
        """Refuse a network that takes or gives other things than its metadata say."""
        pre, count = self.preprocess, len(self.class_names)
        shape = [*pre.image_size, pre.channels]
        if [(name, kind, list(rest)) for name, kind, rest in taken] != [(INPUT, pre.dtype, shape)]:
            raise self._refuse(f"its input is not one {INPUT!r} of N×{'×'.join(map(str, shape))}")
        if [(name, kind, list(rest)) for name, kind, rest in given] != [
            (OUTPUT, "float32", [count])
        ]:
            raise self._refuse(f"its output is not one {OUTPUT!r} of N×{count}")

    def _check_probabilities(self, found: Array) -> None:
        """Refuse answers (N, K) below 0, or whose sum for an image is not 1."""
        with np.errstate(invalid="ignore"):  # the sum of ∞ and -∞
            least, sums = found.min(axis=1, initial=0), found.sum(axis=1)
        most_off = _MOST_OFF_BF16 if self.precision == "bf16" else _MOST_OFF
        if (wrong := (least < 0) | (np.abs(sums - 1) > most_off)).any():
            row = int(wrong.argmax())
            told = f"{least[row]:.4g}" if least[row] < 0 else f"a sum of {sums[row]:.4g}"
            raise CnncliError(
                f"{self.file.path}: answers with what are no probabilities ({told}); "
                "export the run again",
                exit_code=RUNTIME_FAILURE,
            )

    def _refuse(self, reason: str) -> CnncliError:
        return CnncliError(f"{self.file.path}: cannot be run: {reason}")

    def _refuse_other_metadata(self, props: dict[str, str]) -> None:
        """Refuse a file that was exchanged between its check and its reading."""
        if props != self.file.props:
            raise self._refuse("was written anew while it was read; try again")
