"""`cnncli convolve` as a user types it: what stands on stdout, on stderr, and the exit code."""

import io
import json
import math
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from helpers import SHARED_DATA, run_process
from PIL import Image

IMAGE = "1 1 1 0 0; 0 1 1 1 0; 0 0 1 1 1; 0 0 1 1 0; 0 1 1 0 0"
KERNEL = "1 0 1; 0 1 0; 1 0 1"


@pytest.fixture
def photo(tmp_path):
    """Return the path of a colour picture of 40x30 pixels, and its pixels (H, W, C)."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), pixels[..., ::-1])
    return path, pixels


def numbers(text):
    return [[float(x) for x in line.split(",")] for line in text.splitlines() if line]


def test_in_a_pipe_the_numbers_stand_alone(cli):
    result = cli("convolve", IMAGE, "--kernel", KERNEL)
    assert (result.code, result.out) == (0, "4,3,4\n2,4,3\n2,3,4\n")
    assert result.err == "kernel: 1 0 1; 0 1 0; 1 0 1\n"


def test_a_table_shows_every_step(cli):
    result = cli("convolve", IMAGE, "--kernel", KERNEL, "--then", "pool2", "--format", "table")
    assert result.out.splitlines() == [
        "input, 5x5",
        " 1 1 1 0 0",
        " 0 1 1 1 0",
        " 0 0 1 1 1",
        " 0 0 1 1 0",
        " 0 1 1 0 0",
        "kernel, 3x3",
        " 1 0 1",
        " 0 1 0",
        " 1 0 1",
        "output, 3x3",
        " 4 3 4",
        " 2 4 3",
        " 2 3 4",
        "pool2, 1x1",
        " 4",
    ]
    assert result.err == ""


def test_a_table_that_does_not_fit_says_its_range(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    row = " ".join(map(str, range(-20, 40)))
    result = cli("convolve", row, "--kernel", "1", "--format", "table")
    assert "output, 1x60\n from -20 to 39, mean 9.5; --output draws it" in result.out
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize("minus", ["-1 2; 3 4", "-.5 2; 3 4", "−1 2; 3 4", "-3"])
def test_the_first_number_may_be_negative(cli, minus):
    result = cli("convolve", minus, "--kernel", "-2", "--bias", "-1")
    assert result.code == 0
    assert numbers(result.out)[0][0] == -2 * float(minus.split()[0].replace("−", "-")) - 1


def test_a_wrong_flag_is_still_an_error(cli):
    result = cli("convolve", "-1 2", "--kernl", "1")
    assert result.code == 2
    assert "--kernel" in result.error
    assert cli("convolve", "-x").code == 2


def test_flip_is_the_convolution_of_mathematics(cli):
    result = cli("convolve", "0 0 0; 0 1 0; 0 0 0", "--kernel", "1 2 3; 4 5 6; 7 8 9",
                 "--padding", "same", "--flip")  # fmt: skip
    # A single 1 is answered with the kernel itself: w * f(x, y) = Σ w(i, j) f(x − i, y − j).
    assert result.out == "1,2,3\n4,5,6\n7,8,9\n"
    assert "turned by 180°" in result.err
    assert "kernel: 9 8 7; 6 5 4; 3 2 1" in result.err


def test_several_kernels_and_a_pipe_into_a_second_layer():
    first = run_process("convolve", IMAGE, "--kernel", "sobel-x", "--kernel", "sobel-y", cwd=".")
    maps = [numbers(part) for part in first.out.split("\n\n")]
    kernel = "1 0; 0 0 | 0 0; 0 1"
    second = run_process("convolve", "-", "--kernel", kernel, cwd=".", stdin=first.out)
    x = torch.tensor([maps], dtype=torch.float64)
    weights = torch.tensor([[[[1, 0], [0, 0]], [[0, 0], [0, 1]]]], dtype=torch.float64)
    expected = torch.nn.functional.conv2d(x, weights)
    assert numbers(second.out) == expected[0, 0].tolist()
    assert "2 channels as the input has, summed up to one map" in second.err


def test_npy_through_a_pipe():
    call = [sys.executable, "-m", "cnncli", "convolve"]
    first = subprocess.run(
        [*call, "1 2.5; 3 4", "--kernel", "1", "--kernel", "2", "--format", "npy"],
        capture_output=True,
        check=True,
    )
    array = np.load(io.BytesIO(first.stdout))
    assert array.dtype == np.float64
    assert array.tolist() == [[[1, 2.5], [3, 4]], [[2, 5], [6, 8]]]
    second = subprocess.run(
        [*call, "-", "--kernel", "1 | 10", "--format", "csv"],
        input=first.stdout,
        capture_output=True,
        check=True,
    )
    assert second.stdout == b"21,52.5\n63,84\n"


def test_json_has_it_all(cli):
    result = cli("convolve", "1 2; 3 4", "--kernel", "1 -1", "--then", "flatten; softmax",
                 "--target", "1", "--backward", "--explain", "--format", "json")  # fmt: skip
    answer = json.loads(result.out)
    assert answer["kernels"] == [{"name": "1 -1", "weights": [[[[1, -1]]]]}]
    assert [layer["layer"] for layer in answer["layers"]] == ["convolution", "flatten", "softmax"]
    assert answer["layers"][0]["output"] == [[[-1], [-1]]]
    assert answer["cross_entropy"] == pytest.approx(math.log(2))
    assert answer["gradients"]["kernels"][0][0][0] == pytest.approx([-1, -1])
    assert answer["explanation"][0] == "output[0,0] = 1·1 + -1·2 = -1"
    assert "cross-entropy of class 1 = −ln(0.5) = 0.693147 nats" in answer["explanation"]
    assert answer["explanation"][-1] == "by input[1,1] = -0.5·-1 = 0.5"


def test_explain_without_a_format_is_prose_in_a_pipe_too(cli):
    result = cli("convolve", IMAGE, "--kernel", KERNEL, "--at", "0,0")
    assert result.out.splitlines()[-1].startswith("output[0,0] = 1·1 + 0·1 + 1·1 + 0·0")
    assert result.out.endswith(" = 4\n")


def test_gradients_as_csv(cli):
    result = cli("convolve", "1 2; 3 4", "--kernel", "1 0; 0 -1", "--backward", "--format", "csv")
    assert result.out == "1,0\n0,-1\n\n1,2\n3,4\n\n1\n"


def test_the_matrix_as_csv_is_the_layer(cli):
    layer = ("--kernel", "sobel-x", "--padding", "same")
    matrix = np.array(numbers(cli("convolve", IMAGE, *layer, "--as-matrix").out))
    assert matrix.shape == (25, 25)
    image = np.array([row.split() for row in IMAGE.split(";")], float)
    expected = numbers(cli("convolve", IMAGE, *layer).out)
    assert (matrix @ image.reshape(-1)).reshape(5, 5).tolist() == expected


def test_the_matrix_as_table_and_json(cli):
    call = ("convolve", "1 2 3; 4 5 6; 7 8 9", "--kernel", "1 0; 0 -1", "--as-matrix", "--format")
    lines = cli(*call, "table").out.splitlines()
    assert lines[1] == "  1  0  .  0 -1  .  .  .  ."
    assert "parameters of the convolution: 4 weights + 1 bias = 5" in lines
    assert "parameters of a dense layer of this shape: 36 weights + 4 bias = 40" in lines
    answer = json.loads(cli(*call, "json").out)
    assert answer["weight_of_entry"][0] == [0, 1, None, 2, 3, None, None, None, None]
    assert (answer["connections"], answer["reuse"]) == (16, [4, 4, 4, 4])


def test_an_image_keeps_its_depth(cli, tmp_path):
    deep = np.arange(0, 65536, 137, dtype=np.uint16)[:400].reshape(20, 20)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    result = cli("convolve", tmp_path / "deep.png", "--kernel", "1")
    assert numbers(result.out) == deep.tolist()


def test_a_colour_image_by_a_kernel_of_each_kind(cli, photo):
    path, pixels = photo
    x = torch.tensor(pixels.transpose(2, 0, 1)[None], dtype=torch.float64)
    result = cli("convolve", path, "--kernel", "1 0 -1", "--kernel", "1 2 | 3 4 | -1 0",
                 "--padding", "same")  # fmt: skip
    maps = np.array([numbers(part) for part in result.out.split("\n\n")])
    each = torch.tensor([[[[1.0, 0, -1]]]], dtype=torch.float64).repeat(3, 1, 1, 1)
    whole = torch.tensor([[[[1.0, 2]], [[3, 4]], [[-1, 0]]]], dtype=torch.float64)
    pad, conv = torch.nn.functional.pad, torch.nn.functional.conv2d
    expected = [*conv(pad(x, (1, 1)), each, groups=3)[0], conv(pad(x, (0, 1)), whole)[0, 0]]
    np.testing.assert_array_equal(maps, torch.stack(expected).numpy())
    assert "applied to each of the input's 3 by itself: 3 maps" in result.err


def test_grey(cli, photo, tmp_path):
    path, pixels = photo
    result = cli("convolve", path, "--grey", "--kernel", "1")
    assert numbers(result.out) == cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).tolist()
    Image.fromarray(np.dstack([pixels[..., 0]] * 3)).save(tmp_path / "grey.png")
    result = cli("convolve", tmp_path / "grey.png", "--kernel", "1")
    assert numbers(result.out) == pixels[..., 0].tolist()
    assert "looks grey and is stored as colour; taken as one grey channel" in result.err


def test_transparency_is_laid_on_white(cli, tmp_path):
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[:, :10] = (10, 20, 30, 255)
    Image.fromarray(pixels).save(tmp_path / "alpha.png")
    parts = cli("convolve", tmp_path / "alpha.png", "--kernel", "1").out.split("\n\n")
    assert [numbers(part)[0][:1] + numbers(part)[0][-1:] for part in parts] == [
        [10, 255],
        [20, 255],
        [30, 255],
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.npy"])
def test_files_of_numbers(cli, tmp_path, name):
    path = tmp_path / name
    if name.endswith("npy"):
        np.save(path, np.array([[1.25, -2], [3, 4]]))
    else:
        path.write_text("1.25,-2\n3,4\n")
    assert cli("convolve", path, "--kernel", "1").out == "1.25,-2\n3,4\n"
    kernel = cli("convolve", "1 1; 1 1", "--kernel", path)
    assert kernel.out == "6.25\n"
    assert name in kernel.err


def test_a_file_of_several_kernels(cli, tmp_path):
    np.save(tmp_path / "k.npy", np.arange(8).reshape(2, 1, 2, 2))
    assert cli("convolve", "1 1; 1 1", "--kernel", tmp_path / "k.npy").out == "6\n\n22\n"


def test_without_a_kernel_the_layers_alone(cli):
    result = cli("convolve", "4 3 1 5; 1 3 4 8; 4 5 4 3; 6 5 9 4", "--then", "avgpool2")
    assert (result.out, result.err) == ("2.75,4.5\n5,5\n", "")


def test_a_picture(cli, tmp_path):
    path = tmp_path / "layers.png"
    result = cli("convolve", IMAGE, "--kernel", KERNEL, "--then", "relu; pool2", "--output", path)
    assert (result.code, result.out) == (0, f"{path}\n")
    assert result.err == "kernel: 1 0 1; 0 1 0; 1 0 1\n"
    with Image.open(path) as picture:
        assert picture.width > 800
    both = cli("convolve", IMAGE, "--kernel", KERNEL, "--output", path, "--format", "csv")
    assert both.out == "4,3,4\n2,4,3\n2,3,4\n"
    assert f"picture: {path}" in both.err


def test_a_picture_of_the_matrix(cli, tmp_path):
    path = tmp_path / "matrix.png"
    result = cli("convolve", IMAGE, "--kernel", "sobel-x", "--as-matrix", "--output", path)
    assert result.out == f"{path}\n"
    assert path.stat().st_size > 1000


def test_a_folder_of_images(cli, photo, tmp_path):
    path, _ = photo
    (tmp_path / "in" / "a").mkdir(parents=True)
    path.rename(tmp_path / "in" / "a" / "photo.png")
    (tmp_path / "in" / "bad.png").write_text("no image")
    out = tmp_path / "out"
    result = cli("convolve", tmp_path / "in", "--kernel", "sobel", "--output", out)
    assert result.code == 1
    assert result.out == f"{out}/a/photo.png.png\n"
    assert "Warning: " in result.err
    assert "bad.png: is not an image" in result.err
    assert result.err.endswith("1 of 2 images were not drawn\n")
    assert (out / "a" / "photo.png.png").is_file()


@pytest.mark.parametrize("output", ["in", "in/edges"])
def test_pictures_do_not_lie_among_the_images(cli, photo, tmp_path, output):
    (tmp_path / "in").mkdir()
    photo[0].rename(tmp_path / "in" / "photo.png")
    result = cli("convolve", tmp_path / "in", "--kernel", "1", "--output", tmp_path / output)
    assert (result.code, result.out) == (2, "")
    assert "lies in the folder of images" in result.err
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["photo.png"]


WRONG = [
    (("1 2; 3 4", "--kernel", "sobell"), "did you mean sobel"),
    (("1 2; 3 4", "--kernel", "1 2; 3"), "all rows must be of one length"),
    (("1 2; 3", "--kernel", "1"), "INPUT: row 1 (from 0) has 1 numbers and row 0 has 2"),
    (("1 2; 3 a", "--kernel", "1"), "'a' is no number"),
    (("1 nan", "--kernel", "1"), "NaN and infinity"),
    (("nan 1", "--kernel", "1"), "NaN and infinity"),
    (("1 2", "--kernel", "1 inf"), "NaN and infinity"),
    (("1e300", "--kernel", "1"), "too large"),
    (("1 2; 3 4", "--kernel", "my/kernel.csv"), "there is no such file"),
    (("1 2; 3 4", "--kernel", "1 " * 500), "1 1 …': width: kernel 500 is larger"),
    (("", "--kernel", "1"), "INPUT: is empty"),
    (("nosuch.png", "--kernel", "1"), "there is no such file, and it is no numbers"),
    (("1 2; 3 4",), "--kernel: missing"),
    (("1 2; 3 4", "--kernel", "sobel-x"), "kernel 3 is larger than the padded input 2"),
    (("1 2; 3 4", "--kernel", "1 | 2"), "has 2 channels and the input has 1"),
    (("1 2; 3 4", "--kernel", ""), "--kernel ''"),
    (("1 2; 3 4", "--kernel", "1", "--stride", "0"), "--stride"),
    (("1 2; 3 4", "--kernel", "1", "--padding", "-1"), "--padding"),
    (("1 2; 3 4", "--kernel", "1", "--padding", "sme"), "or same or valid"),
    (("1 2; 3 4", "--kernel", "1", "--padding", "900000000"), "are more than 100,000,000"),
    (("1 2; 3 4", "--kernel", "1", "--dilation", "0"), "--dilation"),
    (("1 2; 3 4", "--kernel", "1", "--padding-mode", "wrap"), "--padding-mode"),
    (("1 2; 3 4", "--kernel", "1", "--padding", "2", "--padding-mode", "reflect"), "reflection"),
    (("1 2; 3 4", "--kernel", "1", "--bias", "x"), "--bias"),
    (("1 2; 3 4", "--kernel", "1", "--bias", "1 2"), "2 numbers for 1 kernels"),
    (("1 2; 3 4", "--kernel", "1", "--then", "relux"), "did you mean relu"),
    (("1 2; 3 4", "--kernel", "1", "--then", "conv3x3 f2"), "has weights of its own"),
    (("1 2; 3 4", "--kernel", "1", "--at", "2,0"), "lies outside of the output of 2x2"),
    (("1 2; 3 4", "--kernel", "1", "--at", "x"), "write ROW,COL, counted from 0"),
    (("1 2; 3 4", "--kernel", "1", "--target", "0"), "--target: needs a softmax"),
    (("1 2", "--kernel", "1", "--then", "flatten; softmax", "--target", "2"), "from 0 to 1"),
    (("1 2; 3 4", "--kernel", "1", "--explain", "--format", "csv"), "prose has no columns"),
    (("1 2; 3 4", "--kernel", "1", "--backward", "--format", "npy"), "several arrays"),
    (("1 2; 3 4", "--kernel", "1", "--as-matrix", "--then", "relu"), "leave --then out"),
    (("1 2; 3 4", "--then", "relu", "--stride", "2"), "--stride: belongs to a convolution"),
    (("1 2; 3 4", "--then", "relu", "--padding", "1"), "--padding: belongs to a convolution"),
    (("1 2; 3 4", "--then", "relu", "--flip"), "--flip: belongs to a convolution"),
    (("1 2; 3 4", "--as-matrix", "--then", "relu"), "--kernel: missing"),
    (("1 2; 3 4", "--kernel", "1", "--output", "x.gif"), "must end in .png, .jpg or .jpeg"),
    (("1 2; 3 4", "--kernel", "1", "--format", "xml"), "--format"),
    ((".", "--kernel", "1"), "is a folder; --output DIR"),
    ((".", "--kernel", "1", "--output", "x", "--explain"), "gives pictures alone"),
    ((".", "--kernel", "1", "--output", "../x"), "no images in this folder"),
]


@pytest.mark.parametrize(("args", "why"), WRONG, ids=lambda each: " ".join(each)[:50])
def test_mistakes_are_one_line(cli, tmp_path, monkeypatch, args, why):
    monkeypatch.chdir(tmp_path)
    result = cli("convolve", *args)
    assert (result.code, result.out) == (2, "")
    assert [why in line for line in result.err.splitlines() if line.startswith("Error: ")] == [True]
    assert len(result.err.splitlines()) <= 2


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.png", b"no image", "a.png: is not an image"),
        ("a.png", b"", "is empty (0 bytes)"),
        ("a.csv", b"", "holds no number"),
        ("a.csv", b"\xff\xfe\xff", "is neither text nor a NumPy file"),
        ("a.csv", b"name,label\n1,2\n", "'name' is no number"),
        ("a.npz", b"PK", "save the one that counts as .npy"),
        ("a.npy", b"\x93NUMPYxx", "is no NumPy file that can be read"),
    ],
)
def test_bad_files_are_one_line(cli, tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    for args in ((tmp_path / name, "--kernel", "1"), ("1 2", "--kernel", tmp_path / name)):
        if args[0] == "1 2" and name in ("a.png", "a.npz"):
            continue
        result = cli("convolve", *args)
        assert (result.code, result.out) == (2, "")
        assert why in result.error


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.array([[1, np.nan]]), "holds NaN, infinity"),
        (np.array([[1, 1e300]]), "a number above 1e+12"),
        (np.zeros((2, 2, 2, 2)), "2 or 3 axes of numbers are needed"),
        (np.zeros(0), "2 or 3 axes"),
        (np.array([["a"]]), "of numbers are needed"),
        (np.array([[1j]]), "of numbers are needed"),
        (np.zeros((30, 40, 3)), "has its channels last"),
    ],
)
def test_bad_arrays_are_one_line(cli, tmp_path, array, why):
    np.save(tmp_path / "a.npy", array)
    result = cli("convolve", tmp_path / "a.npy", "--kernel", "1")
    assert (result.code, result.out) == (2, "")
    assert why in result.error


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="needs shared/data beside the clone")
def test_a_real_photo_against_opencv(cli):
    path = next((SHARED_DATA / "ants-bees" / "train" / "bees").glob("*.jpg"))
    grey = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2GRAY)
    result = cli("convolve", path, "--grey", "--kernel", "sobel-x", "--padding", "same",
                 "--padding-mode", "reflect")  # fmt: skip
    expected = -cv2.Sobel(grey, cv2.CV_64F, 1, 0)
    assert numbers(result.out) == expected.tolist()


@pytest.mark.parametrize("given", ["1 2; 3 4", "-", "a.npy"])
def test_only_an_image_becomes_grey(cli, tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.ones((5, 4, 4)))
    result = cli("convolve", given, "--kernel", "1", "--grey", stdin="1,2\n3,4\n")
    assert (result.code, result.out) == (2, "")
    assert result.error.endswith("holds numbers; only an image has colours to make grey")
