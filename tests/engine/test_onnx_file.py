"""ONNX files that are not ours, damaged or made to do harm: one line each, and nothing is run."""

import os
import random

import numpy as np
import onnx
import pytest
from fresh_process import run
from onnx import TensorProto, helper
from onnx_files import save_with_digest, write_onnx

from cnncli.engine.onnx_file import DIGEST_KEY, compute_digest, open_onnx
from cnncli.engine.onnx_network import OnnxNetwork
from cnncli.errors import CnncliError


@pytest.fixture(scope="module")
def content(exported):
    return (exported / "best.onnx").read_bytes()


@pytest.fixture
def changed(content, tmp_path):
    """Return a function that changes the network, takes its digest anew and opens the file."""

    def change(edit):
        model = onnx.load_from_string(content)
        kept = [entry for entry in model.metadata_props if entry.key != DIGEST_KEY]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        edit(model)
        path = tmp_path / "changed.onnx"
        save_with_digest(model, path)
        return path

    return change


def refusal(path):
    with pytest.raises(CnncliError) as caught:
        OnnxNetwork(open_onnx(path), 1)
    assert caught.value.exit_code == 2
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_every_cut_file_is_refused(content, tmp_path):
    path = tmp_path / "cut.onnx"
    places = [*range(40), *range(40, len(content), len(content) // 100), len(content) - 1]
    for place in places:
        path.write_bytes(content[:place])
        assert refusal(path)


def test_every_flipped_bit_is_noticed(content, tmp_path):
    path = tmp_path / "flipped.onnx"
    draw = random.Random(0)
    for _ in range(150):
        data = bytearray(content)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        assert refusal(path)


def test_a_text_that_is_none_is_told_in_words(content, tmp_path):
    path = tmp_path / "flipped.onnx"
    path.write_bytes(content.replace(b"cnncli.class_names", b"cnncli.class_\xf6ames", 1))
    assert "damaged or cut short (a text in it is damaged)" in refusal(path)


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_are_refused(tmp_path, seed):
    path = tmp_path / "noise.onnx"
    path.write_bytes(np.random.default_rng(seed).bytes(10_000))
    assert "not an ONNX file" in refusal(path)


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "empty.onnx").touch()
    assert "is empty" in refusal(tmp_path / "empty.onnx")
    assert "cannot be read" in refusal(tmp_path / "none.onnx")
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "a pipe" in refusal(tmp_path / "pipe.onnx")
    (tmp_path / "zero.onnx").symlink_to("/dev/zero")
    assert "a device" in refusal(tmp_path / "zero.onnx")


def test_a_network_of_somebody_else_is_told_what_is_missing(tmp_path):
    path = tmp_path / "other.onnx"
    onnx.save(helper.make_model(helper.make_graph([], "g", [], [])), path)
    assert "does not say what cnncli needs" in refusal(path)


@pytest.mark.parametrize("place", ["../secret.bin", "/etc/passwd", "beside.bin"])
def test_weights_in_other_files_are_refused(changed, tmp_path, place):
    (tmp_path / "beside.bin").write_bytes(bytes(2**20))

    def point(model):
        tensor = max(model.graph.initializer, key=lambda one: one.ByteSize())
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)

    assert "in other files" in refusal(changed(point))


def add(kind, inputs=("image",), **options):
    def edit(model):
        model.graph.node.append(helper.make_node(kind, list(inputs), ["extra"], **options))

    return edit


def test_unknown_operators_are_refused(changed):
    assert "operator Run of evil" in refusal(changed(add("Run", domain="evil")))
    assert "cannot be run" in refusal(changed(add("NoSuchOperator")))


def test_loops_are_refused(changed):
    body = helper.make_graph([], "body", [], [])
    assert "branches or loops (Loop)" in refusal(changed(add("Loop", ("", "", "image"), body=body)))


