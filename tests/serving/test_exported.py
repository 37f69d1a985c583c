"""A server with an exported network: the same answers, and no heat maps."""

import shutil

import pytest
import served
from helpers import Heard
from onnx_files import write_onnx

from cnncli.recipes import serve
from cnncli.reporting import SilentReporter
from cnncli.run.networks import EngineSettings
from cnncli.serving.limits import Limits
from cnncli.serving.network import ServedNetwork


@pytest.fixture(scope="module")
def exported(run_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / run_dir.name
    shutil.copytree(run_dir, folder)
    write_onnx(folder / "best.safetensors", folder / "best.onnx")
    return folder


@pytest.mark.parametrize("given", ["", "best.onnx"])
def test_an_exported_network_answers_as_the_run(client, exported, images, given):
    settings = EngineSettings("onnx", "cpu")
    network = ServedNetwork(str(exported / given), settings, SilentReporter())
    files = [(path.name, path.read_bytes()) for path in images[::20]]
    ask = "?probabilities=1&heat_map=1"
    expected = client.predict_form(files, ask).value
    with served.serving(network, Limits()) as other:
        rows = other.predict_form(files, ask).value
        about = other.ask("GET", "/about").value
    assert about["engine"] == "onnx"
    assert about["heat_map"] is None
    assert about["model"] == client.ask("GET", "/about").value["model"]
    for row, right in zip(rows, expected, strict=True):
        assert row["label"] == right["label"]
        assert row["probabilities"] == pytest.approx(right["probabilities"], abs=1e-5)
        assert row["picture"] == right["picture"]
        assert row["heat_map"] is None
        assert right["heat_map"] is not None


@pytest.mark.parametrize(("engine", "notes"), [("onnx", 1), ("torch", 0)])
def test_without_heat_maps_a_line_says_so(exported, monkeypatch, engine, notes):
    monkeypatch.setattr(serve, "listen", lambda *_: None)
    heard = Heard()
    settings = serve.ServeSettings(str(exported), port=0, engine=EngineSettings(engine, "cpu"))
    serve.serve(settings, heard, lambda _: None)
    told = [note for note in heard.notes if note.startswith("no heat maps, since torch alone")]
    assert len(told) == notes
