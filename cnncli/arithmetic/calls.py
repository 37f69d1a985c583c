"""Layers as Keras and PyTorch write them, ``Conv2D(32, (3, 3))``, in the notation of a chain.

What means the same is taken. PyTorch's layers that begin with their input's channels are not: a
chain counts those itself, and a wrong number would go by unnoticed. The error writes them down.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cnncli.choices.spelling import plain_form
from cnncli.errors import CnncliError, clip, count_of, did_you_mean

Given = Mapping[str, Any]
IN_LOSS = "softmax is inside the loss here: leave it out; the last layer gives logits"

_CALL = re.compile(r"[A-Za-z_][\w.]{0,80}\(.{0,200}\)", re.DOTALL)


def is_call(text: str) -> bool:
    """Return whether a layer is written as a call, such as ``Dense(10)``."""
    return _CALL.fullmatch(text.strip()) is not None


def translate_call(text: str) -> str:
    """Return the layer ``Conv2D(32, (3, 3))`` in the notation of a chain: ``conv3x3 f32``.

    Raises:
        CnncliError: If there is no such layer, or it says what a chain cannot.
    """
    name, positional, named = _read_call(text)
    if name not in _LAYERS:
        near, known = did_you_mean(name, _LAYERS), ", ".join(_LAYERS)
        raise CnncliError(
            f"no layer {clip(name, 40)!r} is known as a call{near or f'; those are {known}'}"
        )
    parameters, write = _LAYERS[name]
    order = parameters[: parameters.index("*")] if "*" in parameters else parameters
    if len(positional) > len(order):
        most = count_of(len(order), "value")
        raise CnncliError(f"{name}: takes {most} without a name here; write name=value")
    given = dict(zip(order, positional, strict=False)) | named
    if name == "LeakyReLU" and "negative_slope" not in given and not _OF_TORCH.match(text):
        raise CnncliError(_SLOPES)
    given = {key: value for key, value in given.items() if not _is_usual(name, key, value)}
    for key in given:
        if key not in parameters:
            raise CnncliError(
                f"{name}: {clip(key, 40)} cannot be said of a layer here"
                f"{did_you_mean(key, parameters, cutoff=0.6)}"
            )
    try:
        written = " ".join(filter(None, write(given)))
    except KeyError as error:
        raise CnncliError(f"{name}: {error.args[0]} is missing") from None
    if "in_channels" in parameters or "in_features" in parameters or "features" in parameters:
        raise CnncliError(f"write {written!r}: the channels that come in are counted by themselves")
    return written


# Arguments that change neither shapes nor what a layer computes.
_NO_EFFECT = ("name", "data_format", "device", "dtype", "trainable")
# Arguments that say what stands elsewhere, or from which numbers training begins.
_NOT_READ = ("input_shape", "input_dim", "kernel_initializer", "bias_initializer")
# Arguments of which a chain knows one value alone, with all spellings of it.
_USUAL: dict[str, dict[str, tuple[Any, ...]]] = {
    "MaxPool2d": {"dilation": (1, (1, 1)), "return_indices": (False,)},
    "AvgPool2d": {"count_include_pad": (True,), "divisor_override": (None,)},
    "Conv2d": {"padding_mode": ("zeros",)},
    "ConvTranspose2d": {"padding_mode": ("zeros",)},
    "Flatten": {"start_dim": (1,), "end_dim": (-1,)},
    "ReLU": {"max_value": (None,), "negative_slope": (0,), "threshold": (0,)},
    "LeakyReLU": {"negative_slope": (0.01,)},
    "ELU": {"alpha": (1,)},
    "GELU": {"approximate": (False, "none")},
}
_OF_TORCH = re.compile(r"\s*(torch\.)?nn\.")
_SLOPES = (
    "the slope of a leaky ReLU is 0.01 here as in PyTorch, and not 0.2 or 0.3 as in Keras: write "
    "leaky_relu or nn.LeakyReLU() if 0.01 is meant"
)


def _is_usual(name: str, key: str, value: Any) -> bool:
    """Return whether an argument says nothing that a chain would have to say.

    Raises:
        CnncliError: If it says what a chain cannot.
    """
    if key in _NO_EFFECT or (key == "inplace" and isinstance(value, bool)):
        return True
    if key in _NOT_READ:
        raise CnncliError(f"{name}: {key} is not read here; leave it out")
    usual = _USUAL.get(name, {}).get(key)
    if usual is not None and value not in usual:
        raise CnncliError(f"{name}: {key} is always {usual[0]!r} here, not {clip(repr(value), 40)}")
    if key == "inplace":
        raise CnncliError(f"{name}: {clip(repr(value), 40)} cannot be said of it here")
    return usual is not None


def _read_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Return the name, the positional and the named arguments of a call of literals."""
    import ast  # for a call alone: conv-size answers in a tenth of a second

    try:
        call = ast.parse(text.strip(), mode="eval").body
        assert isinstance(call, ast.Call)
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
        named = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        return name, [ast.literal_eval(value) for value in call.args], named
    except (SyntaxError, ValueError, AssertionError, RecursionError, MemoryError):
        raise CnncliError("cannot be read as a call; write conv3x3 f32 or Conv2D(32, 3)") from None


