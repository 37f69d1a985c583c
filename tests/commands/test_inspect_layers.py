"""``cnncli inspect-layers`` as it is called."""

import csv
import io
import json

import pytest
import torchvision

from cnncli.files import BEST_FILE
from cnncli.images.preprocess import Preprocess
from cnncli.training.checkpoint import Checkpoint, save_checkpoint

COLUMNS = [
    "name", "type", "kernel", "stride", "padding", "input", "output", "parameters", "trainable",
    "macs", "receptive_field", "jump", "activation_bytes", "calls", "note", "call",
]  # fmt: skip


@pytest.fixture
def inspect(cli):
    def run(*args):
        return cli("inspect-layers", *args)

    return run


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_pipe_gets_csv_with_the_total_last(inspect):
    result = inspect("resnet18", "--depth", 1)
    assert result.code == 0
    rows = read_csv(result.out)
    assert list(rows[0]) == COLUMNS
    assert [rows[0][c] for c in COLUMNS] == [
        "conv1", "Conv2d", "7", "2", "3", "3x224x224", "64x112x112", "9408", "9408", "118013952",
        "7", "2", "3211264", "1", "", "",
    ]  # fmt: skip
    assert rows[-1]["name"] == "total"
    for column in ("parameters", "trainable", "macs", "activation_bytes"):
        assert sum(int(row[column]) for row in rows[:-1]) == int(rows[-1][column])
    assert rows[-1]["parameters"] == "11689512"
    assert "--image-size 224 --in-channels 3 --num-classes 1000" in result.err


def test_json_has_numbers_lists_and_words(inspect):
    result = inspect("lenet5", "--format", "json")
    found = json.loads(result.out)
    assert (found["model"], found["image_size"], found["in_channels"]) == ("lenet5", [32, 32], 1)
    first, last = found["layers"][0], found["layers"][-1]
    assert (first["kernel"], first["input"], first["receptive_field"]) == (5, [1, 32, 32], 5)
    assert (last["kernel"], last["receptive_field"], last["jump"]) == (None, "whole image", None)
    assert found["totals"] == {
        "parameters": 61706, "trainable": 61706, "non_trainable": 0, "macs": 416520,
        "activation_bytes": sum(layer["activation_bytes"] for layer in found["layers"]),
        "parameter_bytes": 4 * 61706,
    }  # fmt: skip
    assert found["shown"] == found["totals"]


def test_uneven_sizes_and_unknown_fields(inspect):
    found = json.loads(inspect("inception_v3", "--format", "json", "--names", "Mixed_6b.*").out)
    by_name = {layer["name"]: layer for layer in found["layers"]}
    layer = by_name["Mixed_6b.branch7x7_2.conv"]
    assert (layer["kernel"], layer["padding"]) == ([1, 7], [0, 3])
    assert layer["receptive_field"] == [159, 255]
    rows = read_csv(inspect("inception_v3", "--names", "Mixed_6b.branch7x7_2.conv").out)
    assert (rows[0]["kernel"], rows[0]["receptive_field"]) == ("1x7", "159x255")
    rows = read_csv(inspect("vit_b_16", "--depth", 1).out)
    seen = {row["name"]: (row["receptive_field"], row["note"]) for row in rows}
    assert seen["conv_proj"] == ("16", "")
    assert seen["heads"] == ("unknown", "attention")
    assert seen["(network)"] == ("unknown", "attention")


def test_a_table_shows_the_totals_below(inspect):
    result = inspect("lenet5", "--format", "table")
    lines = [line.split() for line in result.out.splitlines() if line.strip()]
    assert lines[0] == [*COLUMNS[:2], "call", *COLUMNS[2:12]]
    assert [line[2:5] for line in lines if line[:2] == ["activation", "Tanh"]] == [
        [str(n), "of", "4"] for n in (1, 2, 3, 4)
    ]
    assert ["parameters", "61,706"] in lines
    assert ["non-trainable", "0"] in lines
    assert ["parameter", "memory", "(float32)", "241.0", "KiB"] in lines


