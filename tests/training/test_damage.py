"""A flipped bit in ``best.safetensors`` or ``last.pt`` is noticed, and nothing in them is run."""

import json
import os
import random
import re
import shutil
import zipfile

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from cnncli.errors import CnncliError
from cnncli.images.preprocess import Preprocess
from cnncli.models.pretrained.tensor_file import read_tensors
from cnncli.models.pretrained.weights import look_up_source
from cnncli.models.registry import MODELS
from cnncli.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cnncli.training.state import load_state, save_state

CLASSES = ("a", "b", "c")


@pytest.fixture
def best(tmp_path):
    """Return the path of a checkpoint."""
    preprocess = Preprocess(32, 32, 1, mean=(0.3,), std=(0.2,))
    checkpoint = Checkpoint("lenet5", CLASSES, preprocess, metrics={"val_loss": 0.51})
    save_checkpoint(tmp_path / "best.safetensors", checkpoint.build(), checkpoint)
    return tmp_path / "best.safetensors"


def flipped(data, position, bit):
    return data[:position] + bytes([data[position] ^ (1 << bit)]) + data[position + 1 :]


def attempt(function, *args):
    """Return what a function returns, and None; or None, and its error."""
    try:
        return function(*args), None
    except CnncliError as error:
        return None, error


def positions(data, header, seed):
    """Return positions of bits, most of them in the header, which is small and holds most kinds."""
    draw = random.Random(seed)
    places = [draw.randrange(header) for _ in range(120)]
    places += [draw.randrange(len(data)) for _ in range(60)]
    return [(place, draw.randrange(8)) for place in (*range(8), *places)]


@pytest.mark.parametrize("seed", range(2))
def test_no_bit_of_a_checkpoint_can_flip_unnoticed(best, seed):
    data = best.read_bytes()
    network, checkpoint = load_checkpoint(best)
    entry, refused = MODELS["lenet5"], 0
    for place, bit in positions(data, 8 + int.from_bytes(data[:8], "little"), seed):
        best.write_bytes(flipped(data, place, bit))
        loaded, error = attempt(load_checkpoint, best)
        if error:
            refused += 1
            assert error.exit_code == 2
            assert str(best) in str(error)
            assert "\n" not in str(error)
            assert attempt(look_up_source, str(best), entry)[1].exit_code == 2
        else:  # the bit has no meaning
            other, told = loaded
            assert told == checkpoint
            theirs = other.state_dict()
            assert all(torch.equal(t, theirs[n]) for n, t in network.state_dict().items())
            assert look_up_source(str(best), entry).meta["class_names"] == list(CLASSES)
    assert refused > 150


def test_damaged_weights_are_named_with_what_to_do(best, cli, tmp_path):
    data = best.read_bytes()
    best.write_bytes(flipped(data, len(data) - 10, 3))
    with pytest.raises(CnncliError, match=r"another digest.*copy it again.*or train again"):
        load_checkpoint(best)
    for command in ("predict", "evaluate"):
        result = cli(command, "--checkpoint", best, *[tmp_path] * (command == "predict"))
        assert result.code == 2
        assert f"{best}: damaged" in result.error
    result = cli("finetune", "--data", "digits", "--model", "lenet5", "--weights", tmp_path)
    assert result.code == 2
    assert f"--weights {best}: damaged" in result.error


def test_a_checkpoint_that_nobody_named_is_told_by_its_path(tmp_path):
    with pytest.raises(CnncliError) as caught:  # as when a run is resumed, and its best is gone
        load_checkpoint(tmp_path / "best.safetensors")
    assert str(caught.value) == f"{tmp_path / 'best.safetensors'}: No such file or directory"


def test_equal_checkpoints_are_equal_files(best, tmp_path):
    network, checkpoint = load_checkpoint(best)
    save_checkpoint(tmp_path / "again.safetensors", network, checkpoint)
    assert (tmp_path / "again.safetensors").read_bytes() == best.read_bytes()


