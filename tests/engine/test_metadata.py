"""The metadata of an exported file: what is written is read again, and nothing else is taken."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest

from cnncli.engine.metadata import GoldenSample, ModelMetadata
from cnncli.images.intensity import IntensityRange
from cnncli.images.preprocess import Preprocess

PREPROCESS = Preprocess(4, 6, 1, mean=(0.5,), std=(0.25,))


def made(preprocess: Preprocess = PREPROCESS) -> ModelMetadata:
    shape = (*preprocess.image_size, preprocess.channels)
    array = np.arange(np.prod(shape)).reshape(shape).astype(preprocess.dtype)
    files = tuple(bytes([number]) for number in range(preprocess.count_files))
    golden = GoldenSample(files, array, np.array([0.25, 0.75]))
    return ModelMetadata(
        class_names=("Katze", "犬"),
        preprocess=preprocess,
        weights_digest="ab" * 32,
        decision={"format": 1, "temperature": 1.5},
        golden=(golden,),
        model="lenet5",
        version="0.1.0",
    )


@pytest.mark.parametrize(
    "preprocess",
    [
        PREPROCESS,
        Preprocess(
            2,
            3,
            5,
            dtype="float32",
            mean=(0.5,) * 5,
            std=(0.25,) * 5,
            files=(2, 3),
            windows=(IntensityRange(0, 0.5), IntensityRange(-100, 200, "value")),
            resize_mode="crop",
            resize_size=4,
            interpolation="bicubic",
            exact_decode=True,
        ),
    ],
)
def test_what_is_written_is_read_again(preprocess: Preprocess) -> None:
    given = made(preprocess)
    props = given.to_props()
    assert all(isinstance(text, str) and key.startswith("cnncli.") for key, text in props.items())
    read = ModelMetadata.from_props(props | {"other": "x"})
    assert replace(read, golden=()) == replace(given, golden=())
    assert read.golden[0].files == given.golden[0].files
    assert read.golden[0].array.dtype == given.golden[0].array.dtype
    np.testing.assert_array_equal(read.golden[0].array, given.golden[0].array)
    np.testing.assert_array_equal(read.golden[0].probabilities, [0.25, 0.75])


def test_the_array_is_zlib_in_base64() -> None:
    sample = json.loads(made().to_props()["cnncli.golden"])["samples"][0]
    raw = zlib.decompress(base64.b64decode(sample["array"]))
    assert raw == bytes(range(24))


def golden(**changes: object) -> str:
    values = json.loads(made().to_props()["cnncli.golden"])
    values["samples"][0] |= changes
    return json.dumps(values)


def preprocessing(**changes: object) -> str:
    return json.dumps(made().preprocess.to_dict() | changes)


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("format", None, "format is missing"),
        ("format", "2", "format 2 of a newer cnncli"),
        ("format", "[", "format is no JSON"),
        ("format", "[" * 100_000, "format is no JSON"),
        ("class_names", '["a", "a"]', "a name twice"),
        ("class_names", "[]", "empty"),
        ("class_names", '{"a": 1}', "no list of names"),
        ("preprocess", '{"height": 4}', "preprocess is not what cnncli writes"),
        ("preprocess", "7", "preprocess is not what cnncli writes"),
        ("decision", "7", "no JSON object"),
        ("precision", "int4", "none of float32, int8"),
        ("golden", "7", "golden is not"),
        ("golden", golden(array="!"), "golden is not"),
        # A short text that would be a gigabyte.
        (
            "golden",
            golden(array=base64.b64encode(zlib.compress(bytes(2**26), 9)).decode()),
            "golden is not",
        ),
        ("golden", golden(probabilities=[1]), "golden is not"),
        ("golden", golden(files=[]), "golden is not"),
        ("golden", golden(probabilities=[10**400, 0]), "golden is not"),
        ("preprocess", preprocessing(mean=[10**400]), "preprocess is not what cnncli writes"),
        ("preprocess", preprocessing(height=10**30), "golden is not"),
        ("preprocess", preprocessing(height=2**40, width=2**40), "golden is not"),
    ],
)
def test_other_texts_are_refused(key: str, text: str | None, said: str) -> None:
    props = made().to_props()
    del props[f"cnncli.{key}"]
    if text is not None:
        props[f"cnncli.{key}"] = text
    with pytest.raises(ValueError, match=said):
        ModelMetadata.from_props(props)
