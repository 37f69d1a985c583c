"""An exported network with 8-bit weights and activations, by ONNX Runtime's quantiser."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.engine.metadata import INPUT
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.export.silence import silence

# The most labels that may change, as a fraction, and the most accuracy that may go.
MOST_CHANGED, MOST_LOST = 0.01, 0.005
# What is computed in 8 bits. The softmax and the normalisation stay as they are.
_KINDS = (
    *("Conv", "MatMul", "Gemm", "Add", "Relu", "Clip", "Concat"),
    *("MaxPool", "AveragePool", "GlobalAveragePool"),
)
_WEIGHTED = ("Conv", "MatMul", "Gemm")


@dataclass(frozen=True)
class Judgement:
    """What becomes of the labels of val images.

    Attributes:
        images: Number of images.
        changed: Number of those with another label.
        before: Accuracy of the float32 network.
        after: Accuracy of the 8-bit network.
    """

    images: int
    changed: int
    before: float
    after: float

    @property
    def is_kept(self) -> bool:
        """Whether the 8-bit network may be written."""
        return (
            self.changed <= MOST_CHANGED * self.images
            and self.before - self.after <= MOST_LOST + 1e-9
        )

    def describe(self) -> str:
        """Return it in words."""
        return (
            f"{self.changed} of {self.images:,} labels changed, accuracy {self.before:.4f} in "
            f"float32 and {self.after:.4f} in int8"
        )


def judge_labels(targets: Array, before: Array, after: Array) -> Judgement:
    """Compare the labels of two networks.

    Args:
        targets: (N,) the true classes.
        before: (N,) the labels of the float32 network.
        after: (N,) those of the 8-bit one.
    """
    return Judgement(
        len(targets),
        int((before != after).sum()),
        float((before == targets).mean()),
        float((after == targets).mean()),
    )


def quantise(model: Any, images: Iterable[Array]) -> Any:
    """Return an ``onnx.ModelProto`` of 8 bits, with nodes that quantise and dequantise (QDQ).

    Weights have 7 bits, and each output channel a scale of its own: on processors without VNNI the
    products of 8 bits can overflow, and the answers would depend on the processor.

    Args:
        model: What `build_graph` returned; it stays as it is.
        images: Images (H, W, C), by which the ranges of the activations are chosen.

    Raises:
        CnncliError: If the quantiser cannot do it.
    """
    with silence(), tempfile.TemporaryDirectory(prefix="cnncli-int8-") as folder:
        import onnx
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

        names = ("whole.onnx", "prepared.onnx", "int8.onnx")
        whole, prepared, quantised = (Path(folder) / name for name in names)
        onnx.save(model, whole)
        try:
            quant_pre_process(whole, prepared, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared,
                quantised,
                _Images(images),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(_KINDS),
                nodes_to_exclude=_find_normalisation(onnx.load(prepared)),
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QInt8,
                weight_type=quantization.QuantType.QInt8,
            )
            return onnx.load(quantised)
        except Exception as error:  # it raises errors of many types
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise CnncliError(
                f"--int8: ONNX Runtime's quantiser cannot do it: {reason}",
                exit_code=RUNTIME_FAILURE,
            ) from error


def _find_normalisation(model: Any) -> list[str]:
    """Return the names of the nodes in front of the first layer with weights."""
    names = []
    for node in model.graph.node:
        if node.op_type in _WEIGHTED:
            break
        names.append(node.name)
    return names


class _Images:
    """Gives images to the quantiser one by one."""

    def __init__(self, images: Iterable[Array]) -> None:
        self._images: Iterator[Array] = iter(images)

    def get_next(self) -> dict[str, Array] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT: np.ascontiguousarray(image[None])}

    def __iter__(self) -> Iterator[dict[str, Array]]:
        while (one := self.get_next()) is not None:
            yield one

    def set_range(self, start_index: int, end_index: int) -> None:
        raise NotImplementedError
