"""``cnncli export``: a file that answers as torch does, or none."""

import csv
import io
import json
import shutil
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import run_process

from cnncli.data.find_samples import find_samples
from cnncli.data.samples import CsvColumns
from cnncli.engine.metadata import ModelMetadata
from cnncli.evaluation.calibration import apply_temperature
from cnncli.export import quantise
from cnncli.run import write_onnx
from cnncli.run.samples import data_of_run
from cnncli.training.checkpoint import load_checkpoint


def load_samples(folder):
    return find_samples(*data_of_run(folder / "best.safetensors", CsvColumns()))


def read(path):
    """Return an ONNX Runtime session of a file, and its metadata."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session, ModelMetadata.from_props(session.get_modelmeta().custom_metadata_map)


def test_what_is_said(exported_run):
    folder, heard = exported_run
    assert heard.warnings == []
    _, compared, script = heard.notes
    assert compared.startswith(f"{folder / 'best.onnx'}: probabilities within ")
    assert compared.endswith(" of torch's, the same labels on 12 val images")
    assert script.startswith(f"{folder / 'reference_preprocess.py'}: ")


@pytest.mark.slow
def test_nothing_else_is_said_in_a_process_of_its_own(exported_run):
    folder, _ = exported_run
    result = run_process("export", folder, cwd=folder.parent)
    assert result.code == 0, result.err
    assert result.out == f"{folder / 'best.onnx'}\n"
    assert len(result.err.splitlines()) == 3, result.err  # nothing of what torch's exporter says


def test_the_file_is_valid_and_says_all(exported_run):
    folder, _ = exported_run
    onnx.checker.check_model(onnx.load(folder / "best.onnx"), full_check=True)
    _, checkpoint = load_checkpoint(folder / "best.safetensors")
    _, metadata = read(folder / "best.onnx")
    assert metadata.class_names == checkpoint.class_names
    assert metadata.preprocess == checkpoint.preprocess
    assert metadata.weights_digest == checkpoint.digest
    assert metadata.decision == json.loads((folder / "decision.json").read_text("utf-8"))
    assert (metadata.model, metadata.precision) == ("lenet5", "float32")


def test_the_probabilities_are_those_of_torch_after_the_temperature(exported_run):
    folder, _ = exported_run
    network, checkpoint = load_checkpoint(folder / "best.safetensors")
    session, _ = read(folder / "best.onnx")
    images = np.random.default_rng(1).integers(
        0, 256, (9, *checkpoint.preprocess.image_size, 1), np.uint8
    )
    pre = checkpoint.preprocess
    normal = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - pre.mean[0]) / pre.std[0]
    with torch.no_grad():
        expected = apply_temperature(network(normal).softmax(dim=1).numpy(), 2.0)
    found = session.run(None, {"image": images})[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found[:1], session.run(None, {"image": images[:1]})[0], atol=1e-6)


def test_the_golden_samples_hold_with_the_script_alone(exported_run, tmp_path):
    folder, _ = exported_run
    session, metadata = read(folder / "best.onnx")
    sys.path.insert(0, str(folder))
    try:
        from reference_preprocess import preprocess
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("reference_preprocess", None)
    assert len(metadata.golden) == 3
    for sample in metadata.golden:
        (tmp_path / "sample.png").write_bytes(sample.files[0])
        array = preprocess([str(tmp_path / "sample.png")])
        np.testing.assert_array_equal(array, sample.array)
        found = session.run(None, {"image": array[None]})[0][0]
        np.testing.assert_allclose(found, sample.probabilities, atol=1e-4)


def test_no_file_where_the_network_answers_otherwise(exported_run, cli, monkeypatch, tmp_path):
    folder, _ = exported_run

    def worse(*args):
        model = onnx.load(folder / "best.onnx")
        weights = max(model.graph.initializer, key=lambda one: len(one.raw_data))
        array = onnx.numpy_helper.to_array(weights) * np.float32(1.01)
        weights.CopyFrom(onnx.numpy_helper.from_array(array, weights.name))
        return model

    monkeypatch.setattr(write_onnx, "build_graph", worse)
    result = cli("export", folder, "--output", tmp_path / "model.onnx")
    assert result.code == 1
    last = result.err.splitlines()[-1]
    assert last.startswith("Error: lenet5: the exported network does not answer as torch does")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_val_images_as_golden_samples(exported_run, cli, tmp_path):
    folder, _ = exported_run
    result = cli("export", folder, "--golden-from-val", "-o", tmp_path / "model.onnx")
    assert result.code == 0, result.err
    warning = next(line for line in result.err.splitlines() if line.startswith("Warning: "))
    assert "holds 3 val images of the run" in warning
    _, metadata = read(tmp_path / "model.onnx")
    assert metadata.golden_source == "val"
    for sample in metadata.golden:
        assert cv2.imdecode(np.frombuffer(sample.files[0], np.uint8), -1).shape == (8, 8)


@pytest.mark.slow
def test_drawn_pictures_where_the_data_are_gone(exported_run, cli, tmp_path):
    folder, _ = exported_run
    shutil.copy(folder / "best.safetensors", tmp_path / "best.safetensors")
    result = cli("export", tmp_path / "best.safetensors")
    assert result.code == 0, result.err
    assert "compared on drawn pictures" in result.err
    assert "on 10 drawn pictures" in result.err


@pytest.fixture
def unreadable(exported_run, monkeypatch):
    """Return a run whose images are there, and none of them can be read."""

    def fail(self, number):
        raise OSError(5, "Input/output error")

    folder, _ = exported_run
    monkeypatch.setattr(type(load_samples(folder).source), "read", fail)
    return folder


@pytest.mark.parametrize("flag", ["--golden-from-val", "--int8"])
def test_what_needs_val_images_is_refused_where_none_can_be_read(unreadable, cli, tmp_path, flag):
    result = cli("export", unreadable, flag, "-o", tmp_path / "model.onnx")
    assert result.code == 2
    assert "val images: none of 12 images can be read" in result.err
    assert result.err.endswith(f"{flag}: needs the run's val images, and none can be read\n")
    assert list(tmp_path.iterdir()) == []


def test_drawn_pictures_are_called_so_where_no_val_image_can_be_read(unreadable, cli, tmp_path):
    result = cli("export", unreadable, "-o", tmp_path / "model.onnx")
    assert result.code == 0
    assert "Warning: compared on drawn pictures, and not on the run's val images" in result.err
    assert "the same labels on 10 drawn pictures" in result.err


def test_a_run_that_is_not_there(cli, tmp_path):
    result = cli("export", tmp_path / "nothing")
    assert result.code == 2
    assert "no such run folder or file" in result.error


def test_another_ending_is_refused_before_anything_is_read(cli):
    result = cli("export", "--output", "model.safetensors")
    assert result.code == 2
    assert result.error == "--output model.safetensors: must end in .onnx"


@pytest.mark.slow
def test_evaluate_and_predict_go_on_with_the_file(exported_run, cli, tmp_path):
    folder, _ = exported_run
    mine = shutil.copytree(folder, tmp_path / folder.name)
    result = cli("evaluate", "--checkpoint", mine, "--raw", "--abstain-below", 0.3)
    assert result.code == 0, result.err
    assert f"{mine / 'best.onnx'}: has this decision too" in result.err
    image = tmp_path / "image.png"
    image.write_bytes(read(mine / "best.onnx")[1].golden[0].files[0])
    results = {
        engine: cli("predict", image, "--checkpoint", mine, "--engine", engine, "--probabilities")
        for engine in ("torch", "onnx")
    }
    first, second = (list(csv.DictReader(io.StringIO(one.out))) for one in results.values())
    assert [row.keys() for row in first] == [row.keys() for row in second]
    for name, value in first[0].items():
        if name.startswith("probability"):
            assert float(second[0][name]) == pytest.approx(float(value), abs=1e-4)
        else:
            assert second[0][name] == value


@pytest.mark.slow
def test_eight_bits(exported_run, cli, monkeypatch, tmp_path):
    folder, _ = exported_run
    path = tmp_path / "small.onnx"
    monkeypatch.setattr(quantise, "MOST_CHANGED", 1.0)
    monkeypatch.setattr(quantise, "MOST_LOST", 1.0)
    result = cli("export", folder, "--int8", "-o", path)
    assert result.code == 0, result.err
    assert "of 12 labels changed, accuracy " in result.err
    whole, small = read(folder / "best.onnx"), read(path)
    assert small[1].precision == "int8"
    assert small[1].decision == whole[1].decision
    images = np.stack([sample.array for sample in small[1].golden])
    found = small[0].run(None, {"image": images})[0]
    np.testing.assert_allclose(found, whole[0].run(None, {"image": images})[0], atol=0.05)
    np.testing.assert_allclose(found, [one.probabilities for one in small[1].golden], atol=0.02)
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert "QuantizeLinear" in kinds
    monkeypatch.setattr(quantise, "MOST_LOST", -1.0)
    result = cli("export", folder, "--int8", "-o", tmp_path / "other.onnx")
    assert result.code == 1
    last = result.err.splitlines()[-1]
    assert last.startswith("Error: --int8: lenet5 does not keep its answers in 8 bits (")
    assert not (tmp_path / "other.onnx").exists()


@pytest.mark.slow
def test_openvino(exported_run, cli, tmp_path):
    openvino = pytest.importorskip("openvino", reason="the extra openvino is not installed")
    folder, _ = exported_run
    path = tmp_path / "model.xml"
    result = cli("export", folder, "--format", "openvino", "-o", path)
    assert result.code == 0, result.err
    assert "the same labels on 12 val images" in result.err
    names = {"model.xml", "model.bin", "preprocess_model.py"}
    assert {file.name for file in tmp_path.iterdir()} == names
    model = openvino.Core().read_model(path)
    expected, metadata = read(folder / "best.onnx")
    props = metadata.to_props()
    for key in ("class_names", "preprocess", "decision", "golden"):
        assert model.get_rt_info(["cnncli", key]).value == props[f"cnncli.{key}"]
    images = np.stack([sample.array for sample in metadata.golden])
    found = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(images)[0]
    np.testing.assert_allclose(found, expected.run(None, {"image": images})[0], atol=1e-4)


def test_openvino_that_is_not_installed(exported_run, cli, monkeypatch):
    folder, _ = exported_run
    monkeypatch.setitem(sys.modules, "openvino", None)
    result = cli("export", folder, "--format", "openvino")
    assert result.code == 2
    assert result.error == "--format openvino: needs OpenVINO; pip install 'cnncli[openvino]'"


def test_flags_that_exclude_each_other(cli):
    result = cli("export", "--int8", "--format", "openvino")
    assert result.error == "--int8: OpenVINO reads best.int8.onnx; leave out --format openvino"
