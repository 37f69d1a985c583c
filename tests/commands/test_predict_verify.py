"""predict --verify: the golden samples of a file say whether it answers here as it should."""

import shutil

import pytest
from fresh_process import HEAVY, run
from onnx_files import golden_of, write_onnx


@pytest.fixture(scope="module")
def golden(run_dir, folder_data):
    files = sorted(folder_data.glob("*/*.png"))[::30]
    return tuple(golden_of(run_dir / "best.safetensors", [path.read_bytes()]) for path in files)


@pytest.fixture
def own(run_dir, golden, tmp_path):
    folder = shutil.copytree(run_dir, tmp_path / run_dir.name)
    write_onnx(folder / "best.safetensors", folder / "best.onnx", golden=golden)
    return folder


def test_a_whole_file_is_verified_without_torch(cli, own):
    for given in (own, own / "best.onnx"):
        result = cli("predict", "--verify", "--checkpoint", given)
        assert result.code == 0
        assert result.out.startswith(f"{own / 'best.onnx'}: verified: its 3 golden samples")
    modules, _ = run("predict", "--verify", "--checkpoint", str(own / "best.onnx"))
    assert modules & (HEAVY - {"cv2", "safetensors"}) == set()


def test_other_probabilities_are_told(cli, own):
    """A network whose weights were changed, as by a converter that lost precision."""

    def scale(model):
        import numpy as np
        from onnx import numpy_helper

        for tensor in model.graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.dtype == np.float32 and values.ndim == 2:
                tensor.raw_data = (values * np.float32(1.01)).tobytes()

    from cnncli.engine.onnx_file import open_onnx

    golden = open_onnx(own / "best.onnx").metadata.golden
    write_onnx(own / "best.safetensors", own / "best.onnx", golden=golden, change=scale)
    result = cli("predict", "--verify", "--checkpoint", own)
    assert result.code == 1
    assert result.out.count("\n") == 1
    assert "apart from those that the file holds, and at most 0.0001 is" in result.out


@pytest.mark.parametrize(("precision", "code"), [("float32", 1), ("int8", 0)])
def test_8_bits_are_rounded_in_other_ways_by_other_processors(cli, own, golden, precision, code):
    from dataclasses import replace

    shift = [0.004, -0.004, 0]
    moved = [replace(one, probabilities=one.probabilities + shift) for one in golden]
    write_onnx(own / "best.safetensors", own / "best.onnx", golden=moved, precision=precision)
    result = cli("predict", "--verify", "--checkpoint", own / "best.onnx")
    assert result.code == code


def test_another_array_is_told(cli, own, golden):
    from dataclasses import replace

    odd = replace(golden[1], array=golden[1].array ^ 1)
    write_onnx(own / "best.safetensors", own / "best.onnx", golden=(golden[0], odd, golden[2]))
    result = cli("predict", "--verify", "--checkpoint", own)
    assert result.code == 1
    assert "golden sample 2 of 3: its files become another array here, by up to 1:" in result.out


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["x.png"], "INPUT x.png: has no effect with --verify"),
        (["--tta", "flips"], "--tta: has no effect with --verify"),
        (["--engine", "torch"], "--engine: has no effect with --verify"),
        (["--exact"], "--exact: has no effect with --verify"),
        (["--raw"], "--raw: has no effect with --verify"),
        (["--device", "cpu"], "--device: has no effect with --verify"),
        (["--precision", "bf16"], "--precision: has no effect with --verify"),
        (["--output", "x.csv"], "--output: has no effect with --verify"),
        (["--shard", "1/2"], "--shard: has no effect with --verify"),
        (["--sample-submission", "s.csv"], "--sample-submission: has no effect with --verify"),
        (["--image-col", "path"], "--image-col: has no effect with --verify"),
        (["--interval", "0"], "--interval: has no effect with --verify"),
        (["--abstain-below", "0.5"], "--abstain-below: has no effect with --verify"),
        (["--batch-size", "1"], "--batch-size: has no effect with --verify"),
        (["--format", "json"], "--format: has no effect with --verify"),
        (["--watch", "in"], "--watch: has no effect with --verify"),
    ],
)
def test_what_goes_not_with_it_is_refused(cli, own, flags, why):
    result = cli("predict", "--verify", "--checkpoint", own, *flags)
    assert result.code == 2
    assert why in result.err


def test_what_cannot_be_verified_is_refused(cli, own, run_dir):
    result = cli("predict", "--verify", "--checkpoint", run_dir)
    assert result.code == 2
    assert "has no best.onnx; cnncli export" in result.err
    write_onnx(own / "best.safetensors", own / "best.onnx")
    result = cli("predict", "--verify", "--checkpoint", own)
    assert result.code == 2
    assert "has no golden samples" in result.err
    for name in ("config.yaml", "reference_preprocess.py"):
        (own / name).touch()
        result = cli("predict", "--verify", "--checkpoint", own / name)
        assert result.code == 2
        assert f"--checkpoint {own / name}: --verify checks an exported network" in result.err
        assert "this is no .onnx file" in result.err
