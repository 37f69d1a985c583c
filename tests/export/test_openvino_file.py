"""OpenVINO's two files belong together: those of two networks never lie side by side."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from cnncli.errors import CnncliError
from cnncli.export import openvino_file
from cnncli.export.openvino_file import OpenvinoModel


def save(model, path, *, compress_to_fp16):
    """Write two files, as OpenVINO's ``save_model`` does."""
    path.write_text(f"new {compress_to_fp16}")
    path.with_suffix(".bin").write_text("new")


@pytest.mark.parametrize("fails", [None, ".bin", ".xml"])
def test_a_pair_is_of_one_network(tmp_path, monkeypatch, fails):
    model = OpenvinoModel.__new__(OpenvinoModel)
    model._model = None
    monkeypatch.setattr(openvino_file, "load_openvino", lambda: SimpleNamespace(save_model=save))
    for ending in (".xml", ".bin"):
        (tmp_path / f"best{ending}").write_text("old")
    replace = Path.replace

    def stop(self, target):
        if self.suffix == fails:
            raise OSError(5, "disk")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    if fails is None:
        model.save(tmp_path / "best.xml")
    else:
        with pytest.raises(CnncliError, match="cannot be written"):
            model.save(tmp_path / "best.xml")
    found = {file.suffix: file.read_text() for file in tmp_path.iterdir()}
    assert (
        found
        == {
            None: {".xml": "new False", ".bin": "new"},
            ".bin": {".bin": "old"},
            ".xml": {".bin": "new"},
        }[fails]
    )