def test_names_filter_and_both_sums_are_told(inspect):
    rows = read_csv(inspect("resnet18", "--names", "layer4*conv?", "--names", "fc").out)
    assert [row["name"] for row in rows] == [
        "layer4.0.conv1", "layer4.0.conv2", "layer4.1.conv1", "layer4.1.conv2", "fc",
        "shown", "total",
    ]  # fmt: skip
    assert int(rows[-2]["parameters"]) == sum(int(row["parameters"]) for row in rows[:-2])
    assert rows[-1]["parameters"] == "11689512"


def test_trainable_only_leaves_layers_without_weights_out(inspect):
    rows = read_csv(inspect("resnet18", "--trainable-only", "--depth", 1).out)
    names = [row["name"] for row in rows]
    assert names == [
        "conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc", "shown", "total"
    ]  # fmt: skip


def test_size_channels_and_classes_can_be_chosen(inspect):
    result = inspect(
        "resnet18", "--image-size", "64x96", "--in-channels", 1, "--num-classes", 5, "--depth", 1
    )
    rows = {row["name"]: row for row in read_csv(result.out)}
    assert rows["conv1"]["input"] == "1x64x96"
    assert rows["conv1"]["parameters"] == str(49 * 64)
    assert rows["fc"]["output"] == "5"
    assert rows["layer4"]["output"] == "512x2x3"
    assert result.err == ""


@pytest.fixture
def made_run(tmp_path):
    """Return a run folder with a LeNet-5 for three classes that never trained."""
    from cnncli.images.preprocess import Preprocess
    from cnncli.training.checkpoint import Checkpoint, save_checkpoint

    preprocess = Preprocess(height=32, width=36, channels=1, mean=(0.5,), std=(0.5,))
    checkpoint = Checkpoint("lenet5", ("a", "b", "c"), preprocess)
    save_checkpoint(tmp_path / BEST_FILE, checkpoint.build(), checkpoint)
    return tmp_path


def test_a_run_is_shown_as_it_was_trained(inspect, made_run):
    for target in (made_run, made_run / "best.safetensors"):
        result = inspect(target, "--format", "json")
        found = json.loads(result.out)
        assert (found["model"], found["num_classes"]) == ("lenet5", 3)
        assert found["image_size"] == [32, 36]
        assert found["layers"][-1]["output"] == [3]
        assert result.err == ""
    assert inspect(made_run, "--num-classes", 3).code == 0
    wrong = inspect(made_run, "--num-classes", 4)
    assert (wrong.code, wrong.error) == (2, "--num-classes 4: the run has 3; leave it out")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("resnet19",), "resnet19: no such model; did you mean resnet"),
        (("runs/nowhere",), "runs/nowhere"),
        (("resnet18", "--depth", 0), "--depth 0: must be at least 1"),
        (("resnet18", "--in-channels", 0), "--in-channels 0: must be at least 1"),
        (("resnet18", "--num-classes", 0), "--num-classes 0: must be at least 1"),
        (("resnet18", "--names", "layr4"), "--names layr4: no layer is named so"),
        (("resnet18", "--names", "relu", "--trainable-only"), "--trainable-only: none of these"),
        (("resnet18", "--image-size", "big"), "--image-size: 'big' is not a size"),
        (("inception_v3", "--image-size", 40), "--image-size 40"),
    ],
)
def test_mistakes_are_one_line(inspect, args, message):
    result = inspect(*args)
    assert result.code == 2
    last = result.err.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert result.out == ""


def test_a_dense_layer_fixes_the_size_of_a_run(inspect, made_run):
    result = inspect(made_run, "--image-size", 48)
    assert result.code == 2
    assert result.error.startswith("--image-size 48: lenet5 stops: ")


