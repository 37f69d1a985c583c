"""Where samples come from: class folders, split folders, digits."""

import os

import cv2
import numpy as np
import pytest
from helpers import SHARED_DATA, TINY_PNG, find_below, labels_by_path, refuses_to_find

from cnncli.data.samples import NO_SPLIT
from cnncli.data.splits import TEST, TRAIN, VAL

# (a) class folders


def test_class_folders(write):
    root = write("b/2.png", "a/1.png", "a/deep/er/3.png", "c d/ü 4.JPG", "日本/5.png")
    samples = find_below(root)
    assert labels_by_path(samples) == {
        "a/1.png": "a",
        "a/deep/er/3.png": "a",
        "b/2.png": "b",
        "c d/ü 4.JPG": "c d",
        "日本/5.png": "日本",
    }
    assert samples.class_names == ("a", "b", "c d", "日本")
    assert (samples.splits == NO_SPLIT).all()
    assert (samples.groups, samples.skipped, samples.notes) == (None, 0, ())
    for index in range(5):
        assert samples.source.read(index) == (TINY_PNG,)
        assert samples.source.size(index) == len(TINY_PNG)


def test_hidden_things_are_skipped_and_others_counted(write):
    root = write("a/1.png", "b/1.png", "b/.2.png", ".git/3.png", "a/.cache/4.png")
    write("a/notes.txt", "README.md", "b/BMI.data", data=b"BMI,age\n20,3 and some more text\n")
    samples = find_below(root)
    assert list(labels_by_path(samples)) == ["a/1.png", "b/1.png"]
    assert samples.skipped == 3


def test_images_are_known_by_content_or_by_their_ending(write):
    root = write("a/no-ending", "a/1.dat", "b/1.PNG")
    write("b/text.jpg", data=b"this is meant to be an image and will be told")
    assert list(labels_by_path(find_below(root))) == [
        "a/1.dat",
        "a/no-ending",
        "b/1.PNG",
        "b/text.jpg",
    ]


def test_links_are_followed_and_loops_and_broken_ones_survived(write, tmp_path):
    root = write("a/1.png", "b/1.png")
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "9.png").write_bytes(TINY_PNG)
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a" / "self")
    (root / "self").symlink_to("self")
    (root / "b" / "broken").symlink_to("nowhere")
    (root / "c").symlink_to(tmp_path / "far")
    os.mkfifo(root / "b" / "pipe.png")
    # The pipe is an image that cannot be read; the broken links are not named like one.
    found = list(labels_by_path(find_below(root)))
    assert found == ["a/1.png", "b/1.png", "b/pipe.png", "c/9.png"]


def test_a_link_to_a_lost_image_is_an_image_that_cannot_be_read(write):
    root = write("a/1.png", "b/1.png")
    (root / "b" / "2.png").symlink_to("nowhere.png")
    (root / "b" / "3.png").symlink_to("3.png")
    samples = find_below(root)
    assert list(labels_by_path(samples)) == ["a/1.png", "b/1.png", "b/2.png", "b/3.png"]
    for index in (2, 3):
        with pytest.raises(OSError, match=r"[23]\.png"):
            samples.source.read(index)


def test_loose_images_and_empty_folders_are_told(write):
    root = write("a/1.png", "b/1.png", "loose.png")
    (root / "empty").mkdir()
    samples = find_below(root)
    assert samples.class_names == ("a", "b")
    assert any("1 image in no class folder" in n and "loose.png" in n for n in samples.notes)
    assert "no image in empty" in samples.notes


def test_a_name_that_is_no_text_is_an_error(write):
    root = write("a/1.png", "b/1.png")
    with open(os.fsencode(root) + b"/a/\xff.png", "wb") as file:
        file.write(TINY_PNG)
    refuses_to_find(root, r"xff.png' is not UTF-8; rename it")


