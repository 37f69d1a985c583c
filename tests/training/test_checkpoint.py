"""``best.safetensors`` and ``last.pt``: what they hold, what is refused, that they stay whole."""

import json
import os
import pickle
import stat
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from cnncli.errors import CnncliError
from cnncli.files import write_atomically
from cnncli.images.preprocess import Preprocess
from cnncli.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from cnncli.training.find_checkpoint import find_checkpoint
from cnncli.training.state import save_state

PREPROCESS = Preprocess(32, 32, 1, mean=(0.3,), std=(0.2,))


def make(model="lenet5", preprocess=PREPROCESS, class_names=("a", "b", "c"), **fields):
    torch.manual_seed(0)
    checkpoint = Checkpoint(model, tuple(class_names), preprocess, **fields)
    return checkpoint.build().eval(), checkpoint


def saved(tmp_path, *args, **fields):
    network, checkpoint = make(*args, **fields)
    save_checkpoint(tmp_path / "best.safetensors", network, checkpoint)
    return tmp_path / "best.safetensors", network, checkpoint


def metadata_of(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def with_metadata(path, change):
    """Write the file again with other metadata, from the format's own definition.

    Source: the safetensors format: 8 bytes of length, a JSON header, then the tensors.
    """
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = change(header["__metadata__"])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def change_meta(path, **values):
    def change(metadata):
        meta = json.loads(metadata["cnncli"]) | values
        del meta["digest"]  # as older versions wrote it
        return {"cnncli": json.dumps({k: v for k, v in meta.items() if v is not ...})}

    with_metadata(path, change)


def refusal(path):
    with pytest.raises(CnncliError) as caught:
        load_checkpoint(path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_the_tensor_names_are_torchvisions(tmp_path):
    from torchvision.models import resnet18

    preprocess = Preprocess(32, 32, 3, mean=(0.5,) * 3, std=(0.2,) * 3)
    path, network, _ = saved(tmp_path, "resnet18", preprocess)
    reference = resnet18(num_classes=3).state_dict()
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == set(reference)
        assert "bn1.num_batches_tracked" in file.keys()  # noqa: SIM118
        for name, tensor in reference.items():
            stored = file.get_tensor(name)
            assert (stored.shape, stored.dtype) == (tensor.shape, tensor.dtype)
            assert torch.equal(stored, network.state_dict()[name])


def test_the_metadata_are_complete(tmp_path):
    path, _, checkpoint = saved(
        tmp_path, class_names=("양호", "불량"), ordered=True, epoch=3, metrics={"val_loss": 0.5}
    )
    assert json.loads(metadata_of(path)["cnncli"]) == {
        "format": 3,
        "model": "lenet5",
        "options": {},
        "class_names": ["양호", "불량"],
        "freeze": "none",
        "ordered": True,
        "augment": [],
        "temperature": 1.0,
        "preprocess": {
            "height": 32,
            "width": 32,
            "channels": 1,
            "dtype": "uint8",
            "resize_mode": "squash",
            "interpolation": "area",
            "resize_size": None,
            "mean": [0.3],
            "std": [0.2],
            "files": [],
            "windows": [],
            "keep_alpha": False,
            "exact_decode": False,
        },
        "epoch": 3,
        "metrics": {"val_loss": 0.5},
        "versions": json.loads(metadata_of(path)["cnncli"])["versions"],
        "digest": json.loads(metadata_of(path)["cnncli"])["digest"],
    }
    _, loaded = load_checkpoint(path)
    assert loaded == replace(checkpoint, versions=loaded.versions)
    assert loaded.versions["torch"] == torch.__version__
    assert set(loaded.versions) >= {"cnncli", "torch"}


@pytest.mark.parametrize("model", ["lenet5", "cnn", "resnet18"])
def test_answers_are_bit_identical_after_loading(tmp_path, model):
    preprocess = Preprocess(32, 32, 3, mean=(0.5,) * 3, std=(0.2,) * 3)
    path, network, checkpoint = saved(tmp_path, model, preprocess)
    images = torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8)
    loaded, again = load_checkpoint(path)
    assert not loaded.training
    with torch.inference_mode():
        before = checkpoint.classifier(network)(images)
        after = again.classifier(loaded)(images)
    assert before.numpy().tobytes() == after.numpy().tobytes()
    assert before.std() > 0


def test_a_header_whose_length_looks_like_a_pickle(tmp_path):
    """The file begins with its header's length: 0x80, a pickle's first byte, is as good as any."""
    seen = set()
    for length in range(2, 300):
        path, _, _ = saved(tmp_path, class_names=("a" * length, "b"))
        first = path.read_bytes()[:1]
        seen.add(first)
        if first == b"\x80":
            load_checkpoint(path)
            return
    pytest.fail(f"no header of such a length among {sorted(seen)}")


class Malicious:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_is_refused_and_never_opened(tmp_path, legacy):
    path, mark = tmp_path / "model.pt", tmp_path / "executed"
    torch.save({"x": Malicious(mark)}, path, _use_new_zipfile_serialization=not legacy)
    assert "pickle" in refusal(path)
    assert not mark.exists()
    path.write_bytes(pickle.dumps(Malicious(mark), protocol=0))
    refusal(path)
    path.write_bytes(pickle.dumps(Malicious(mark), protocol=4))
    assert "pickle" in refusal(path)
    assert not mark.exists()
    pickle.loads(path.read_bytes()).close()
    assert mark.exists()  # it would have run


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 100, 0.5, 0.999])
def test_cut_short(tmp_path, keep):
    path, _, _ = saved(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    assert "cut short" in refusal(path)


@pytest.mark.parametrize("content", [b"hello\n", b"{}", b"\xff" * 100, b"epoch,loss\n1,2\n" * 99])
def test_text_and_rubbish(tmp_path, content):
    (tmp_path / "best.safetensors").write_bytes(content)
    assert "not a safetensors file" in refusal(tmp_path / "best.safetensors")


def test_weights_without_our_metadata(tmp_path):
    path = tmp_path / "plain.safetensors"
    save_file({"w": torch.zeros(2)}, path)
    assert "not what cnncli needs" in refusal(path)
    save_file({"w": torch.zeros(2)}, path, metadata={"format": "pt"})
    assert "not what cnncli needs" in refusal(path)


@pytest.mark.parametrize("text", ["{", "[1]", "null", "[" * 100_000, '"x"'])
def test_metadata_that_are_broken(tmp_path, text):
    path, _, _ = saved(tmp_path)
    with_metadata(path, lambda _: {"cnncli": text})
    refusal(path)


def test_the_temperature_is_kept_and_older_files_have_none(tmp_path):
    path, network, _ = saved(tmp_path, temperature=1.7)
    images = torch.randint(0, 256, (2, 32, 32, 1), dtype=torch.uint8)
    read, checkpoint = load_checkpoint(path)
    pixels = (images.permute(0, 3, 1, 2) / 255 - 0.3) / 0.2
    expected = (network(pixels) / 1.7).softmax(dim=1)
    torch.testing.assert_close(checkpoint.classifier(read)(images), expected)
    change_meta(path, temperature=..., format=2)
    read, checkpoint = load_checkpoint(path)
    assert checkpoint.temperature == 1
    torch.testing.assert_close(checkpoint.classifier(read)(images), network(pixels).softmax(dim=1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 4}, "newer cnncli"),
        ({"format": 99, "versions": ...}, "newer cnncli"),
        ({"model": "vgg99"}, "vgg99"),
        *(({"temperature": t}, "no number above 0") for t in (0, -1.0, "2", None, True)),
        ({"model": ["lenet5"]}, "not a checkpoint"),
        ({"model": ...}, "'model' is missing"),
        ({"class_names": ["a"]}, "not a checkpoint"),
        ({"class_names": 3}, "not a checkpoint"),
        ({"preprocess": {}}, "not a checkpoint"),
        ({"preprocess": PREPROCESS.to_dict() | {"height": "x"}}, "not a checkpoint"),
        ({"preprocess": PREPROCESS.to_dict() | {"height": 0}}, "not a checkpoint"),
        ({"preprocess": PREPROCESS.to_dict() | {"height": 64}}, "not a checkpoint"),
        ({"preprocess": PREPROCESS.to_dict() | {"mean": [], "std": []}}, "not a checkpoint"),
        ({"preprocess": PREPROCESS.to_dict() | {"std": [0.0]}}, "not a checkpoint"),
        ({"preprocess": PREPROCESS.to_dict() | {"zoom": 1}}, "not a checkpoint"),
    ],
)
def test_metadata_that_do_not_fit(tmp_path, change, words):
    path, _, _ = saved(tmp_path)
    load_checkpoint(path)
    change_meta(path, **change)
    assert words in refusal(path)


