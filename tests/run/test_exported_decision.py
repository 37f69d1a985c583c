"""A decision that is stored later goes into the exported file too, or a warning says that not."""

import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import Heard

from cnncli.engine.onnx_file import open_onnx
from cnncli.evaluation.calibration import apply_temperature
from cnncli.export.graph import to_bytes
from cnncli.files import ONNX_FILE
from cnncli.run.decision import Decision, save_decision
from cnncli.run.exported_decision import take_over_decision


@pytest.fixture
def folder(exported_run, tmp_path):
    made, _ = exported_run
    return shutil.copytree(made, tmp_path / made.name)


def decide(folder, digest=None, **values):
    metadata = open_onnx(folder / ONNX_FILE).metadata
    checkpoint, decision = (
        folder / "best.safetensors",
        Decision(metadata.class_names, **values),
    )
    file = save_decision(checkpoint, metadata.weights_digest, decision)
    heard = Heard()
    take_over_decision(checkpoint, digest or metadata.weights_digest, file, decision, heard)
    return heard, json.loads(file.read_text("utf-8"))


def answer(folder, images):
    session = onnxruntime.InferenceSession(folder / ONNX_FILE, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images})[0]


def test_the_temperature_and_the_golden_samples_change(folder):
    golden = open_onnx(folder / ONNX_FILE).metadata.golden
    images = np.stack([sample.array for sample in golden])
    decide(folder, abstain_below=0.5)
    raw = answer(folder, images)
    for temperature in (3.0, 0.5, None):
        values = {"abstain_below": 0.5} if temperature is None else {"temperature": temperature}
        heard, content = decide(folder, **values)
        assert heard.warnings == []
        assert heard.notes == [f"{folder / ONNX_FILE}: has this decision too"]
        metadata = open_onnx(folder / ONNX_FILE).metadata
        assert metadata.decision == content
        expected = raw if temperature is None else apply_temperature(raw, temperature)
        np.testing.assert_allclose(answer(folder, images), expected, atol=1e-6)
        written = [sample.probabilities for sample in metadata.golden]
        np.testing.assert_allclose(written, expected, atol=1e-6)


def test_the_file_of_8_bits_gets_it_too_and_that_of_openvino_does_not(folder):
    """It is one for its precision; what is in its graph does not matter here."""
    model = onnx.load(folder / ONNX_FILE)
    metadata = replace(open_onnx(folder / ONNX_FILE).metadata, precision="int8")
    small = folder / "best.int8.onnx"
    small.write_bytes(to_bytes(model, metadata.to_props()))
    (folder / "best.xml").write_text("<net/>")
    heard, content = decide(folder, temperature=3.0)
    assert heard.notes == [
        f"{folder / name}: has this decision too" for name in (ONNX_FILE, small.name)
    ]
    (warning,) = heard.warnings
    assert warning.startswith(f"{folder / 'best.xml'} has not got this decision; to make it anew")
    written = open_onnx(small).metadata
    assert (written.decision, written.precision) == (content, "int8")
    images = np.stack([sample.array for sample in written.golden])
    session = onnxruntime.InferenceSession(small, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(
        session.run(None, {"image": images})[0], answer(folder, images), atol=1e-6
    )


def test_a_file_of_other_weights_stays_as_it_is(folder):
    before = (folder / ONNX_FILE).read_bytes()
    heard, _ = decide(folder, digest="ab" * 32, temperature=2.0)
    assert (heard.notes, heard.warnings) == ([], [])
    assert (folder / ONNX_FILE).read_bytes() == before


def test_a_damaged_file_is_a_warning(folder):
    heard, _ = decide(folder, temperature=2.0)
    data = bytearray((folder / ONNX_FILE).read_bytes())
    metadata = open_onnx(folder / ONNX_FILE).metadata
    data[len(data) // 3] ^= 1
    (folder / ONNX_FILE).write_bytes(data)
    decision, heard = Decision(metadata.class_names, temperature=3.0), Heard()
    checkpoint = folder / "best.safetensors"
    file = save_decision(checkpoint, metadata.weights_digest, decision)
    take_over_decision(checkpoint, metadata.weights_digest, file, decision, heard)
    (warning,) = heard.warnings
    assert "has not got this decision" in warning
    assert warning.endswith(f"to make it anew: cnncli export {folder}")
