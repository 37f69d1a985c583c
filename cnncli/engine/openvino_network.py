"""Runs an exported network on the CPU with OpenVINO."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.engine.exported_network import ExportedNetwork, Value
from cnncli.engine.metadata import INPUT, OUTPUT
from cnncli.engine.onnx_file import read_props
from cnncli.errors import CnncliError, clip

_TYPES = {"f32": "float32", "u8": "uint8"}
_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenvinoNetwork(ExportedNetwork):
    """An exported network that OpenVINO computes.

    Its runtime reads the ONNX file itself. The converter, which would report to Intel that it was
    used, is not asked.
    """

    engine = "openvino"

    def _load(self, threads: int) -> None:
        try:
            import openvino
        except ImportError:
            raise CnncliError(
                "--engine openvino: needs OpenVINO; pip install 'cnncli[openvino]'"
            ) from None
        content = self.file.path.read_bytes()
        self._refuse_other_metadata(read_props(memoryview(content)))
        core = openvino.Core()
        self._model: Any = core.read_model(content)
        how: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINTS.get(self.precision, "f32"),
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if self.precision == "fp32":
            how["EXECUTION_MODE_HINT"] = "ACCURACY"
        self._request: Any = core.compile_model(self._model, "CPU", how).create_infer_request()

    def _run(self, images: Array) -> Array:
        self._request.infer({INPUT: images})
        return np.array(self._request.get_tensor(OUTPUT).data)

    def _values(self) -> tuple[list[Value], list[Value]]:
        taken, given = ([_describe(one) for one in values] for values in _ends(self._model))
        return taken, given

    def _explain(self, error: Exception) -> str:
        if isinstance(error, MemoryError) or "bad_alloc" in str(error):
            return "it asks for more memory than half of this machine's"
        return clip(" ".join(str(error).split()), 200)


def _ends(model: Any) -> tuple[Any, Any]:
    return model.inputs, model.outputs


def _describe(value: Any) -> Value:
    kind = value.get_element_type().get_type_name()
    shape = [size.get_length() if size.is_static else None for size in value.get_partial_shape()]
    return value.get_any_name(), _TYPES.get(kind, kind), shape[1:]