def test_a_closed_folder_is_an_error(write, monkeypatch):
    root = write("a/1.png", "b/1.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    refuses_to_find(root, "/b: the folder cannot be read")


def test_nothing_to_find(write, tmp_path):
    root = write()
    refuses_to_find(root, "no images found .PNG, JPEG")
    refuses_to_find(
        write("1.png", "2.png"), "2 images lie in no class folder; put them in DATA/<class>/"
    )
    refuses_to_find(tmp_path / "dat", "no such file or folder; did you mean data")
    refuses_to_find("digit", "did you mean digits")
    refuses_to_find(tmp_path / "no" / "such", "no such file or folder")
    refuses_to_find("", "--data: is empty")
    refuses_to_find("~no-such-user/x", "is no home folder")
    refuses_to_find("x" * 300, "cannot be read|no such file")
    refuses_to_find(root / "1.png", "neither a folder nor a CSV")
    (root / "list.txt").write_text("image\tlabel\n")
    refuses_to_find(root / "list.txt", r"a table's name ends in .csv or .tsv; rename it")


def test_columns_without_a_csv_are_an_error(write):
    root = write("a/1.png", "b/1.png")
    refuses_to_find(root, "--group-col patient: .* no CSV", group="patient")
    refuses_to_find("digits", "--label-col y: .* no CSV", label="y")


# (b) split folders


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders(write, val):
    root = write("train/a/1.png", "train/b/2.png", f"{val}/a/3.png", "test/b/deep/4.png")
    write(".hidden/x/1.png", "labels.txt")
    samples = find_below(root)
    found = {path: samples.splits[n] for n, path in enumerate(samples.paths)}
    assert found == {
        "train/a/1.png": TRAIN,
        "train/b/2.png": TRAIN,
        f"{val}/a/3.png": VAL,
        "test/b/deep/4.png": TEST,
    }
    assert set(labels_by_path(samples).values()) == {"a", "b"}


def test_a_class_may_be_called_train(write):
    samples = find_below(write("train/1.png", "bus/1.png", "tram/1.png"))
    assert samples.class_names == ("bus", "train", "tram")
    assert (samples.splits == NO_SPLIT).all()
    assert samples.notes == ()


def test_split_folders_without_class_folders(write):
    refuses_to_find(
        write("train/1.png", "val/2.png"), "2 images lie in no class folder; put them in DATA/tr"
    )


# (d) digits


def test_digits():
    from sklearn.datasets import load_digits

    samples = find_below("digits")
    expected = load_digits()
    assert len(samples) == 1797
    assert samples.class_names == tuple("0123456789")
    np.testing.assert_array_equal(samples.targets, expected.target)
    for index in (0, 7, 1796):
        (data,) = samples.source.read(index)
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(pixels, expected.images[index] / 16 * 255, atol=0.5)
        assert samples.source.size(index) == len(data)
    assert len(set(samples.paths.tolist())) == 1797


@pytest.mark.parametrize(
    ("name", "classes", "images"),
    [("defects", 6, 1200), ("ants-bees", 2, 398), ("xray-sample", 3, 90)],
)
def test_real_folders(name, classes, images):
    if not (SHARED_DATA / name).is_dir():
        pytest.skip(f"no real images in {SHARED_DATA / name}")
    samples = find_below(SHARED_DATA / name)
    assert (len(samples.class_names), len(samples), samples.notes) == (classes, images, ())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_named_like_an_image_but_is_no_file_is_reported(write):
    root = write("a/1.png", "b/1.png")
    os.mkfifo(root / "a" / "pipe.png")
    (root / "b" / "endless.jpg").symlink_to("/dev/zero")
    (root / "b" / "gone.tif").symlink_to(root / "nowhere")
    (root / "b" / "notes").symlink_to("/dev/null")
    samples = find_below(root)
    found = {str(path): index for index, path in enumerate(samples.paths)}
    assert set(found) == {"a/1.png", "b/1.png", "a/pipe.png", "b/endless.jpg", "b/gone.tif"}
    for path, words in (("a/pipe.png", "a pipe"), ("b/endless.jpg", "a device")):
        with pytest.raises(OSError, match=words):
            samples.source.read(found[path])
