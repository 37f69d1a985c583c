"""What predict computes with: the same answers, and no other file than the run's own in silence."""

import csv
import io
import json
import shutil
import sys

import numpy as np
import onnx
import pytest
from fresh_process import HEAVY, run
from onnx_files import write_onnx

from cnncli.run.decision import Decision, save_decision
from cnncli.training.checkpoint import load_checkpoint, save_checkpoint

# What `predict` with an exported network never imports; OpenCV decodes images.
NEVER = HEAVY - {"cv2", "safetensors"}


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """Let the engine be chosen as on a machine without a GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")


@pytest.fixture(scope="module")
def exported(run_dir, tmp_path_factory):
    """Return a copy of the shared run with ``best.onnx``; read it only."""
    folder = tmp_path_factory.mktemp("exported") / run_dir.name
    shutil.copytree(run_dir, folder)
    write_onnx(folder / "best.safetensors", folder / "best.onnx")
    return folder


@pytest.fixture
def own(exported, tmp_path):
    """Return a copy of that run, to change."""
    return shutil.copytree(exported, tmp_path / exported.name)


@pytest.fixture
def images(folder_data):
    return sorted(folder_data.glob("*/*.png"))[::4]


def decide(folder, **values):
    path = folder / "best.safetensors"
    _, checkpoint = load_checkpoint(path)
    decision = Decision(checkpoint.class_names, **values)
    save_decision(path, checkpoint.digest, decision)
    return json.loads((folder / "decision.json").read_text())


def rows_of(result):
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out)))


def assert_equal(rows, expected):
    """Compare rows: texts are the same, probabilities within 1e-5."""
    assert len(rows) == len(expected) > 0
    for row, other in zip(rows, expected, strict=True):
        numbers = {key for key in row if key.startswith("probability")}
        assert {k: v for k, v in row.items() if k not in numbers} == {
            k: v for k, v in other.items() if k not in numbers
        }
        for key in numbers:
            assert float(row[key]) == pytest.approx(float(other[key]), abs=1e-5)


def test_a_fresh_process_never_imports_torch(exported, images):
    modules, told = run("predict", str(images[0]), "--checkpoint", str(exported))
    assert modules & NEVER == set()
    assert told == f"engine: onnx, with {exported / 'best.onnx'}\n"
    modules, _ = run("predict", str(images[0]), "--checkpoint", str(exported / "best.onnx"))
    assert modules & NEVER == set()


@pytest.mark.parametrize("name", ["", "best.onnx"])
def test_the_answers_are_those_of_torch(cli, exported, images, name):
    flags = ["--probabilities", "--checkpoint"]
    torch_says = cli("predict", *images, *flags, exported, "--exact")
    assert torch_says.err == ""
    onnx_says = cli("predict", *images, *flags, exported / name)
    assert onnx_says.err == f"engine: onnx, with {exported / 'best.onnx'}\n"
    assert_equal(rows_of(onnx_says), rows_of(torch_says))


@pytest.mark.parametrize(
    ("flags", "most", "end"),
    [([], 1e-5, ""), (["--precision", "bf16"], 0.02, ", computed in bf16")],
    ids=["fp32", "bf16"],
)
def test_openvino_answers_as_torch_does(cli, exported, images, flags, most, end):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    ask = ["predict", *images, "--probabilities", "--checkpoint", exported]
    result = cli(*ask, "--engine", "openvino", *flags)
    assert result.err == f"engine: openvino, with {exported / 'best.onnx'}{end}\n"
    expected = rows_of(cli(*ask, "--exact"))
    for row, other in zip(rows_of(result), expected, strict=True):
        assert row["path"] == other["path"]
        for key in ("probability_one", "probability_two", "probability_zero"):
            assert float(row[key]) == pytest.approx(float(other[key]), abs=most)


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_a_decision_counts_once(cli, own, images, temperature):
    """The temperature is part of the exported network; the rest is done with its answers."""
    decision = decide(
        own, temperature=temperature, positive="two", threshold=0.2, abstain_below=0.5
    )
    write_onnx(own / "best.safetensors", own / "best.onnx", decision=decision)
    flags = ["--probabilities", "--checkpoint"]
    expected = rows_of(cli("predict", *images, *flags, own, "--exact"))
    for given in (own, own / "best.onnx"):
        result = cli("predict", *images, *flags, given)
        assert "engine: onnx" in result.err
        assert f"temperature {temperature}" in result.err
        assert_equal(rows_of(result), expected)
    raw = cli("predict", *images, *flags, own, "--raw")
    assert "engine: torch; " in raw.err
    assert "has the temperature" in raw.err
    refused = cli("predict", images[0], "--checkpoint", own / "best.onnx", "--raw")
    assert refused.code == 2
    assert "a temperature is part of this network" in refused.err


def test_a_threshold_alone_can_be_left_out(cli, own, images):
    decision = decide(own, positive="two", threshold=0.01)
    write_onnx(own / "best.safetensors", own / "best.onnx", decision=decision)
    called = rows_of(cli("predict", *images, "--checkpoint", own / "best.onnx"))
    assert {row["label"] for row in called} == {"two"}
    for given in (own, own / "best.onnx"):
        raw = cli("predict", *images, "--checkpoint", given, "--raw")
        assert raw.err == f"engine: onnx, with {own / 'best.onnx'}\n"
        assert_equal(
            rows_of(raw), rows_of(cli("predict", *images, "--checkpoint", own, "--raw", "--exact"))
        )


def other_digest(own):
    write_onnx(own / "best.safetensors", own / "best.onnx", weights_digest="0" * 64)
    return "is of other weights than best.safetensors; cnncli export"


def other_decision(own):
    decide(own, temperature=2.0)
    return "is of another decision than decision.json beside it; cnncli export"


def lost_decision(own):
    decision = decide(own, positive="two", threshold=0.2)
    write_onnx(own / "best.safetensors", own / "best.onnx", decision=decision)
    (own / "decision.json").unlink()
    return "is of another decision"


def damaged(own):
    data = bytearray((own / "best.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (own / "best.onnx").write_bytes(data)
    return "damaged or changed"


def quantised(own):
    write_onnx(own / "best.safetensors", own / "best.onnx", precision="int8")
    return "is int8, whose answers differ"


def dangling(own):
    (own / "best.onnx").unlink()
    (own / "best.onnx").symlink_to("nowhere.onnx")
    return "cannot be read (No such file or directory)"


@pytest.mark.parametrize(
    "spoil", [other_digest, other_decision, lost_decision, damaged, quantised, dangling]
)
def test_a_file_that_is_not_the_runs_own_is_not_used_and_that_is_said(cli, own, images, spoil):
    why = spoil(own)
    result = cli("predict", *images, "--checkpoint", own)
    assert f"engine: torch; {own / 'best.onnx'}" in result.err
    assert why in result.err
    assert rows_of(result) == rows_of(cli("predict", *images, "--checkpoint", own, "--exact"))
    refused = cli("predict", images[0], "--checkpoint", own, "--engine", "onnx")
    assert refused.code == 2
    assert why in refused.err


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--tta", "flips"], "--tta flips is computed by torch"),
        (["--precision", "bf16"], "--precision bf16 is computed by torch"),
        (["--engine", "torch"], ""),
    ],
)
def test_what_only_torch_does_is_done_by_torch(cli, exported, images, flags, why):
    result = cli("predict", images[0], "--checkpoint", exported, *flags)
    assert result.code == 0
    assert ("engine: torch; " + why in result.err) == bool(why)
    refused = cli("predict", images[0], "--checkpoint", exported / "best.onnx", *flags)
    assert refused.code == 2
    assert "runs without torch" in refused.err


def test_a_run_without_the_file_is_computed_by_torch(cli, run_dir, images):
    assert cli("predict", images[0], "--checkpoint", run_dir).err == ""
    refused = cli("predict", images[0], "--checkpoint", run_dir, "--engine", "onnx")
    assert refused.code == 2
    assert f"there is no {run_dir / 'best.onnx'}; cnncli export" in refused.err


@pytest.fixture
def other(own):
    """Return a run whose network is another one."""
    weights = own / "best.safetensors"
    network, checkpoint = load_checkpoint(weights)
    for parameter in network.parameters():
        parameter.data.mul_(1.5)
    save_checkpoint(weights, network, checkpoint)
    write_onnx(weights, own / "best.onnx")
    return own


def test_several_networks_are_averaged(cli, exported, other, images):
    flags = ["--probabilities", "--exact", "--checkpoint"]
    result = cli("predict", *images, *flags[::2], exported, "--checkpoint", other / "best.onnx")
    assert "engine: onnx, with 2 files" in result.err
    first, second = (rows_of(cli("predict", *images, *flags, run)) for run in (exported, other))
    assert first != second
    for row, one, two in zip(rows_of(result), first, second, strict=True):
        for key in (key for key in row if key.startswith("probability_")):
            mean = (float(one[key]) + float(two[key])) / 2
            assert float(row[key]) == pytest.approx(mean, abs=1e-5)


def test_thresholds_of_averaged_files_are_left_out_with_a_note(cli, exported, other, images):
    """As those of runs are: a threshold is chosen for one network alone."""
    decision = decide(other, positive="two", threshold=0.01)
    write_onnx(other / "best.safetensors", other / "best.onnx", decision=decision)
    named = ["predict", images[0], "--checkpoint", other / "best.onnx", "--checkpoint"]
    told = f"1 decision is left out: it was chosen for one network alone ({other / 'best.onnx'})"
    for given in (exported, exported / "best.onnx"):
        assert told in cli(*named, given).err
    assert "left out" not in cli(*named, exported, "--raw").err
    run = cli("predict", images[0], "--checkpoint", exported / "best.onnx", "--checkpoint", other)
    assert "1 decision.json is left out" in run.err


@pytest.mark.parametrize(
    "names", [("", "best.onnx"), ("best.onnx", "best.onnx"), ("best.onnx", "copy/best.onnx")]
)
def test_the_same_network_does_not_count_twice(cli, own, images, names):
    (own / "copy").mkdir()
    shutil.copy(own / "best.onnx", own / "copy")
    given = [text for name in names for text in ("--checkpoint", own / name)]
    result = cli("predict", images[0], *given)
    assert result.code == 2
    assert "given twice, and would count twice" in result.err


@pytest.mark.parametrize("flags", [[], ["--exact"]], ids=["onnx", "torch"])
def test_a_copied_run_does_not_count_twice(cli, exported, own, images, flags):
    result = cli("predict", images[0], "--checkpoint", exported, "--checkpoint", own, *flags)
    assert result.code == 2
    assert f"{own.name}" in result.err
    assert "the same network as" in result.err


@pytest.mark.parametrize("spoil", [other_digest, other_decision, lost_decision])
def test_a_named_file_is_not_used_against_the_run_that_it_lies_in(cli, own, images, spoil):
    why = spoil(own)
    named = own / "best.int8.onnx"
    shutil.copy(own / "best.onnx", named)
    for file in (own / "best.onnx", named):
        result = cli("predict", images[0], "--checkpoint", file)
        assert result.code == 2
        assert why.partition(";")[0] in result.err
        assert "writes it anew" in result.err
    alone = own / "alone"
    alone.mkdir()
    shutil.copy(named, alone)
    assert cli("predict", images[0], "--checkpoint", alone / named.name).code == 0


def test_a_file_of_another_name_may_be_of_other_weights_and_that_is_said(cli, own, images):
    other_digest(own)
    (own / "best.onnx").rename(own / "epoch5.onnx")
    result = cli("predict", images[0], "--checkpoint", own / "epoch5.onnx")
    assert result.code == 0
    assert "epoch5.onnx: is of other weights than best.safetensors beside it" in result.err


def test_without_onnx_runtime_torch_answers(cli, exported, images, monkeypatch):
    expected = cli("predict", *images, "--checkpoint", exported, "--exact")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = cli("predict", *images, "--checkpoint", exported)
    assert rows_of(result) == rows_of(expected)
    (line,) = [line for line in result.err.splitlines() if line.startswith("engine: ")]
    assert line.startswith("engine: torch; ONNX Runtime does not load (")
    for flags in ((exported, "--engine", "onnx"), (exported / "best.onnx",)):
        assert "ONNX Runtime does not load" in cli("predict", images[0], "--checkpoint", *flags).err


def test_a_file_that_onnx_runtime_refuses_is_computed_by_torch(cli, own, images):
    def add(model):
        model.graph.node.append(onnx.helper.make_node("NoSuchOperator", ["image"], ["extra"]))

    decision = decide(own, positive="two", threshold=0.2)
    write_onnx(own / "best.safetensors", own / "best.onnx", change=add, decision=decision)
    result = cli("predict", *images, "--checkpoint", own)
    assert f"engine: torch; {own / 'best.onnx'}: cannot be run: " in result.err
    assert result.err.count("threshold 0.2") == 1
    assert rows_of(result) == rows_of(cli("predict", *images, "--checkpoint", own, "--exact"))


@pytest.mark.parametrize(
    "flags", [["--engine", "onnx"], ["--precision", "bf16"]], ids=lambda flags: flags[0]
)
def test_exact_goes_with_no_other_engine_or_precision(cli, exported, images, flags):
    result = cli("predict", images[0], "--checkpoint", exported, "--exact", *flags)
    assert result.code == 2
    assert "--exact: computes" in result.err


def test_a_network_of_the_registry_has_one_engine(cli, images):
    result = cli("predict", images[0], "--model", "lenet5", "--weights", "x", "--engine", "onnx")
    assert result.code == 2
    assert "--engine onnx: a network of the registry is computed by torch" in result.err


def test_answers_that_are_no_numbers_end_in_one_line(cli, own, images):
    def spoil(model):
        tensor = next(one for one in model.graph.initializer if len(one.dims) == 2)
        values = onnx.numpy_helper.to_array(tensor).copy()
        values[:] = np.nan
        tensor.raw_data = values.tobytes()

    write_onnx(own / "best.safetensors", own / "best.onnx", change=spoil)
    result = cli("predict", images[0], "--checkpoint", own)
    assert result.code == 1
    assert "probabilities are not finite" in result.err