def test_functions_are_refused(changed):
    """Each of 40 calls the next twice: ONNX Runtime would unfold 2^40 nodes, and never ends."""

    def call(name, taken, given):
        return helper.make_node(name, [taken], [given], domain="fn")

    def edit(model):
        sets = [helper.make_opsetid("", 18), helper.make_opsetid("fn", 1)]
        for number in range(40):
            body = [call(f"F{number + 1}", "x", "z"), call(f"F{number + 1}", "z", "y")]
            function = helper.make_function("fn", f"F{number}", ["x"], ["y"], body, sets)
            model.functions.append(function)
        last = [helper.make_node("Identity", ["x"], ["y"])]
        model.functions.append(helper.make_function("fn", "F40", ["x"], ["y"], last, sets))
        model.opset_import.append(helper.make_opsetid("fn", 1))
        model.graph.node.append(call("F0", "image", "extra"))

    path = changed(edit)
    with pytest.raises(CnncliError, match="has functions of its own, which cnncli does not write"):
        open_onnx(path)


@pytest.mark.parametrize("dims", [[10**12], [2**62, 2**62], [1] * 65])
def test_tensors_without_their_values_are_refused(changed, dims):
    def edit(model):
        tensor = TensorProto(data_type=TensorProto.FLOAT, name="big", raw_data=b"1234")
        tensor.dims.extend(dims)
        model.graph.initializer.append(tensor)

    assert refusal(changed(edit))


def test_a_tensor_that_says_more_values_in_an_attribute_is_refused(changed):
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[10**12])
    assert "that are not in it" in refusal(changed(add("Constant", (), value=tensor)))


def grow(model):
    """Let a small file ask for 4 TB."""
    shape = helper.make_tensor("shape_of_much", TensorProto.INT64, [2], [10**6, 10**6])
    model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape_of_much"], ["much"]))
    model.graph.node.append(helper.make_node("ReduceSum", ["much"], ["sum"], keepdims=0))
    (last,) = [node for node in model.graph.node if "probabilities" in node.output]
    last.output[:] = ["before"]
    model.graph.node.append(helper.make_node("Add", ["before", "sum"], ["probabilities"]))


def test_a_network_that_asks_for_terabytes_ends_in_one_line(changed, folder_data):
    path = changed(grow)
    image = str(next(folder_data.glob("*/*.png")))
    _, told = run("predict", image, "--checkpoint", str(path), exit_code=2)
    (line,) = [line for line in told.splitlines() if line.startswith("Error")]
    assert "cannot be run" in line
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("kind", "others", "said"),
    [("Neg", (), r"-0\.\d+"), ("Add", ("fifty",), r"a sum of \d+"), ("Log", (), r"-\d.*")],
)
def test_answers_that_are_no_probabilities_are_refused(changed, kind, others, said):
    def edit(model):
        (last,) = [node for node in model.graph.node if "probabilities" in node.output]
        last.output[:] = ["before"]
        model.graph.initializer.append(helper.make_tensor("fifty", TensorProto.FLOAT, [1], [50]))
        model.graph.node.append(helper.make_node(kind, ["before", *others], ["probabilities"]))

    network = OnnxNetwork(open_onnx(changed(edit)), 1)
    pre = network.preprocess
    images = np.zeros((2, *pre.image_size, pre.channels), pre.dtype)
    with pytest.raises(
        CnncliError, match=rf"answers with what are no probabilities \({said}\)"
    ) as e:
        network.answer(images)
    assert e.value.exit_code == 1


def test_another_input_or_output_is_refused(exported, tmp_path):
    path = tmp_path / "other.onnx"

    def rename(model):
        model.graph.input[0].name = "pixels"
        for node in model.graph.node:
            node.input[:] = ["pixels" if name == "image" else name for name in node.input]

    write_onnx(exported / "best.safetensors", path, change=rename)
    assert "its input is not one 'image'" in refusal(path)
    write_onnx(exported / "best.safetensors", path, class_names=("one", "two"))
    assert "its output is not one 'probabilities' of N×2" in refusal(path)


def test_the_digest_is_of_all_but_itself(content):
    model = onnx.load_from_string(content)
    (own,) = [entry for entry in model.metadata_props if entry.key == DIGEST_KEY]
    assert compute_digest(content) == own.value
    own.value = "0" * 64
    assert compute_digest(model.SerializeToString()) == compute_digest(content)
    model.metadata_props.add(key="more", value="x")
    assert compute_digest(model.SerializeToString()) != compute_digest(content)