def test_a_freeze_policy_reaches_the_table(inspect):
    totals = json.loads(inspect("resnet18", "--freeze", "backbone", "--format", "json").out)[
        "totals"
    ]
    assert (totals["trainable"], totals["non_trainable"]) == (513_000, 11_176_512)
    assert "did you mean backbone" in inspect("resnet18", "--freeze", "bakbone").err


def test_a_run_shows_its_own_policy(inspect, tmp_path):
    preprocess = Preprocess(32, 32, 1, mean=(0.3,), std=(0.2,))
    checkpoint = Checkpoint("lenet5", ("a", "b"), preprocess, freeze="stages:1")
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, checkpoint.build(), checkpoint)
    rows = {row["name"]: row for row in read_csv(inspect(path).out)}
    assert rows["conv2"]["trainable"] == "0"
    assert rows["fc1"]["trainable"] == rows["fc1"]["parameters"]
    assert int(rows["total"]["trainable"]) == sum(
        int(rows[name]["parameters"]) for name in ("fc1", "fc2", "fc3")
    )


def test_a_large_network_takes_no_memory(inspect):
    # 633 million parameters: 2.5 GB of weights, were they drawn.
    rows = read_csv(inspect("vit_h_14", "--depth", 1).out)
    assert int(rows[-1]["parameters"]) > 600_000_000


def test_each_parameter_with_its_shape(inspect):
    network = torchvision.models.resnet18()
    rows = read_csv(inspect("resnet18", "--parameters", "--format", "csv").out)
    assert [(row["name"], row["shape"], int(row["parameters"])) for row in rows[:-1]] == [
        (name, "x".join(map(str, p.shape)), p.numel()) for name, p in network.named_parameters()
    ]
    assert (rows[-1]["name"], int(rows[-1]["parameters"])) == ("total", 11_689_512)


def test_parameters_of_some_layers_and_what_is_trained(inspect):
    result = inspect("cnn", "--parameters", "--names", "conv1", "--names", "*.bias")
    names = [row["name"] for row in read_csv(result.out)]
    assert names == ["conv1.weight", "conv1.bias", "conv2.bias", "fc1.bias", "fc2.bias",
                     "fc3.bias", "total"]  # fmt: skip
    answer = json.loads(
        inspect("resnet18", "--parameters", "--freeze", "backbone", "--trainable-only",
                "--format", "json").out
    )  # fmt: skip
    assert [row["shape"] for row in answer["parameters"]] == [[1000, 512], [1000]]
    assert "leave one out" in inspect("cnn", "--parameters", "--depth", 1).error


def test_the_course_network_sees_26_of_28_in_both_commands(cli):
    layers = "conv3x3 f10 relu; pool2; conv3x3 f20 relu; pool2; flatten; dense 10"
    size = ("--in-channels", 1, "--format")
    chain = cli("conv-size", 28, "--chain", layers, *size, "table")
    network = cli("inspect-layers", f"cnn: {layers}", "--image-size", 28, *size, "table")
    for result in (chain, network):
        assert "  26 of 28" in result.out
        assert "sees rows 1-26 of 28 and columns 1-26 of 28" in result.err
    parts = json.loads(cli("conv-size", 28, "--chain", layers, *size, "json").out)["layers"]
    assert [part["receptive_field"] for part in parts] == [3, 4, 8, 10, 10, 26]
    built = json.loads(
        cli("inspect-layers", f"cnn: {layers}", "--image-size", 28, *size, "json").out
    )["layers"]
    assert [part["receptive_field"] for part in built] == [3, 3, 4, 8, 8, 10, 10, 26]
    assert built[-1]["note"] == "sees rows 1-26 of 28 and columns 1-26 of 28"


def test_stages_that_are_the_whole_backbone_are_told(inspect):
    told = "--freeze stages:4: all stages, the same as --freeze backbone"
    assert told in inspect("resnet18", "--depth", 1, "--freeze", "stages:4").err
    assert "the same as" not in inspect("resnet18", "--depth", 1, "--freeze", "stages:3").err
