"""Folders in MNIST's form: their images are what NumPy reads, and what is wrong is one line."""

import gzip
import struct

import numpy as np
import pytest
from helpers import SHARED_DATA, find_below, refuses_to_find

from cnncli.data.samples import NO_SPLIT
from cnncli.data.splits import TEST, TRAIN
from cnncli.images.decode import decode

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 6, 5), dtype=np.uint8)
LABELS = (np.arange(12) % 3).astype(np.uint8)


def idx(array):
    """Return an array as the bytes of MNIST's form."""
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def write(root, images="train-images-idx3-ubyte", labels="train-labels-idx1-ubyte", **arrays):
    root.mkdir(exist_ok=True, parents=True)
    for name, data in (
        (images, idx(arrays.get("pixels", IMAGES))),
        (labels, idx(arrays.get("classes", LABELS))),
    ):
        place = root / name
        place.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return root


def check_equal(samples, images, labels, split):
    chosen = np.flatnonzero(samples.splits == split)
    assert len(chosen) == len(images)
    for index in chosen:
        number = int(samples.paths[index].rpartition("/")[2].split(".")[0])
        pixels = decode(*samples.source.read(index))
        np.testing.assert_array_equal(pixels[..., 0], images[number])
        assert samples.class_names[samples.targets[index]] == str(labels[number])


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("train-images-idx1-ubyte", "train-labels-idx1-ubyte.gz"),
        ("emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte"),
    ],
)
def test_names(tmp_path, images, labels):
    samples = find_below(write(tmp_path / "d", images, labels))
    check_equal(samples, IMAGES, LABELS, NO_SPLIT)


@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw", "archive"])
def test_train_and_t10k(tmp_path, place):
    root = tmp_path / "d"
    write(root / place)
    names = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
    write(root / place, *names, pixels=IMAGES[::-1], classes=LABELS[::-1])
    samples = find_below(root)
    check_equal(samples, IMAGES, LABELS, TRAIN)
    check_equal(samples, IMAGES[::-1], LABELS[::-1], TEST)


@pytest.mark.parametrize(("name", "told"), [("emnist-letters-", True), ("", False)])
def test_that_emnist_lies_on_its_side_is_told(tmp_path, name, told):
    files = (f"{name}train-images-idx3-ubyte", f"{name}train-labels-idx1-ubyte")
    remarks = find_below(write(tmp_path / "d", *files)).remarks
    assert any("on their side" in text for text in remarks) == told


def test_packed_and_plain_side_by_side_are_read_once(tmp_path):
    root = write(tmp_path / "d")
    write(root, "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
    assert len(find_below(root)) == 12


def test_each_file_in_a_folder_of_its_name(tmp_path):
    for name, array in (("train-images-idx3-ubyte", IMAGES), ("train-labels-idx1-ubyte", LABELS)):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / name).write_bytes(idx(array))
    check_equal(find_below(tmp_path / "d"), IMAGES, LABELS, NO_SPLIT)


def test_colour(tmp_path):
    colour = RNG.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
    samples = find_below(write(tmp_path / "d", pixels=colour))
    number = int(samples.paths[0].rpartition("/")[2].split(".")[0])
    np.testing.assert_array_equal(decode(*samples.source.read(0)), colour[number])


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("role", ["images-idx3", "labels-idx1"])
@pytest.mark.parametrize("keep", [0, 2, 10, -1])
def test_cut_short(tmp_path, role, gz, keep):
    root = write(tmp_path / "d")
    path = root / f"train-{role}-ubyte"
    data = gzip.compress(path.read_bytes()) if gz else path.read_bytes()
    path.write_bytes(data[:keep])
    refuses_to_find(root, rf"{path.name}: (is damaged or cut short|begins with 0x)")


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("train-images-idx3-ubyte", idx(LABELS), "begins with 0x0801, not with 0x0803 or 0x0804"),
        ("train-labels-idx1-ubyte", idx(IMAGES), "begins with 0x0803, not with 0x0801"),
        ("train-images-idx3-ubyte", b"\x89PNG\r\n\x1a\n" * 9, "begins with 0x89504e47, not with"),
        ("train-images-idx3-ubyte", idx(IMAGES) + b"x", "and there are more"),
        ("train-labels-idx1-ubyte", idx(LABELS[:7]), "12 images of train but 7 labels"),
        ("train-images-idx3-ubyte", struct.pack(">4I", 0x803, 2**31, 2**15, 2**15), "free memory"),
        ("train-images-idx3-ubyte", struct.pack(">4I", 0x803, 9, 9, 9), "promises 729 bytes"),
        ("train-images-idx3-ubyte", struct.pack(">4I", 0x803, 0, 9, 9), "are empty"),
    ],
)
@pytest.mark.parametrize("gz", [False, True])
def test_what_is_wrong_is_one_line(tmp_path, name, data, why, gz):
    root = write(tmp_path / "d")
    (root / name).write_bytes(gzip.compress(data) if gz else data)
    refuses_to_find(root, why)


def test_a_packed_file_is_read_only_as_far_as_its_header_promises(tmp_path):
    root = write(tmp_path / "d")
    (root / "train-images-idx3-ubyte").write_bytes(gzip.compress(idx(IMAGES) + bytes(50_000_000)))
    refuses_to_find(root, "and there are more")


def test_files_that_do_not_go_together(tmp_path):
    root = write(tmp_path / "d")
    (root / "train-labels-idx1-ubyte").unlink()
    refuses_to_find(root, "train-images-idx3-ubyte has no file of labels beside it")
    other = write(tmp_path / "e")
    write(other, "emnist-train-images-idx3-ubyte", "emnist-train-labels-idx1-ubyte")
    refuses_to_find(other, "several data sets")


def test_mnist():
    root = SHARED_DATA / "mnist-t10k"
    if not root.is_dir():
        pytest.skip(f"no real images in {root}")
    samples = find_below(root)
    with gzip.open(root / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(root / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    assert samples.class_names == tuple("0123456789")
    check_equal(samples, images, labels, NO_SPLIT)
