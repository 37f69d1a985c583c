"""Runs an exported network on the CPU with ONNX Runtime."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.engine.exported_network import ExportedNetwork, Value
from cnncli.engine.load_onnxruntime import load_onnxruntime
from cnncli.engine.metadata import INPUT, OUTPUT
from cnncli.errors import RUNTIME_FAILURE, CnncliError, clip

_TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
_NOTHING_BUT_THE_END = 4  # what ONNX Runtime writes to stderr


class OnnxNetwork(ExportedNetwork):
    """An exported network that ONNX Runtime computes."""

    engine = "onnx"

    def _load(self, threads: int) -> None:
        runtime = import_onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _NOTHING_BUT_THE_END
        # Threads that wait for work by turning take the cores from those that decode images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = runtime.InferenceSession(
            str(self.file.path), options, providers=["CPUExecutionProvider"]
        )
        self._refuse_other_metadata(dict(self._session.get_modelmeta().custom_metadata_map))

    def _run(self, images: Array) -> Array:
        return np.asarray(self._session.run([OUTPUT], {INPUT: images})[0])

    def _values(self) -> tuple[list[Value], list[Value]]:
        taken, given = (
            [(one.name, _TYPES.get(one.type, one.type), one.shape[1:]) for one in values]
            for values in (self._session.get_inputs(), self._session.get_outputs())
        )
        return taken, given

    def _explain(self, error: Exception) -> str:
        """Return an error without its numbers and places in C++."""
        text = " ".join(str(error).split())
        if isinstance(error, MemoryError) or "alloc" in text.lower():
            return "it asks for more memory than half of this machine's"
        plain = text.removeprefix("[ONNXRuntimeError] : ").partition(" : ")[2]
        kind, _, rest = plain.partition(" : ")
        return clip(re.sub(r"\S*/onnxruntime/\S*", "", rest or kind or text), 200)


def import_onnxruntime() -> Any:
    """Return ONNX Runtime.

    Raises:
        CnncliError: If it is not installed, or does not load.
    """
    try:
        return load_onnxruntime()
    except ImportError as error:
        raise CnncliError(
            f"ONNX Runtime does not load ({clip(str(error))}): pip install onnxruntime, or let "
            "torch compute the run: --engine torch",
            exit_code=RUNTIME_FAILURE,
        ) from None
