"""The notation for networks: layers in one string, for counting them and for building them.

An example is ``conv5x5 f6 relu; pool2; flatten; dense 84``. Layers are separated by ``;`` or a new
line. A layer is a name with its number or HxW, followed by options in any order:

- ``conv3x3 f32`` and ``deconv2x2 f16`` (transposed): ``fN`` filters, ``sN`` stride, ``pN`` padding
  or ``same`` or ``valid``, ``dN`` dilation, ``gN`` groups, ``nobias``; ``opN`` output padding.
- ``pool2`` (or ``maxpool2``) and ``avgpool2``: ``sN`` (else the kernel), ``pN``, ``same``,
  ``valid``, ``dN``, ``ceil``; ``gap`` averages each map to one value.
- ``bn``; ``dropout 0.4``; ``flatten``; ``dense 84`` with ``nobias``.
- ``relu leaky_relu elu gelu mish silu tanh sigmoid``: as a layer, or at the end of another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cnncli.arithmetic.calls import IN_LOSS, is_call, translate_call
from cnncli.arithmetic.convolution import LARGEST, Kind, Size, SlidingWindow
from cnncli.arithmetic.layers import (
    ACTIVATIONS,
    Activation,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    LayerSpec,
    Norm,
    Pool,
)
from cnncli.choices import parse_size
from cnncli.errors import CnncliError, did_you_mean


def parse_pair(text: str, what: str, *, least: int = 1) -> Size:
    """Parse ``"3"`` or ``"3x5"`` as (height, width).

    Args:
        text: One whole number, or two joined by ``x``.
        what: Name of the value in the error message.
        least: Smallest number that is allowed, 0 or 1; the largest is `LARGEST`.

    Raises:
        CnncliError: If the text is neither, or a number is out of range.
    """
    shown = text if len(text) <= 40 else text[:40] + "…"
    if least:
        pair = parse_size(shown, what=what)
    else:
        match = re.fullmatch(r"\s*(\d+)(?:\s*[xX×]\s*(\d+))?\s*", shown)
        if not match:
            raise CnncliError(
                f"{what}: {shown!r} is not a number of pixels; write a whole number of at least 0 "
                "or HEIGHTxWIDTH, such as 1 or 1x2"
            )
        pair = int(match[1]), int(match[2] or match[1])
    if max(pair) > LARGEST:
        raise CnncliError(f"{what}: {shown} is too large; use at most {LARGEST}")
    return pair


# The values of a layer's options by the options' keys; under "value" its number.
Found = Mapping[str, Any]


def _conv(found: Found, **base: Any) -> LayerSpec:
    if "f" not in found:
        raise CnncliError("how many filters? add fN, such as f32")
    extra = {"filters": found["f"], "groups": found.get("g", 1), "bias": "nobias" not in found}
    return Conv(window=_window(found, "conv"), **extra, **base)


def _deconv(found: Found, **base: Any) -> LayerSpec:
    conv = _conv(found, **base)
    return Conv(**{**vars(conv), "window": _window(found, "transposed")})


def _window(found: Found, kind: Kind) -> SlidingWindow:
    kernel = found["value"]
    if "same" in found and "ceil" in found:
        raise CnncliError("same already rounds up: leave ceil out")
    return SlidingWindow(
        kernel=kernel,
        stride=found.get("s", kernel if kind == "pool" else (1, 1)),
        padding="same" if "same" in found else found.get("p", (0, 0)),
        dilation=found.get("d", (1, 1)),
        output_padding=found.get("op", (0, 0)),
        kind=kind,
        ceil_mode="ceil" in found,
    )


@dataclass(frozen=True)
class _Spec:
    """How one kind of layer is written.

    Attributes:
        example: The layer as a user may write it.
        value: Kind of its number: ``pair`` for "3" or "3x5", ``count`` for a number of units,
            ``probability``; None if it has no number.
        options: Keys of the options that it takes.
        build: Function that makes the layer from the values of its options.
    """

    example: str
    value: Literal["pair", "count", "probability"] | None
    options: tuple[str, ...]
    build: Callable[..., LayerSpec]


_MAX_POOL = _Spec(
    "pool2",
    "pair",
    ("s", "p", "d", "same", "valid", "ceil"),
    lambda found, **base: Pool(window=_window(found, "pool"), **base),
)
_SPECS: dict[str, _Spec] = {
    "conv": _Spec(
        "conv3x3 f32", "pair", ("f", "s", "p", "d", "g", "same", "valid", "nobias"), _conv
    ),
    "deconv": _Spec("deconv2x2 f32 s2", "pair", ("f", "s", "p", "op", "d", "g", "nobias"), _deconv),
    "pool": _MAX_POOL,
    "maxpool": _MAX_POOL,
    "avgpool": _Spec(
        "avgpool2",
        "pair",
        ("s", "p", "same", "valid", "ceil"),
        lambda found, **base: Pool(window=_window(found, "pool"), mode="avg", **base),
    ),
    "gap": _Spec("gap", None, (), lambda found, **base: GlobalPool(**base)),
    "bn": _Spec("bn", None, (), lambda found, **base: Norm(**base)),
    "dropout": _Spec(
        "dropout 0.4",
        "probability",
        (),
        lambda found, **base: Dropout(probability=found["value"], **base),
    ),
    "flatten": _Spec("flatten", None, (), lambda found, **base: Flatten(**base)),
    "dense": _Spec(
        "dense 84",
        "count",
        ("nobias",),
        lambda found, **base: Dense(units=found["value"], bias="nobias" not in found, **base),
    ),
}
_ALIASES = {
    "convtranspose": "deconv",
    "globalpool": "gap",
    "globalavgpool": "gap",
    "batchnorm": "bn",
    "norm": "bn",
    "linear": "dense",
    "fc": "dense",
    "leakyrelu": "leaky_relu",
    "swish": "silu",
    "maxpooling": "maxpool",
    "averagepooling": "avgpool",
    "globalaveragepooling": "gap",
    "batchnormalization": "bn",
}
_PAIRS = {"s": "stride", "p": "padding", "op": "output padding", "d": "dilation"}
_COUNTS = {"f": "filters", "g": "groups"}
_PADDINGS = ("p", "same", "valid")


def parse_chain(text: str) -> tuple[LayerSpec, ...]:
    """Parse a network that is written in the notation of this module.

    Layers as Keras and PyTorch call them are taken too (`cnncli.arithmetic.calls`). Upper case and
    empty layers, as after a final ``;``, are allowed. Whether the layers fit each
    other depends on the input: `cnncli.arithmetic.layers.trace_chain` checks that.

    Raises:
        CnncliError: At the first layer that cannot be parsed, with its place and what would be
            right.
    """
    written = [" ".join(part.split()) for part in re.split(r"[;\n]", text)]
    written = [part for part in written if part]
    if not written:
        raise CnncliError(
            'no layers; write them as in "conv3x3 f32 relu; pool2; flatten; dense 10"'
        )
    return tuple(_parse_layer(number, part) for number, part in enumerate(written, 1))


def _parse_layer(number: int, text: str) -> LayerSpec:
    base: dict[str, Any] = {"number": number, "text": text}
    if is_call(text):
        try:
            text = base["text"] = translate_call(text)
        except CnncliError as error:
            raise LayerSpec(**base).error(str(error)) from None
    head, *words = text.lower().split()
    match = re.fullmatch(r"([a-z_]+(?:2d)?)([\d.].*)?", head)
    name = match[1].removesuffix("2d") if match else head
    name = _ALIASES.get(name, name)
    if name in ACTIVATIONS and not words and match and not match[2]:
        return Activation(activation=name, **base)
    if match and match[2]:
        words.insert(0, match[2])
    try:
        spec = _find_spec(name, words)
        found = _parse_words(name, spec, words)
        return spec.build(found, activation=found.get("activation"), **base)
    except CnncliError as error:
        raise LayerSpec(**base).error(str(error)) from None


def _parse_words(name: str, spec: _Spec, words: list[str]) -> Found:
    found: dict[str, Any] = {}
    if spec.value:
        found["value"] = _parse_value(spec, words.pop(0) if words else "")
    for word in words:
        key, value = _parse_option(name, spec, word)
        rivals = [k for k in (_PADDINGS if key in _PADDINGS else (key,)) if k in found]
        if rivals:
            raise CnncliError(f"{word!r} comes after another {rivals[0]!r} option; keep one")
        found[key] = value
    return found


def _find_spec(name: str, words: list[str]) -> _Spec:
    if name in _SPECS:
        return _SPECS[name]
    if name in ACTIVATIONS:
        raise CnncliError(f"{name} takes no options: leave {' '.join(words)!r} out")
    if name == "softmax":
        raise CnncliError(IN_LOSS)
    near = did_you_mean(name, (*_SPECS, *_ALIASES, *ACTIVATIONS))
    near = near or f"; the layers are {', '.join((*_SPECS, *ACTIVATIONS))}"
    raise CnncliError("unknown layer" + near)


def _parse_value(spec: _Spec, word: str) -> Size | int | float:
    """Parse the number of a layer: a size, a count of units or a probability."""
    if not re.match(r"[\d.]", word):
        raise CnncliError(f"its number is missing; write it as in {spec.example!r}")
    if spec.value == "pair":
        return parse_pair(word, "kernel")
    if spec.value == "count":
        return _parse_count(word, "units")
    if not re.fullmatch(r"0|0?\.\d{1,15}|0\.", word):
        raise CnncliError(f"probability {word}: write a number from 0 up to, but not, 1, as in 0.4")
    return float(word)


def _parse_count(word: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", word) or not 1 <= int(word) <= LARGEST:
        raise CnncliError(f"{what} {word}: use a whole number from 1 to {LARGEST}")
    return int(word)


def _parse_option(name: str, spec: _Spec, word: str) -> tuple[str, Any]:
    """Parse an option or an activation, and return its key and its value."""
    if word == "softmax":
        raise CnncliError(IN_LOSS)
    if (activation := _ALIASES.get(word, word)) in ACTIVATIONS:
        return "activation", activation
    if word in spec.options and len(word) > 2:  # an option without a number, such as same
        return word, True
    match = re.fullmatch(r"([a-z]{1,2})(\d.*)", word)
    if match and match[1] in spec.options:
        key, number = match[1], match[2]
        if key in _COUNTS:
            return key, _parse_count(number, _COUNTS[key])
        return key, parse_pair(number, _PAIRS[key], least=0 if key in ("p", "op") else 1)
    layer = word.removesuffix("2d").rstrip("0123456789x")
    if _ALIASES.get(layer, layer) in _SPECS:
        raise CnncliError(f"{word!r} is a layer of its own: put a ; before it")
    numbered = {**_COUNTS, **_PAIRS}
    known = [f"{o}N ({numbered[o]})" if o in numbered else o for o in spec.options]
    raise CnncliError(
        f"unknown option {word!r}{did_you_mean(word, (*spec.options, *ACTIVATIONS), count=1)}; "
        f"{name} takes {', '.join([*known, 'an activation'])}"
    )
