"""A classifier as an ONNX graph, written by one of torch's two exporters.

The one that follows a forward pass step by step (TorchScript's) takes a tenth of the time of the
one that captures the program (torch.export's). Torch calls the first one old and may take it out,
and it writes down what it sees: whoever calls it compares the answers, and takes the second one
where they differ.
"""

from __future__ import annotations

import contextlib
import gc
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.engine.metadata import INPUT, OUTPUT
from cnncli.engine.onnx_file import DIGEST_KEY, compute_digest
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.export.silence import silence

# The oldest set of operators that torch's exporter writes; newer ones are converted from it.
OPSET = 18
# Protocol Buffers, in which ONNX files are written, end at 2 GiB; golden samples need some of it.
MOST_OF_FILE = 2**31 - 2**27
# The example that is traced: a batch of 1 would be taken for fixed.
_TRACED = 2
# What the probabilities are called before the temperature, where there is one.
_RAW = "probabilities_before_temperature"
_MARK = "cnncli_temperature"
# Probabilities of 0 count as this, as in `evaluation.calibration`: the least float32 held in full.
_SMALLEST = float(np.finfo(np.float32).tiny)


# How a graph is written: by following a forward pass, or by capturing the program.
Way = Literal["trace", "capture"]


def check_size(classifier: nn.Module, name: str) -> None:
    """Refuse a network whose weights no ONNX file can hold.

    Args:
        classifier: The network.
        name: Its name, for the error.

    Raises:
        CnncliError: If they are too large.
    """
    size = sum(tensor.nbytes for tensor in classifier.state_dict().values())
    if size > MOST_OF_FILE:
        raise CnncliError(
            f"{name} has {size / 2**30:.1f} GiB of weights, and an ONNX file holds 2 GiB at most; "
            "use its best.safetensors",
            exit_code=RUNTIME_FAILURE,
        )


def build_graph(classifier: nn.Module, example: Array, name: str, way: Way) -> Any:
    """Return an ``onnx.ModelProto`` of a classifier, with its weights, for batches of any size.

    Nothing is printed, whatever the exporter has to say.

    Args:
        classifier: Takes (N, H, W, C) as loaders give it, returns probabilities (N, K); on the CPU
            and in eval mode.
        example: (H, W, C) an image of the right size and type.
        name: The network's name, for the message.
        way: ``trace`` is quick, but what the classifier decides by the example's values or by its
            number is written down as if it were always so: compare its answers.

    Raises:
        CnncliError: If the exporter cannot write this network.
    """
    images = torch.from_numpy(np.repeat(example[None], _TRACED, axis=0))
    with silence(), _no_collection(), torch.no_grad():
        try:
            model = _WAYS[way](classifier, images)
        except Exception as error:
            raise _refuse(name, error) from error
    for node in model.graph.node:  # where in the source a node comes from: a third of small files
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    for value in (*model.graph.initializer, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    model.producer_name = "cnncli"
    return model


def _trace(classifier: nn.Module, images: torch.Tensor) -> Any:
    """Return the graph of a forward pass on some images."""
    import onnx

    file = io.BytesIO()
    was_on = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(
        False
    )  # attention in one step, which ONNX does not know
    try:
        torch.onnx.export(
            classifier,
            (images,),
            file,  # type: ignore[arg-type] # this exporter takes an open file, too
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "N"}, OUTPUT: {0: "N"}},
        )
    finally:
        torch.backends.mha.set_fastpath_enabled(was_on)
    return onnx.load_from_string(file.getvalue())


def _capture(classifier: nn.Module, images: torch.Tensor) -> Any:
    """Return the graph of the program that a classifier is."""
    program = torch.onnx.export(
        classifier,
        (images,),
        dynamo=True,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("N")},),
        verbose=False,
    )
    assert program is not None
    return program.model_proto


_WAYS: dict[Way, Callable[[nn.Module, torch.Tensor], Any]] = {"trace": _trace, "capture": _capture}


def set_temperature(model: Any, temperature: float | None) -> None:
    """Let a graph apply a temperature to its probabilities, in place of the one that it applies.

    It computes what `evaluation.calibration.apply_temperature` does: the softmax of the logarithm
    of the probabilities, divided by the temperature.

    Args:
        model: What `build_graph` returned.
        temperature: Above 0; None for none.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    for nodes in (graph.node, graph.initializer):
        for kept in [one for one in nodes if one.name.startswith(_MARK)]:
            nodes.remove(kept)
    for node in graph.node:
        node.output[:] = [OUTPUT if name == _RAW else name for name in node.output]
    if temperature is None:
        return
    for node in graph.node:
        node.output[:] = [_RAW if name == OUTPUT else name for name in node.output]
    values = {"least": _SMALLEST, "value": temperature}
    for name, value in values.items():
        tensor = numpy_helper.from_array(np.array(value, np.float32), f"{_MARK}_{name}")
        graph.initializer.append(tensor)
    steps = [
        ("Max", [_RAW, f"{_MARK}_least"], f"{_MARK}_above_zero", {}),
        ("Log", [f"{_MARK}_above_zero"], f"{_MARK}_logarithm", {}),
        ("Div", [f"{_MARK}_logarithm", f"{_MARK}_value"], f"{_MARK}_scaled", {}),
        ("Softmax", [f"{_MARK}_scaled"], OUTPUT, {"axis": 1}),
    ]
    for kind, inputs, output, options in steps:
        name = f"{_MARK}_{kind.lower()}"
        graph.node.append(helper.make_node(kind, inputs, [output], name=name, **options))


def to_bytes(model: Any, props: Mapping[str, str]) -> bytes:
    """Return the content of a model's file; the same model and texts give the same bytes.

    Args:
        model: What `build_graph` returned; its metadata are replaced.
        props: The metadata; a digest of the whole file is added to them.
    """
    del model.metadata_props[:]
    for key, text in props.items():
        model.metadata_props.add(key=key, value=text)
    if props:
        digest = compute_digest(model.SerializeToString(deterministic=True))
        model.metadata_props.add(key=DIGEST_KEY, value=digest)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _refuse(name: str, error: Exception) -> CnncliError:
    """Return the exporter's last reason, which is the first cause, as one line."""
    while error.__cause__ is not None:
        error = error.__cause__  # type: ignore[assignment]
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return CnncliError(
        f"torch's ONNX exporter cannot write {name}: {reason}", exit_code=RUNTIME_FAILURE
    )


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Leave Python's garbage where it is: collecting takes a third of the exporter's time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
