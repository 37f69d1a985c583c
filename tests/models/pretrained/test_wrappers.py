"""Files of other programs: what is wrapped around a state dict, and what is no state dict."""

import os
import subprocess
import sys
import warnings

import pytest
import torch
from safetensors.torch import save_file

from cnncli.errors import CnncliError
from cnncli.models.build import build_network
from cnncli.models.pretrained.weights import load_weights, look_up_source
from cnncli.models.registry import MODELS

CLASSES = tuple("abcde")
HEAD = ("fc3.weight", "fc3.bias")


def build(seed=0, name="lenet5"):
    torch.manual_seed(seed)
    return build_network(name, num_classes=5, in_channels=3, image_size=(64, 64)).eval()


def load(network, path, name="lenet5"):
    entry = MODELS[name]
    return load_weights(network, look_up_source(str(path), entry), entry, class_names=CLASSES)


def assert_same_backbone(first, second):
    theirs = second.state_dict()
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, theirs[name]) == (name not in HEAD), name


WRAPS = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state},
    "nested": lambda state: {"checkpoint": {"model": {"state_dict": state}}} | {"epoch": 1},
    "own word": lambda state: {
        "net": state,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1.0}]},
    },
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
@pytest.mark.parametrize(
    "prefix",
    [
        *("", "module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "net."),
        *("backbone.", "model.encoder.", "student.module.backbone.", "m.0."),
    ],
)
def test_files_of_other_programs_are_read_however_wrapped(tmp_path, wrap, prefix):
    theirs = build(seed=1)
    state = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}
    torch.save(wrap(state), tmp_path / "w.pth")
    ours = build()
    report = load(ours, tmp_path / "w.pth")
    assert report.dropped == report.missing == HEAD
    assert_same_backbone(ours, theirs)


@pytest.mark.parametrize("extra", ["criterion.weight", "fc2.weight", "metric.total", "x"])
def test_tensors_beside_the_network_are_named_and_left_out(tmp_path, extra):
    theirs = build(seed=1)
    state = {f"model.{name}": tensor for name, tensor in theirs.state_dict().items()}
    # One has the name of a tensor of the network, without the prefix: it is another's.
    state |= {extra: torch.zeros_like(theirs.fc2.weight)}
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.0"}, tmp_path / "w.ckpt")
    ours = build()
    report = load(ours, tmp_path / "w.ckpt")
    assert report.dropped == (*HEAD, extra)
    assert extra in report.line()
    assert_same_backbone(ours, theirs)


def test_prefixes_in_safetensors(tmp_path):
    theirs = build(seed=1)
    state = {f"model.encoder.{name}": tensor for name, tensor in theirs.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    ours = build()
    assert load(ours, tmp_path / "w.safetensors").missing == HEAD
    assert_same_backbone(ours, theirs)


def test_a_backbone_without_a_head(tmp_path):
    theirs = build(seed=1, name="resnet18")
    state = {f"encoder_q.{n}": t for n, t in theirs.state_dict().items() if not n.startswith("fc.")}
    torch.save(state | {"encoder_q.mlp.0.weight": torch.zeros(3)}, tmp_path / "w.pth")
    report = load(build(name="resnet18"), tmp_path / "w.pth", "resnet18")
    assert report.missing == ("fc.weight", "fc.bias")
    assert report.dropped == ("mlp.0.weight",)


@pytest.mark.parametrize(("first", "second"), [("student.", "teacher."), ("model.", "ema.module.")])
def test_two_networks_in_one_file_are_not_chosen_from(tmp_path, first, second):
    state = {
        prefix + name: tensor
        for seed, prefix in enumerate((first, second))
        for name, tensor in build(seed).state_dict().items()
    }
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CnncliError, match=rf"more than once \({first}, {second}\); save the one"):
        load(build(), tmp_path / "w.pth")
    torch.save({"net": build().state_dict(), "ema": build().state_dict()}, tmp_path / "w.pth")
    with pytest.raises(CnncliError, match=r"several state dicts \(net, ema\); save the one"):
        load(build(), tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("key", "average", "prefix"),
    [("model", "model_ema", "module."), ("state_dict", "state_dict_ema", ""), ("model", "ema", "")],
)
def test_a_moving_average_beside_the_network_is_not_passed_over(tmp_path, key, average, prefix):
    state = build().state_dict()
    ema = {prefix + name: tensor for name, tensor in build(seed=1).state_dict().items()}
    both = {key: state, average: ema | {"n_averaged": torch.tensor(3)}, "epoch": 4}
    torch.save(both, tmp_path / "w.pth")
    with pytest.raises(
        CnncliError, match=rf"several state dicts \({key}, {average}\); save the one"
    ):
        load(build(), tmp_path / "w.pth")
    inside = {key: state, average: {"decay": 0.9, "shadow": ema}}
    torch.save(inside, tmp_path / "w.pth")
    with pytest.raises(CnncliError, match=rf"several state dicts \({key}, {average}\)"):
        load(build(), tmp_path / "w.pth")
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3)}}, "step": torch.tensor(3)}
    torch.save({key: state, "optimizer": optimizer}, tmp_path / "w.pth")
    assert load(build(), tmp_path / "w.pth").missing == HEAD


def test_names_of_another_library_are_told(tmp_path):
    torch.save(
        {"stages.0.conv": torch.zeros(3), "stages.1.conv": torch.zeros(3)}, tmp_path / "w.pth"
    )
    with pytest.raises(CnncliError) as caught:
        load(build(), tmp_path / "w.pth")
    assert "none of its tensors has a name of lenet5's: it has stages.0.conv" in str(caught.value)
    assert "lenet5 has conv1.weight" in str(caught.value)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"not weights", "evil", "evil tensors", "module", "script", "old"]
)
@pytest.mark.filterwarnings("error")  # torch's own advice is not printed either
def test_what_holds_more_than_tensors_is_refused_and_not_run(tmp_path, name, content):
    path = tmp_path / name
    evil = Evil(tmp_path / "made")
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "script":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    else:
        held = {
            "evil": evil,
            "evil tensors": {"weight": torch.zeros(3), "x": evil},
            "module": torch.nn.Linear(2, 2),
            "old": {"x": evil},
        }[content]
        torch.save(held, path, _use_new_zipfile_serialization=content != "old")
    with pytest.raises(CnncliError, match=name) as caught:
        load(build(), path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    for word in ("weights_only", "allowlist", "safe_globals", "torch.load"):
        assert word not in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_nothing_but_one_line_is_printed_of_a_pickle(tmp_path, folder_data):
    torch.save({"w": Evil(tmp_path / "made")}, tmp_path / "evil.pth", pickle_protocol=4)
    command = ["finetune", folder_data, "--model", "lenet5", "--weights", tmp_path / "evil.pth"]
    done = subprocess.run(
        [sys.executable, "-m", "cnncli", *map(str, command), "--output", str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    (line,) = [part for part in done.stderr.splitlines() if "evil.pth" in part]
    assert line.startswith("Error: --weights")
    assert "weights_only" not in done.stderr
    assert "Warning" not in done.stderr
    assert not (tmp_path / "made").exists()
