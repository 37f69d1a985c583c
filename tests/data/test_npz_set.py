"""``.npz`` data sets: what they hold is what NumPy reads, and what is wrong is one line."""

import io
import zipfile

import cv2
import numpy as np
import pytest
from helpers import SHARED_DATA, find_below, refuses_to_find

from cnncli.choices import SPLITS
from cnncli.data.samples import NO_SPLIT
from cnncli.images.decode import decode

RNG = np.random.default_rng(0)


def images(count, *shape, dtype="uint8"):
    high = 256 if dtype == "uint8" else 4096
    return RNG.integers(0, high, (count, *shape)).astype(dtype)


def labels(count, kinds=2):
    return np.arange(count) % kinds


def save(tmp_path, **arrays):
    np.savez_compressed(tmp_path / "set.npz", **arrays)
    return tmp_path / "set.npz"


def check_equal(samples, arrays):
    """Compare each sample with NumPy's own arrays: split, label and pixels."""
    assert len(samples) == sum(len(found) for found, _ in arrays.values())
    for index, path in enumerate(samples.paths):
        *above, label, name = path.split("/")
        split = above[0] if above else next(iter(arrays))
        number = int(name.split(".")[0])
        found, texts = arrays[split]
        expected = found[number]
        pixels = decode(*samples.source.read(index))
        expected = expected.astype("float32") if expected.dtype.kind == "f" else expected
        np.testing.assert_array_equal(pixels, expected.reshape(pixels.shape))
        assert pixels.dtype == expected.dtype
        assert label == samples.class_names[samples.targets[index]] == str(np.ravel(texts)[number])
        given = samples.splits[index]
        assert given == (SPLITS.index(split) if len(arrays) > 1 else NO_SPLIT)


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"),
        ("X_train", "Y_train", "X_valid", "Y_valid", "X_test", "Y_test"),
        ("trainX", "trainY", "valX", "valY", "testX", "testY"),
    ],
)
@pytest.mark.parametrize("column", [False, True])
def test_names_and_splits(tmp_path, names, column):
    arrays = [f(n) for n in (8, 4, 6) for f in (lambda n: images(n, 9, 7), labels)]
    arrays = [a[:, None] if column and a.ndim == 1 else a for a in arrays]
    samples = find_below(save(tmp_path, **dict(zip(names, arrays, strict=True))))
    assert samples.class_names == ("0", "1")
    split = dict(zip(SPLITS, zip(arrays[::2], arrays[1::2], strict=True), strict=True))
    check_equal(samples, split)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float32", "float64", "float16"])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 3), (9, 7, 2), (9, 7, 4), (9, 7, 6)])
def test_shapes_and_types(tmp_path, dtype, shape):
    x, y = images(4, *shape, dtype=dtype), labels(4)
    samples = find_below(save(tmp_path, images=x, labels=y))
    check_equal(samples, {"all": (x.astype(x.dtype.newbyteorder("=")), y)})


def test_channels_first(tmp_path):
    x = images(4, 3, 9, 7)
    samples = find_below(save(tmp_path, x_train=x, y_train=labels(4)))
    check_equal(samples, {"train": (np.moveaxis(x, 1, 3), labels(4))})


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (np.array(["cat", "dog", "cat", "ü"]), ("cat", "dog", "ü")),
        (np.array([b"cat", b"dog", b"cat", b"dog"]), ("cat", "dog")),
        (np.array([10, 9, 2, 2], "uint8"), ("2", "9", "10")),
        (np.array([-1, 1, -1, 1]), ("-1", "1")),
        (np.array([0.0, 1.0, 2.0, 1.0], "float32"), ("0", "1", "2")),
        (np.array([True, False, True, False]), ("0", "1")),
    ],
)
def test_labels(tmp_path, given, names):
    samples = find_below(save(tmp_path, x_train=images(4, 5, 5), y_train=given))
    assert samples.class_names == names
    for path, target in zip(samples.paths, samples.targets, strict=True):
        number = int(path.split("/")[1].split(".")[0])
        text = given[number].decode() if given.dtype.kind == "S" else given[number]
        assert names[target] == (str(int(text)) if given.dtype.kind in "fb" else str(text))


