"""A file in torch's cache is the one that its name promises, or it is refused."""

import hashlib
from dataclasses import replace

import pytest
import torch

from cnncli.errors import CnncliError
from cnncli.models.pretrained.download import _check_cached, download_weights
from cnncli.models.registry import MODELS

WEIGHTS = MODELS["resnet18"].weights[0]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_another_file_under_the_name_of_weights_is_refused_with_both_hashes(cli, cache):
    path = cache / WEIGHTS.file
    torch.save({"conv1.weight": torch.zeros(3)}, path)
    begin = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    with pytest.raises(CnncliError) as caught:
        download_weights("resnet18", WEIGHTS)
    promised = WEIGHTS.file.removesuffix(".pth").split("-")[1]
    assert f"{path} is damaged or another file" in str(caught.value)
    assert f"begins with {begin}, and by its name with {promised}" in str(caught.value)
    result = cli("finetune", "--data", "digits", "--image-size", "32", "--epochs", "1")
    assert result.code == 2
    assert str(path) in result.err.splitlines()[-1]
    assert not list(cache.parent.parent.glob("runs/*"))


def test_a_file_with_its_hash_and_one_without_pass(cache):
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()
    for name in (f"a-{digest[:8]}.pth", f"a-{digest}.pth", "a.pth", "a-b.pth"):
        (cache / name).write_bytes(content)
        _check_cached(replace(WEIGHTS, file=name))


@pytest.mark.parametrize("name", MODELS)
def test_the_names_of_the_files_carry_a_hash(name):
    for weights in MODELS[name].weights:
        assert len(weights.file.removesuffix(".pth").split("-")[-1]) in (8, 10)