def _pair(value: Any) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or any(type(side) is not int for side in pair):
        raise CnncliError(f"{clip(str(value), 40)} is no size; write 3 or (3, 3)")
    return pair


def _size(value: Any) -> str:
    return "x".join(map(str, _pair(value)))


def _option(letter: str, value: Any, usual: Any) -> str:
    return "" if value in (None, usual, (usual, usual)) else f"{letter}{_size(value)}"


def _padding(value: Any) -> str:
    if isinstance(value, str):
        return "" if value.lower() == "valid" else value.lower()
    return _option("p", value, 0)


def _activation(value: Any) -> str:
    if not isinstance(value, str | None):
        raise CnncliError(
            f"activation {clip(repr(value), 40)} is no name; use_bias=False leaves the bias out"
        )
    name = plain_form(value or "linear")
    if name == "softmax":
        raise CnncliError(IN_LOSS)
    return {"linear": "", "leakyrelu": "leaky_relu", "swish": "silu"}.get(name, name)


def _of_keras(given: Given) -> str:
    """Return the activation that an argument of Keras names."""
    name = _activation(given.get("activation"))
    if name == "leaky_relu":
        raise CnncliError(_SLOPES)
    return name


def _conv(given: Given, kind: str = "conv") -> list[str]:
    """Write a convolution of either library, whose arguments have other names."""
    filters = given["filters"] if "in_channels" not in given else given["out_channels"]
    groups = given.get("groups", 1)
    bias = given.get("use_bias", given.get("bias", True))
    return [
        f"{kind}{_size(given['kernel_size'])}",
        f"f{filters}",
        _option("s", given.get("strides", given.get("stride", 1)), 1),
        _padding(given.get("padding", 0)),
        _option("op", given.get("output_padding"), 0),
        _option("d", given.get("dilation_rate", given.get("dilation", 1)), 1),
        f"g{groups}" * (groups != 1),
        "nobias" * (not bias),
        _of_keras(given),
    ]


def _keras_deconv(given: Given) -> list[str]:
    """Write a transposed convolution, whose output Keras fills up where the kernel is short."""
    kernel, stride = (_pair(given.get(key, 1)) for key in ("kernel_size", "strides"))
    short = [max(0, s - k) for k, s in zip(kernel, stride, strict=True)]
    return _conv({**given, "output_padding": tuple(short)} if any(short) else given, "deconv")


def _pool(given: Given, kind: str) -> list[str]:
    kernel = given.get("pool_size", given.get("kernel_size", 2))
    stride = given.get("strides", given.get("stride"))
    return [
        f"{kind}{_size(kernel)}",
        _option("s", stride, None),
        _padding(given.get("padding", 0)),
        "ceil" * bool(given.get("ceil_mode")),
    ]