X, Y = images(6, 8, 8), labels(6)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"train_images": X, "train_labels": np.eye(3)[Y]}, "6×3 float64, are several for each"),
        ({"train_images": X, "train_labels": Y[:5]}, "6 images of train but 5 labels"),
        ({"train_images": X}, "it holds train_images; a data set needs"),
        ({"arr_0": X, "arr_1": Y}, "it holds arr_0, arr_1; a data set needs train_images"),
        ({"train_images": X, "train_labels": Y, "x_train": X}, "are both the images of train"),
        ({"train_images": images(6, 8, 8, 8), "train_labels": Y}, "no pictures; the shape must be"),
        ({"train_images": X[0], "train_labels": Y}, "no pictures; the shape must be"),
        ({"train_images": X[:0], "train_labels": Y[:0]}, "are empty"),
        ({"train_images": X, "train_labels": Y + 0.5}, "are no classes"),
        ({"train_images": X.astype("complex64"), "train_labels": Y}, "are no numbers"),
        ({"train_images": X, "train_labels": Y.astype(object)}, "holds Python objects"),
        ({"train_images": X.astype(object), "train_labels": Y}, "holds Python objects"),
    ],
)
def test_what_is_no_data_set_is_one_line(tmp_path, arrays, why):
    refuses_to_find(save(tmp_path, **arrays), why)


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    trap = np.empty(6, object)
    trap[:] = [Trap() for _ in range(6)]
    refuses_to_find(save(tmp_path, train_images=X, train_labels=trap), "holds Python objects")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -40])
def test_a_file_cut_short_is_one_line(tmp_path, keep):
    path = save(tmp_path, train_images=X, train_labels=Y)
    path.write_bytes(path.read_bytes()[:keep])
    refuses_to_find(path, "is damaged or cut short")


def test_a_damaged_member_is_one_line(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, train_images=X, train_labels=Y)
    data = bytearray(path.read_bytes())
    data[data.index(X.tobytes()) + 5] ^= 255
    path.write_bytes(data)
    refuses_to_find(path, "is damaged or cut short")


def test_a_header_that_promises_more_than_there_is(tmp_path):
    """The size is known before anything of that size is made."""
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, shape in (("train_images", (10**9, 1000, 1000)), ("train_labels", (10**9,))):
            file = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": shape}
            )
            archive.writestr(f"{name}.npy", file.getvalue())
    refuses_to_find(path, r"train_images promises 1,000,000,000,000,000 bytes and has 0")


def test_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("cnncli.data.store.free_memory", lambda: 300)
    refuses_to_find(save(tmp_path, train_images=X, train_labels=Y), "more than the .* free memory")


def test_other_arrays_are_told(tmp_path):
    path = save(tmp_path, train_images=X, train_labels=Y, test_images=X, note=np.arange(3))
    assert find_below(path).remarks == ("set.npz: not read: note, test_images",)
    refuses_to_find(path, "--label-col y: .* no CSV", label="y")


def test_a_folder_of_one_set_stands_for_it(tmp_path):
    save(tmp_path, train_images=X, train_labels=Y)
    (tmp_path / "README.txt").write_text("x")
    assert len(find_below(tmp_path)) == 6
    (tmp_path / "set.npz").rename(tmp_path / "one.npz")
    save(tmp_path, x_train=X, y_train=Y)
    refuses_to_find(tmp_path, r"several data sets \(one.npz, set.npz\)")


def test_the_same_order_as_its_images_written_as_files(tmp_path):
    arrays = {"train_images": images(9, 5, 5), "train_labels": labels(9, 3)}
    arrays |= {"test_images": images(6, 5, 5), "test_labels": labels(6, 3)}
    found = find_below(save(tmp_path, **arrays))
    for index, path in enumerate(found.paths):
        (tmp_path / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / path).write_bytes(*found.source.read(index))
    files = find_below(tmp_path / "files")
    assert files.paths.tolist() == found.paths.tolist()
    assert files.targets.tolist() == found.targets.tolist()
    assert files.splits.tolist() == found.splits.tolist()


def test_breastmnist():
    path = SHARED_DATA / "breastmnist.npz"
    if not path.is_file():
        pytest.skip(f"no real images in {path}")
    samples = find_below(path)
    with np.load(path) as arrays:
        parts = {s: (arrays[f"{s}_images"], arrays[f"{s}_labels"]) for s in SPLITS}
    check_equal(samples, parts)
    (data,) = samples.source.read(3)
    grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert grey.shape == (28, 28)


@pytest.mark.parametrize("empty", ["", " ", "\u200b"])
def test_an_empty_label_is_an_error(tmp_path, empty):
    path = save(tmp_path, images=images(4, 8, 8), labels=np.array(["a", "b", empty, empty]))
    refuses_to_find(path, "are empty for 2 images .the first is number 2, from 0.; give them a")


def test_labels_that_are_no_text_are_an_error(tmp_path):
    """They were one class: what is no UTF-8 was replaced by one and the same character."""
    path = save(tmp_path, images=images(4, 8, 8), labels=np.array([b"\xe9", b"\xe8"] * 2))
    refuses_to_find(path, r"the labels, 4 .S1, are no text in UTF-8: b'\\xe9'")


def test_labels_in_bytes_are_texts(tmp_path):
    texts = np.array(["é", "ü"] * 2)
    path = save(tmp_path, images=images(4, 8, 8), labels=np.char.encode(texts, "utf-8"))
    assert find_below(path).class_names == ("é", "ü")