def test_finding(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CnncliError, match="no run in runs/"):
        find_checkpoint(None)
    for number, name in enumerate(["b", "a", "c"]):
        (tmp_path / "runs" / name).mkdir(parents=True)
        path = tmp_path / "runs" / name / "best.safetensors"
        path.touch()
        os.utime(path, (1000 + number % 2, 1000 + number % 2))
    assert [str(find_checkpoint(None)[0]), find_checkpoint(None)[1]] == [
        "runs/a/best.safetensors",
        "the newest run; it is not finished",
    ]
    assert find_checkpoint("runs/b")[0] == find_checkpoint("runs/b/best.safetensors")[0]
    assert find_checkpoint("runs/b")[1] == ""
    with pytest.raises(CnncliError, match=r"--checkpoint runs: not a run folder, but .*: a, c, b"):
        find_checkpoint("runs")
    for wrong in ("runs/d", "nosuch.safetensors"):
        with pytest.raises(CnncliError, match=f"--checkpoint {wrong}: no such"):
            find_checkpoint(wrong)


def make_runs(folder, **finished):
    """Make run folders, each newer than the one before; the value says whether it is finished."""
    for number, (name, done) in enumerate(finished.items()):
        (folder / "runs" / name).mkdir(parents=True)
        path = folder / "runs" / name / "best.safetensors"
        path.touch()
        os.utime(path, (1000 + number, 1000 + number))
        if done:
            (folder / "runs" / name / "report.json").touch()


