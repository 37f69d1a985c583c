"""Runs an exported network on the CPU with ONNX Runtime."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.engine.memory import bounded_memory
from cnncli.engine.metadata import INPUT, OUTPUT, ModelMetadata
from cnncli.engine.onnx_file import OnnxFile
from cnncli.errors import RUNTIME_FAILURE, CnncliError, clip

_TYPES = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}
_ERRORS_ONLY = 4  # ONNX Runtime writes nothing but what ends the process to stderr


class OnnxNetwork:
    """An exported network, ready to answer.

    Attributes:
        file: The file that it was read from.
        class_names: The names of its K classes.
        preprocess: Turns the content of an image file into its input.
        checkpoint: The path of the file.
        model: The network's name in the registry.
        digest: The digest of the weights that were exported.
        precision: The precision that it is computed in: ``fp32`` or ``int8``.
    """

    engine = "onnx"

    def __init__(self, file: OnnxFile, threads: int) -> None:
        """Load the network.

        Args:
            file: The file, as `open_onnx` has checked it.
            threads: Number of threads that compute.

        Raises:
            CnncliError: If ONNX Runtime cannot run it, or its input or output is not what cnncli
                writes.
        """
        self.file, self.checkpoint = file, file.path
        self.class_names = file.metadata.class_names
        self.preprocess, self.model = file.metadata.preprocess, file.metadata.model
        self.digest = file.metadata.weights_digest
        self.precision = "fp32" if file.metadata.precision == "float32" else file.metadata.precision
        runtime = import_onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # Threads that wait for work by turning take the cores from those that decode images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with bounded_memory():
            try:
                self._session: Any = runtime.InferenceSession(
                    str(file.path), options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # each of its errors is a class of its own
                raise self._refuse(_reason(error)) from None
        self._check(file.metadata)

    def answer(self, images: Array) -> Array:
        """Return the probabilities (N, K) in float64 of a batch (N, H, W, C).

        Args:
            images: As the preprocessing of the file's metadata makes them.

        Raises:
            CnncliError: If the network fails on them.
        """
        with bounded_memory():
            try:
                (found,) = self._session.run([OUTPUT], {INPUT: images})
            except Exception as error:
                raise self._refuse(_reason(error)) from None
        expected = (len(images), len(self.class_names))
        if found.shape != expected:
            raise self._refuse(f"answers with shape {found.shape} where {expected} is right")
        return np.asarray(found, dtype=np.float64)

    def _check(self, metadata: ModelMetadata) -> None:
        """Refuse a network whose file was exchanged meanwhile, or that takes or gives other things.

        Raises:
            CnncliError: If it does.
        """
        if dict(self._session.get_modelmeta().custom_metadata_map) != self.file.props:
            raise self._refuse("was written anew while it was read; try again")
        pre = metadata.preprocess
        shape = [*pre.image_size, pre.channels]
        taken = [(one.name, one.type, one.shape[1:]) for one in self._session.get_inputs()]
        given = [(one.name, one.type, one.shape[1:]) for one in self._session.get_outputs()]
        if taken != [(INPUT, _TYPES[pre.dtype], shape)]:
            raise self._refuse(f"its input is not one {INPUT!r} of N×{'×'.join(map(str, shape))}")
        if given != [(OUTPUT, _TYPES["float32"], [len(metadata.class_names)])]:
            count = len(metadata.class_names)
            raise self._refuse(f"its output is not one {OUTPUT!r} of N×{count}")

    def _refuse(self, reason: str) -> CnncliError:
        return CnncliError(f"{self.file.path}: cannot be run: {reason}")


def import_onnxruntime() -> Any:
    """Return ONNX Runtime.

    Raises:
        CnncliError: If it is not installed, or does not load.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise CnncliError(
            f"ONNX Runtime does not load ({clip(str(error))}): pip install onnxruntime, or name "
            "the run with --engine torch",
            exit_code=RUNTIME_FAILURE,
        ) from None
    return onnxruntime


def _reason(error: Exception) -> str:
    """Return an error of ONNX Runtime in one line, without its numbers and places in C++."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "alloc" in text.lower():
        return "it asks for more memory than half of this machine's"
    kind, _, rest = text.removeprefix("[ONNXRuntimeError] : ").partition(" : ")[2].partition(" : ")
    return clip(re.sub(r"\S*/onnxruntime/\S*", "", rest or kind or text), 200)
