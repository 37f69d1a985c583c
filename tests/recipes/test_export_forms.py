"""Networks of every kind of input, and runs of earlier versions, are exported."""

import csv
import io
import shutil

import numpy as np
import onnxruntime
import pytest
import torch
from helpers import ROOT, Heard

from cnncli.engine.metadata import ModelMetadata
from cnncli.engine.onnx_file import open_onnx
from cnncli.export.reference import build_reference
from cnncli.images.intensity import IntensityRange
from cnncli.images.preprocess import Preprocess
from cnncli.recipes.export import ExportSettings, export_run
from cnncli.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

FORMS = {
    "two files of five channels": Preprocess(
        28,
        28,
        5,
        dtype="float32",
        mean=(0.4,) * 5,
        std=(0.2,) * 5,
        files=(2, 3),
        windows=(IntensityRange(-100, 300, "value"), IntensityRange(0, 0.5)),
    ),
    "grey of another height": Preprocess(32, 44, 1, mean=(0.3,), std=(0.1,), resize_mode="pad"),
}


def export(folder):
    """Export a folder's checkpoint; return an ONNX Runtime session and the metadata."""
    heard = Heard()
    path = export_run(ExportSettings(str(folder / "best.safetensors")), heard)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session, open_onnx(path).metadata, heard


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_inputs_of_every_kind(form, tmp_path):
    pre, names = FORMS[form], ("a", "b", "c")
    checkpoint = Checkpoint("lenet5", names, pre, ordered=True)
    torch.manual_seed(1)
    save_checkpoint(tmp_path / "best.safetensors", checkpoint.build(), checkpoint)
    session, metadata, heard = export(tmp_path)
    (warning,) = heard.warnings
    assert warning.startswith("compared on drawn pictures, and not on the run's val images: ")
    assert isinstance(metadata, ModelMetadata)
    space = {"__name__": "reference_preprocess"}
    exec(compile(build_reference(pre, "best.onnx"), "reference_preprocess.py", "exec"), space)
    network, _ = load_checkpoint(tmp_path / "best.safetensors")
    for sample in metadata.golden:
        paths = []
        for number, data in enumerate(sample.files):
            path = tmp_path / f"file{number}"
            path.write_bytes(data)
            paths.append(str(path))
        array = space["preprocess"](paths)
        np.testing.assert_array_equal(array, sample.array)
        scale = 255 if pre.dtype == "uint8" else 1
        normal = (array / np.float32(scale) - np.float32(pre.mean)) / np.float32(pre.std)
        with torch.no_grad():
            logits = network(torch.from_numpy(normal).permute(2, 0, 1)[None])
        expected = logits.softmax(dim=1).numpy()[0]
        found = session.run(None, {"image": array[None]})[0][0]
        np.testing.assert_allclose(found, expected, atol=1e-4)
        np.testing.assert_allclose(sample.probabilities, expected, atol=1e-5)


@pytest.mark.slow
def test_a_run_of_an_earlier_version(cli, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "tests" / "fixtures" / "old_run", tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    _, metadata, heard = export(tmp_path / "old" / "finished")
    assert heard.warnings == []
    assert len(metadata.weights_digest) == 64
    images = sorted(map(str, (tmp_path / "old").rglob("*.png")))[:5]
    tables = []
    for name in ("finished", "finished/best.onnx"):
        result = cli("predict", *images, "--checkpoint", name, "--probabilities")
        assert result.code == 0, result.err
        tables.append(list(csv.DictReader(io.StringIO(result.out))))
    for torch_row, onnx_row in zip(*tables, strict=True):
        assert torch_row["label"] == onnx_row["label"]
        for key, value in torch_row.items():
            if key.startswith("probability"):
                assert float(onnx_row[key]) == pytest.approx(float(value), abs=1e-4)


def test_a_cross_validation_is_refused(cli, tmp_path):
    for number in (1, 2):
        fold = tmp_path / "cv" / f"fold{number}"
        fold.mkdir(parents=True)
        for name in ("best.safetensors", "report.json"):
            (fold / name).touch()
    (tmp_path / "cv" / "config.yaml").write_text("folds: 2\n")
    (tmp_path / "cv" / "report.json").touch()
    result = cli("export", tmp_path / "cv")
    assert result.code == 2
    assert result.error == (
        f"{tmp_path / 'cv'}: a cross-validation of 2 networks, and a file holds one; export one of "
        f"them: cnncli export {tmp_path / 'cv' / 'fold1'}"
    )