def test_a_finished_run_comes_before_newer_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_runs(tmp_path, old=True, done=True, cut=False)
    path, how = find_checkpoint(None)
    assert path.parent.name == "done"
    assert how == "the newest finished run; cut is newer, and not finished"
    path, how = find_checkpoint("last")
    assert path.parent.name == "cut"
    assert how == "the newest run; it is not finished"
    (tmp_path / "runs" / "cut" / "report.json").touch()
    path, how = find_checkpoint(None)
    assert (path.parent.name, how) == ("cut", "the newest run")


def test_a_part_of_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_runs(tmp_path, day1_cnn=True, day2_cnn=True, day2_resnet=True, cnn=True)
    for given, name in (
        ("day1", "day1_cnn"),
        ("resnet", "day2_resnet"),
        ("runs/day1", "day1_cnn"),
        (str(tmp_path / "runs" / "day2_r"), "day2_resnet"),
        ("cnn", "cnn"),  # the whole name
    ):
        path, how = find_checkpoint(given)
        assert path.samefile(tmp_path / "runs" / name / "best.safetensors")
        assert how == f"the run that {given} names"
    for given, names in (("day2", "day2_resnet, day2_cnn"), ("_cnn", "day2_cnn, day1_cnn")):
        with pytest.raises(CnncliError, match=f"--checkpoint {given}: may be any of 2 .*{names}"):
            find_checkpoint(given)
    with pytest.raises(CnncliError, match=r"no such run folder or file; did you mean day2_resnet"):
        find_checkpoint("day2_restnet")
    (tmp_path / "day1").mkdir()  # a path wins
    with pytest.raises(CnncliError, match=r"day1/best\.safetensors"):
        find_checkpoint("day1")
    (tmp_path / "runs" / "day2_resnet" / "best.safetensors").unlink()
    (tmp_path / "runs" / "day2_resnet" / "config.yaml").touch()
    with pytest.raises(CnncliError, match="day2_resnet/best"):
        find_checkpoint("resnet")


def test_a_run_folder_without_a_checkpoint(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for args in (("predict", "x.png"), ("evaluate", "--data", "digits")):
        result = cli(*args, "--checkpoint", str(tmp_path))
        assert (result.code, result.out) == (2, "")
        assert "no such run folder or file" in result.error
        assert "train one" in cli(*args).error


def test_last_loads_with_weights_only(run_dir):
    state = torch.load(run_dir / "last.pt", weights_only=True)
    assert state["epoch"] == 2
    assert set(state) >= {"epoch", "trainer", "network", "random", "rows"}
    assert set(state["network"]) == {
        f"{layer}.{part}"
        for layer in ("conv1", "conv2", "fc1", "fc2", "fc3")
        for part in ("weight", "bias")
    }
    assert state["trainer"]["step"] > 0
    assert state["trainer"]["step"] % 2 == 0  # two epochs alike


def test_writing_leaves_the_old_file_on_failure(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(error):
        def write(part):
            part.write_text("half of the n")
            raise error

        return write

    with pytest.raises(CnncliError, match="cannot be written: No space left") as caught:
        write_atomically(path, fail(OSError(28, "No space left on device")))
    assert caught.value.exit_code == 1
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]
    # SIGTERM; the death of a loader process, which torch raises anywhere
    for error in (SystemExit(143), RuntimeError("DataLoader worker (pid 1) is killed")):
        with pytest.raises(type(error)):
            write_atomically(path, fail(error))
        assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]
    write_atomically(path, lambda part: part.write_text("new"))
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "new")]


def test_others_may_read_what_the_umask_allows(tmp_path):
    path, _, _ = saved(tmp_path)
    save_state(tmp_path / "last.pt", {"x": torch.zeros(1)})
    (tmp_path / "plain").touch()
    wanted = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == wanted
    assert stat.S_IMODE((tmp_path / "last.pt").stat().st_mode) == wanted


def test_broken_weights_are_an_error_not_nan(cli, tmp_path, folder_data):
    network, checkpoint = make()
    with torch.no_grad():
        network.fc3.bias[0] = float("nan")
    save_checkpoint(tmp_path / "best.safetensors", network, checkpoint)
    image = next(folder_data.glob("*/*.png"))
    for output_format in ("csv", "json"):
        result = cli("predict", image, "--checkpoint", tmp_path, "--format", output_format)
        assert result.code == 1
        assert "not finite" in result.error
    assert np.isnan(network.fc3.bias[0].item())


def test_what_is_raised_inside_torchs_writer_is_what_is_told(tmp_path, monkeypatch):
    """torch hears of a loader process's death by a signal, whose handler raises wherever it is."""
    from cnncli.training import state

    class Dies(state._ErrorKeepingFile):
        def flush(self):
            raise AssertionError

        @property
        def file(self):
            raise RuntimeError("DataLoader worker (pid 1) is killed")

        @file.setter
        def file(self, value): ...

    monkeypatch.setattr(state, "_ErrorKeepingFile", Dies)
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        save_state(tmp_path / "last.pt", {"x": torch.zeros(1)})
    assert not list(tmp_path.iterdir())
