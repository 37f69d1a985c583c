"""torchvision's data sets, from files in their own formats; never from the network."""

import bz2
import hashlib
import json
import pickle
import struct

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits
from torchvision import datasets

from cnncli.data import torchvision_sets
from cnncli.data.find_samples import find_samples
from cnncli.data.splits import TEST, TRAIN, VAL
from cnncli.data.torchvision_table import SETS
from cnncli.errors import CnncliError

DIGITS = load_digits()
GREY = np.rint(DIGITS.images * 255 / 16).astype(np.uint8)
RNG = np.random.default_rng(0)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_DATA", str(tmp_path))
    monkeypatch.setattr(torchvision_sets, "why_unreachable", lambda url: "no network in tests")
    return tmp_path


def pixels(samples, index):
    (data,) = samples.source.read(index)
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def write_idx(folder, prefix, images, labels):
    """Write MNIST's format. Source: https://yann.lecun.org/exdb/mnist, "the IDX file format"."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, magic, array in (("images-idx3", 2051, images), ("labels-idx1", 2049, labels)):
        header = struct.pack(f">I{array.ndim}I", magic, *array.shape)
        (folder / f"{prefix}-{name}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_mnist_and_its_kin(root, name):
    write_idx(root / name / "raw", "train", GREY[:50], DIGITS.target[:50])
    write_idx(root / name / "raw", "t10k", GREY[50:80], DIGITS.target[50:80])
    samples = find_samples(f"torchvision:{name.lower()}")
    assert samples.class_names == tuple(getattr(datasets, name).classes)
    assert samples.targets.tolist() == DIGITS.target[:80].tolist()
    assert samples.splits.tolist() == [TRAIN] * 50 + [TEST] * 30
    assert samples.paths[[0, 50]].tolist() == ["train/000000.png", "test/000000.png"]
    for index in (0, 49, 50, 79):
        np.testing.assert_array_equal(pixels(samples, index), GREY[index])
        assert samples.source.size(index) == len(samples.source.read(index)[0])


def test_emnist_is_upright_and_without_the_class_that_has_no_image(root):
    images = RNG.integers(0, 256, (4, 6, 6))
    for part in ("train", "test"):
        write_idx(
            root / "EMNIST" / "raw", f"emnist-letters-{part}", images, np.array([1, 2, 1, 26])
        )
    samples = find_samples("torchvision:EMNIST-letters")
    assert samples.class_names == ("a", "b", "z")
    assert samples.targets.tolist() == [0, 1, 0, 2] * 2
    np.testing.assert_array_equal(pixels(samples, 1), images[1].T)


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_cifar10_is_colour(root, monkeypatch):
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    images = RNG.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    names = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]
    for number, name in enumerate(names):
        flat = images[number].transpose(2, 0, 1).reshape(1, -1)
        (folder / name).write_bytes(pickle.dumps({"data": flat, "labels": [number]}))
    labels = ["airplane", "automobile", "bird", "cat", "deer", "dog"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": labels}))
    sums = [[name, md5(folder / name)] for name in names]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", sums[5:])
    meta = {**datasets.CIFAR10.meta, "md5": md5(folder / "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    samples = find_samples("torchvision:CIFAR10")
    assert samples.class_names == tuple(labels)
    assert samples.splits.tolist() == [TRAIN] * 5 + [TEST]
    for index in range(6):
        np.testing.assert_array_equal(pixels(samples, index)[..., ::-1], images[index])
    (folder / "data_batch_1").write_bytes(b"half of it")
    with pytest.raises(
        CnncliError, match=r"cifar-10-batches-py cannot be read \(Dataset not found"
    ):
        find_samples("torchvision:CIFAR10")


def test_usps_whose_class_has_no_names(root):
    for name, rows in (("usps.bz2", "10 1:-1 2:1\n1 1:0 2:0\n"), ("usps.t.bz2", "5 1:1 2:-1\n")):
        padded = "".join(
            line + "".join(f" {n}:-1" for n in range(3, 257)) + "\n" for line in rows.splitlines()
        )
        (root / name).write_bytes(bz2.compress(padded.encode()))
    samples = find_samples("torchvision:usps")
    assert [samples.class_names[target] for target in samples.targets] == ["9", "0", "4"]
    assert pixels(samples, 0)[0, :3].tolist() == [0, 255, 0]


def test_svhn_keeps_its_channels_last_on_the_disk(root, monkeypatch):
    from scipy.io import savemat

    images = RNG.integers(0, 256, (32, 32, 3, 2), dtype=np.uint8)
    parts = {}
    for part in ("train", "test"):
        path = root / f"{part}_32x32.mat"
        savemat(path, {"X": images, "y": np.array([[10], [3]])})
        parts[part] = ["", path.name, md5(path)]
    monkeypatch.setattr(datasets.SVHN, "split_list", {**datasets.SVHN.split_list, **parts})
    samples = find_samples("torchvision:SVHN")
    assert [samples.class_names[target] for target in samples.targets] == ["0", "3"] * 2
    np.testing.assert_array_equal(pixels(samples, 1)[..., ::-1], images[..., 1])


def write_image(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((6, 6, 3), value, np.uint8))
    return path.read_bytes()


def test_food101_gives_the_files_as_they_are(root):
    base = root / "food-101"
    first = write_image(base / "images" / "ramen" / "7.jpg", 7)
    write_image(base / "images" / "pho" / "8.jpg", 8)
    (base / "meta").mkdir()
    (base / "meta" / "train.json").write_text(json.dumps({"ramen": ["ramen/7"], "pho": ["pho/8"]}))
    (base / "meta" / "test.json").write_text(json.dumps({"ramen": [], "pho": ["pho/8"]}))
    samples = find_samples("torchvision:food101")
    assert samples.class_names == ("pho", "ramen")
    assert samples.paths[0] == "food-101/images/ramen/7.jpg"
    assert samples.source.read(0) == (first,)
    assert samples.source.size(0) == len(first)
    assert samples.splits.tolist() == [TRAIN, TRAIN, TEST]


def test_dtd_keeps_its_val(root):
    base = root / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    for number, part in enumerate(("train", "val", "test")):
        (base / "labels" / f"{part}1.txt").write_text(f"dotted/{number}.jpg\nlined/{number}.jpg\n")
        for name in ("dotted", "lined"):
            write_image(base / "images" / name / f"{number}.jpg", number)
    samples = find_samples("torchvision:DTD")
    assert samples.class_names == ("dotted", "lined")
    assert samples.splits.tolist() == [TRAIN, TRAIN, VAL, VAL, TEST, TEST]


def test_gtsrb_and_eurosat_list_pairs(root):
    for name in ("00000", "00002"):
        write_image(root / "gtsrb" / "GTSRB" / "Training" / name / "1.ppm", 1)
    write_image(root / "gtsrb" / "GTSRB" / "Final_Test" / "Images" / "9.ppm", 9)
    (root / "gtsrb" / "GT-final_test.csv").write_text("Filename;ClassId\n9.ppm;1\n")
    samples = find_samples("torchvision:GTSRB")
    assert samples.paths.tolist()[2] == "gtsrb/GTSRB/Final_Test/Images/9.ppm"
    assert [samples.class_names[t] for t in samples.targets] == ["0", "1", "1"]
    for name in ("Forest", "River"):
        write_image(root / "eurosat" / "2750" / name / "1.jpg", 1)
    samples = find_samples("torchvision:eurosat")
    assert samples.class_names == ("Forest", "River")
    assert (samples.splits == -1).all()  # it has no splits: they are drawn


def test_caltech101_counts_its_files(root):
    base = root / "caltech101" / "101_ObjectCategories"
    for name in ("BACKGROUND_Google", "ant", "bass"):
        first = write_image(base / name / "image_0001.jpg", 1)
    samples = find_samples("torchvision:Caltech101")
    assert samples.class_names == ("ant", "bass")
    assert samples.source.read(1) == (first,)


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_torchvisions_and_told_where_it_is_expected(root, name):
    assert hasattr(datasets, SETS[name].kind)
    with pytest.raises(CnncliError) as caught:
        find_samples(f"torchvision:{name}")
    said = str(caught.value)
    assert "\n" not in said
    assert "not to be had (no network in tests)" in said
    assert str(root / SETS[name].lies_in) in said
    assert list(root.iterdir()) == []


def test_an_unknown_set_is_told(root):
    with pytest.raises(
        CnncliError, match="no labelled data set of torchvision; did you mean CIFAR"
    ):
        find_samples("torchvision:cifar")
    with pytest.raises(CnncliError, match="it knows MNIST, FashionMNIST"):
        find_samples("torchvision:")


def test_a_download_stands_in_its_place_only_when_it_is_whole(root, monkeypatch):
    def download(self):
        if not self._check_exists():
            write_idx(self_folder(self), "train", GREY[:20], DIGITS.target[:20])
            print("Downloading …")
            if broken:
                raise RuntimeError("Error downloading t10k:\nTried here, got: 404")
            write_idx(self_folder(self), "t10k", GREY[20:30], DIGITS.target[20:30])

    def self_folder(dataset):
        from pathlib import Path

        return Path(dataset.raw_folder)

    monkeypatch.setattr(torchvision_sets, "why_unreachable", lambda url: None)
    monkeypatch.setattr(datasets.MNIST, "download", download)
    broken = True
    with pytest.raises(CnncliError, match=r"not to be had \(Error downloading t10k:\)"):
        find_samples("torchvision:MNIST")
    assert list(root.iterdir()) == []
    broken = False
    assert len(find_samples("torchvision:MNIST")) == 30
    assert [path.name for path in root.iterdir()] == ["MNIST"]


def test_nothing_but_the_answer_is_printed(root, capsys, monkeypatch):
    monkeypatch.setattr(torchvision_sets, "why_unreachable", lambda url: None)

    def download(self):
        print("Downloading http://…")
        raise RuntimeError("gone")

    monkeypatch.setattr(datasets.MNIST, "download", download)
    with pytest.raises(CnncliError, match="gone"):
        find_samples("torchvision:MNIST")
    assert capsys.readouterr().out == ""


def test_the_cache_lies_beside_torchs(monkeypatch, tmp_path):
    monkeypatch.delenv("CNNCLI_DATA", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert torchvision_sets.data_root() == tmp_path / "torch" / "datasets"
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert torchvision_sets.data_root() == tmp_path / "torch" / "datasets"