def _dense(given: Given) -> list[str]:
    units = given["units"] if "in_features" not in given else given["out_features"]
    bias = given.get("use_bias", given.get("bias", True))
    return [f"dense {units}", "nobias" * (not bias), _of_keras(given)]


def _drop(given: Given) -> list[str]:
    return [f"dropout {given.get('rate', given.get('p', 0.5))}"]


def _adaptive(given: Given) -> list[str]:
    if given["output_size"] not in (1, (1, 1)):
        raise CnncliError(f"{given['output_size']}: only 1 is known here, gap")
    return ["gap"]


def _name_alone(name: str, given: Given) -> list[str]:
    return [_activation(name)]


_Writer = Callable[[Given], list[str]]
_KERAS_CONV = ("filters", "kernel_size", "strides", "padding")
_KERAS_END = ("activation", "use_bias")
_TORCH = ("in_channels", "out_channels", "kernel_size", "stride", "padding")
_KERAS_POOL = ("pool_size", "strides", "padding", "data_format")
_TORCH_POOL = ("kernel_size", "stride", "padding")
# Names in the order in which the library takes values without a name; those behind a * need one.
_LAYERS: dict[str, tuple[tuple[str, ...], _Writer]] = {
    "Conv2D": ((*_KERAS_CONV, "data_format", "dilation_rate", "groups", *_KERAS_END), _conv),
    "Conv2d": ((*_TORCH, "dilation", "groups", "bias", "padding_mode"), _conv),
    # Behind the star the order differs between the versions of Keras.
    "Conv2DTranspose": ((*_KERAS_CONV, "*", *_KERAS_END), _keras_deconv),
    "ConvTranspose2d": (
        (*_TORCH, "output_padding", "groups", "bias", "dilation", "padding_mode"),
        lambda g: _conv(g, "deconv"),
    ),
    "MaxPooling2D": (_KERAS_POOL, lambda g: _pool(g, "pool")),
    "MaxPool2D": (_KERAS_POOL, lambda g: _pool(g, "pool")),
    "MaxPool2d": (
        (*_TORCH_POOL, "dilation", "return_indices", "ceil_mode"),
        lambda g: _pool(g, "pool"),
    ),
    "AveragePooling2D": (_KERAS_POOL, lambda g: _pool(g, "avgpool")),
    "AvgPool2d": (
        (*_TORCH_POOL, "ceil_mode", "count_include_pad", "divisor_override"),
        lambda g: _pool(g, "avgpool"),
    ),
    "GlobalAveragePooling2D": (("data_format",), lambda g: ["gap"]),
    "AdaptiveAvgPool2d": (("output_size",), _adaptive),
    "BatchNormalization": ((), lambda g: ["bn"]),
    "BatchNorm2d": (("features",), lambda g: ["bn"]),
    "Flatten": (("start_dim", "end_dim"), lambda g: ["flatten"]),
    "Dense": (("units", *_KERAS_END), _dense),
    "Linear": (("in_features", "out_features", "bias"), _dense),
    "Dropout": (("rate", "p"), _drop),
    "Dropout2d": (("p",), lambda g: _refuse_maps()),
    "Activation": (("activation",), lambda g: [_of_keras(g)]),
    "Softmax": (("axis", "dim"), lambda g: [_activation("softmax")]),
    "LeakyReLU": (("negative_slope", "inplace"), lambda g: ["leaky_relu"]),
    "ELU": (("alpha", "inplace"), lambda g: ["elu"]),
    "GELU": (("approximate",), lambda g: ["gelu"]),
    **{
        name: (("inplace",), partial(_name_alone, name))
        for name in ("ReLU", "Mish", "SiLU", "Tanh", "Sigmoid")
    },
}


def _refuse_maps() -> list[str]:
    raise CnncliError("drops whole maps, which a chain has no layer for; dropout drops values")