def rewrite(path, **changes):
    with safe_open(path, framework="pt") as file:
        meta = json.loads(file.metadata()["cnncli"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {"cnncli": json.dumps({**meta, **changes})})


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["a", "b", "a"], "class_names have a more than once"),
        ([], "not a list of names"),
        ("abc", "not a list of names"),
        (None, "not a list of names"),
        ({"a": 1, "b": 2, "c": 3}, "not a list of names"),
        (["a", "b", 3], "not all of its class_names are texts"),
        (["a", "b", None], "not all of its class_names are texts"),
        (["a", "b", ""], "not all of its class_names are texts"),
        (["a", "b", ["c"]], "not all of its class_names are texts"),
    ],
)
def test_impossible_class_names_are_refused(best, names, why):
    rewrite(best, class_names=names)
    with pytest.raises(CnncliError, match=why) as caught:
        load_checkpoint(best)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "x" * 5000},
        {"model": "resnet18"},
        {"model": ["lenet5"]},
        {"preprocess": {"y" * 5000: 1}},
        {"preprocess": []},
        {"options": {"z" * 5000: 1}},
        {"options": {"norm": "w" * 5000}},
        {"augment": "v" * 5000},
        {"augment": [{"u\n" * 3000: {}}]},
        {"class_names": ["t" * 5000, "t" * 5000]},
        {"format": 10**4000},
    ],
    ids=lambda changes: f"{next(iter(changes))}-{str(next(iter(changes.values())))[:8]}",
)
def test_what_is_forged_is_refused_in_one_line_of_bounded_length(best, changes):
    rewrite(best, **changes)
    with pytest.raises(CnncliError) as caught:
        load_checkpoint(best)
    text = str(caught.value).removeprefix(f"{best}: ")
    assert "\n" not in text
    assert len(text) < 300
    assert "Error(s)" not in text  # torch's words


# last.pt


@pytest.fixture
def last(tmp_path):
    """Return the path of the state of a run."""
    torch.manual_seed(0)
    save_state(tmp_path / "last.pt", {"network": {"w": torch.randn(100)}, "epoch": 3})
    return tmp_path / "last.pt"


@pytest.mark.parametrize("seed", range(2))
def test_no_bit_of_last_pt_can_flip_unnoticed(last, seed):
    data, state = last.read_bytes(), load_state(last)
    refused = 0
    for place, bit in positions(data, len(data), seed):
        last.write_bytes(flipped(data, place, bit))
        told, error = attempt(load_state, last)
        if error:
            refused += 1
            assert error.exit_code == 2
            assert "last.pt" in str(error)
            assert "\n" not in str(error)
            assert f"cnncli finetune --data DATA --weights {last.parent}" in str(error)
            assert not re.search("PytorchStreamReader|torch\\.load|pickle data", str(error))
        else:  # in the words before the digest
            assert told["epoch"] == 3
            assert torch.equal(told["network"]["w"], state["network"]["w"])
    assert refused > 150


def test_last_pt_as_weights_is_checked_too(last):
    data = last.read_bytes()
    assert read_tensors(last)["w"].shape == (100,)
    last.write_bytes(flipped(data, data.index(b"data/0") + 100, 2))
    with pytest.raises(CnncliError, match=r"--weights .*last.pt: damaged.*another digest"):
        read_tensors(last)


def test_last_pt_stays_an_archive_that_torch_reads(last):
    assert torch.load(last, weights_only=True)["epoch"] == 3
    with zipfile.ZipFile(last) as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"cnncli blake2b ")


def test_a_state_without_a_digest_is_read_as_before(last, tmp_path):
    (tmp_path / "old").mkdir()
    torch.save(torch.load(last, weights_only=True), tmp_path / "old" / "last.pt")
    assert load_state(tmp_path / "old" / "last.pt")["epoch"] == 3


@pytest.mark.parametrize("cut", [100, 500])
def test_a_state_that_is_cut_short_is_told(last, cut):
    last.write_bytes(last.read_bytes()[:-cut])
    with pytest.raises(CnncliError, match=r"last.pt is damaged .*cut short.*finetune .*--weights"):
        load_state(last)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("error")
def test_a_pickle_as_last_pt_is_refused_and_not_run(cli, run_dir, tmp_path, zipped):
    run = tmp_path / "run"
    shutil.copytree(run_dir, run)
    (run / "report.json").unlink()
    state = {"format": 1, "x": Evil(tmp_path / "made")}
    torch.save(state, run / "last.pt", _use_new_zipfile_serialization=zipped, pickle_protocol=4)
    result = cli("train", "--resume", run)
    assert result.code == 2
    assert "last.pt is damaged, or no run has written it: it holds more than" in result.error
    assert "weights_only" not in result.err
    assert not (tmp_path / "made").exists()
