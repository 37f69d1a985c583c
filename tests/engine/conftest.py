"""A run whose network is exported beside its weights."""

import shutil

import pytest
from onnx_files import golden_of, write_onnx


@pytest.fixture(scope="session")
def exported(run_dir, folder_data, tmp_path_factory):
    """Return a copy of the shared run with ``best.onnx``; read it only."""
    folder = tmp_path_factory.mktemp("exported") / run_dir.name
    shutil.copytree(run_dir, folder)
    weights = folder / "best.safetensors"
    files = sorted(folder_data.glob("*/*.png"))[::30]
    golden = tuple(golden_of(weights, [path.read_bytes()]) for path in files)
    write_onnx(weights, folder / "best.onnx", golden=golden)
    return folder
