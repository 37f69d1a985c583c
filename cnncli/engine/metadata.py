"""What an exported network's file says beside the network, as texts that any client can read.

An ONNX file holds pairs of texts, ``metadata_props``. Everything that is needed to use the network
stands there in JSON, each part under a key of its own: the classes, the way from an image file to
the network's input, the decision, and samples by which a client checks itself. docs/export.md
describes each key.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from cnncli.arrays import Array
from cnncli.images.preprocess import Preprocess

FORMAT = 1
PREFIX = "cnncli."
INPUT, OUTPUT = "image", "probabilities"  # the names of the model's one input and its one output

ExportPrecision = Literal["float32", "int8"]

# The most bytes that the array of a golden sample has; a file of a larger network has no samples.
MOST_OF_ARRAY = 2**24
# The most characters of one key's text: three such arrays that cannot be packed have 67 million.
_MOST_OF_TEXT = 2**27
# Probabilities of the same network are the same up to this, by its precision: torch, engines and
# processors sum float32 in different orders, and processors round 8 bits in different ways.
MOST_APART: dict[ExportPrecision, float] = {"float32": 1e-4, "int8": 1e-2}


@dataclass(frozen=True)
class GoldenSample:
    """One picture, and what becomes of it on its way through the network.

    Attributes:
        files: The bytes of the sample's image files, mostly one.
        array: The network's input (H, W, C) that these files give, of the preprocessing's type.
        probabilities: (K,) what torch answered to that array, after the temperature; float64. In
            a file of 8 bits, and where a decision was taken over later, ONNX Runtime answered.
    """

    files: tuple[bytes, ...]
    array: Array
    probabilities: Array


@dataclass(frozen=True)
class ModelMetadata:
    """Everything that an exported file says beside the network.

    Attributes:
        class_names: The names of the K classes, in the order of the probabilities.
        preprocess: Turns the content of an image file into the network's input.
        weights_digest: The digest of the checkpoint that was exported; empty for an old checkpoint
            without one.
        decision: What ``decision.json`` held at the time of the export; None if there was none. Its
            temperature is part of the network already.
        golden: Samples by which a client checks itself.
        golden_source: Where their pictures come from: ``seed`` for pictures drawn by a seed,
            ``val`` for validation images of the run.
        model: The network's name in the registry.
        precision: ``float32``, or ``int8`` for a quantised network.
        version: The version of cnncli that wrote the file.
    """

    class_names: tuple[str, ...]
    preprocess: Preprocess
    weights_digest: str = ""
    decision: Mapping[str, Any] | None = None
    golden: tuple[GoldenSample, ...] = ()
    golden_source: Literal["seed", "val"] = "seed"
    model: str = ""
    precision: ExportPrecision = "float32"
    version: str = ""

    def to_props(self) -> dict[str, str]:
        """Return the metadata as the texts of a file, by key."""
        values = {
            "format": FORMAT,
            "class_names": list(self.class_names),
            "preprocess": self.preprocess.to_dict(),
            "decision": None if self.decision is None else dict(self.decision),
            "golden": {
                "source": self.golden_source,
                "samples": [_write_sample(sample) for sample in self.golden],
            },
        }
        texts = {
            "weights_digest": self.weights_digest,
            "model": self.model,
            "precision": self.precision,
            "version": self.version,
        }
        texts |= {
            key: json.dumps(value, ensure_ascii=False, allow_nan=False)
            for key, value in values.items()
        }
        return {f"{PREFIX}{key}": text for key, text in texts.items()}

    @classmethod
    def from_props(cls, props: Mapping[str, str]) -> ModelMetadata:
        """Read the texts of a file.

        Args:
            props: The texts by key; other keys than those of `to_props` are left alone.

        Raises:
            ValueError: If a key is missing, a text is not what `to_props` writes, or a newer cnncli
                wrote it. The text says what is wrong, in words for the user.
        """
        written = _read_json(props, "format")
        if type(written) is not int:
            raise ValueError(f"{PREFIX}format is no whole number")
        if written > FORMAT:
            raise ValueError(f"format {written} of a newer cnncli, this one reads up to {FORMAT}")
        names = _read_json(props, "class_names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{PREFIX}class_names is no list of names")
        if not names or len(set(names)) != len(names):
            raise ValueError(f"{PREFIX}class_names is empty or holds a name twice")
        preprocess = _read_preprocess(_read_json(props, "preprocess"))
        decision = _read_json(props, "decision")
        if decision is not None and not isinstance(decision, dict):
            raise ValueError(f"{PREFIX}decision is no JSON object")
        precision = _read_text(props, "precision")
        if precision not in get_args(ExportPrecision):
            raise ValueError(f"{PREFIX}precision is none of {', '.join(get_args(ExportPrecision))}")
        source, golden = _read_golden(_read_json(props, "golden"), preprocess, len(names))
        return cls(
            class_names=tuple(names),
            preprocess=preprocess,
            weights_digest=_read_text(props, "weights_digest"),
            decision=decision,
            golden=golden,
            golden_source=source,
            model=_read_text(props, "model"),
            precision=precision,  # type: ignore[arg-type]
            version=_read_text(props, "version"),
        )


def _read_text(props: Mapping[str, str], key: str) -> str:
    """Return the text of a key.

    Raises:
        ValueError: If it is missing, no text or too long.
    """
    text = props.get(PREFIX + key)
    if not isinstance(text, str):
        raise ValueError(f"{PREFIX}{key} is missing in its metadata")  # noqa: TRY004
    if len(text) > _MOST_OF_TEXT:
        raise ValueError(f"{PREFIX}{key} has more than {_MOST_OF_TEXT:,} characters")
    return text


def _read_json(props: Mapping[str, str], key: str) -> Any:
    """Return what the text of a key holds.

    Raises:
        ValueError: If it is missing or no JSON.
    """
    text = _read_text(props, key)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{PREFIX}{key} is no JSON") from None


def _read_preprocess(values: Any) -> Preprocess:
    try:
        preprocess = Preprocess.from_dict(values)
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError):
        raise ValueError(f"{PREFIX}preprocess is not what cnncli writes") from None
    if len(preprocess.mean) != preprocess.channels:
        raise ValueError(f"{PREFIX}preprocess has no mean and std for each channel")
    return preprocess


def _write_sample(sample: GoldenSample) -> dict[str, Any]:
    stored = sample.array.astype(sample.array.dtype.newbyteorder("<"))
    packed = zlib.compress(stored.tobytes(), 9)
    return {
        "files": [base64.b64encode(data).decode("ascii") for data in sample.files],
        "array": base64.b64encode(packed).decode("ascii"),
        "probabilities": [float(value) for value in sample.probabilities],
    }


def _read_golden(
    values: Any, preprocess: Preprocess, count: int
) -> tuple[Literal["seed", "val"], tuple[GoldenSample, ...]]:
    """Return where the golden samples come from, and the samples.

    Args:
        values: What the JSON holds.
        preprocess: Says the shape and the type of the arrays.
        count: K, the number of classes.
    """
    try:
        source, samples = values["source"], values["samples"]
        if source not in ("seed", "val") or not isinstance(samples, list):
            raise ValueError  # noqa: TRY301
        return source, tuple(_read_sample(sample, preprocess, count) for sample in samples)
    except (TypeError, ValueError, KeyError, OverflowError, zlib.error):
        raise ValueError(f"{PREFIX}golden is not what cnncli writes") from None


def _read_sample(values: Any, preprocess: Preprocess, count: int) -> GoldenSample:
    shape = (*preprocess.image_size, preprocess.channels)
    kind = np.dtype(preprocess.dtype)
    size = math.prod(shape) * kind.itemsize
    unpack = zlib.decompressobj()
    if size > MOST_OF_ARRAY:
        raise ValueError("a larger array than cnncli writes")
    # One byte more than is right, so that a longer array is seen, but never built.
    raw = unpack.decompress(base64.b64decode(values["array"], validate=True), size + 1)
    if len(raw) != size:
        raise ValueError("an array of another size")
    probabilities = np.array([float(value) for value in values["probabilities"]])
    if probabilities.shape != (count,) or not np.isfinite(probabilities).all():
        raise ValueError("not a probability for each class")
    files = tuple(base64.b64decode(data, validate=True) for data in values["files"])
    if len(files) != preprocess.count_files:
        raise ValueError("another number of files")
    array = np.frombuffer(raw, kind.newbyteorder("<")).reshape(shape)
    return GoldenSample(files, array.astype(kind), probabilities)
