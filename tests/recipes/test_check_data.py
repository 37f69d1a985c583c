"""``check_data``: each planted fault is found, by its kind and with its images."""

import shutil

import cv2
import numpy as np
import pytest
from helpers import write_digits
from PIL import Image

from cnncli.config import RunConfig
from cnncli.recipes.check_data import check_data
from cnncli.reporting import SilentReporter


@pytest.fixture
def data(tmp_path):
    """Return a clean set: two classes of 20 real digits in train and 10 in val."""
    root = tmp_path / "données"
    for split, count, start in (("train", 20, 0), ("val", 10, 20)):
        write_digits(root / split, ("3", "8"), count, names=("drei", "acht"), start=start)
    return root


def check(data, *, spoiled=True, **settings):
    """Return the report of a check as plain values, and its findings by kind."""
    config = RunConfig(data=str(data), **settings)
    report = check_data(config, SilentReporter(), cache=False).as_dict()
    assert report["spoiled"] == spoiled
    return report, {finding["kind"]: finding for finding in report["findings"]}


def first(folder):
    return sorted(folder.glob("*"))[0]


def test_damaged_files_are_found(data):
    whole = first(data / "train" / "drei").read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    jpeg = bytes(cv2.imencode(".jpg", noise)[1])
    bad = {
        "train/acht/cut.png": whole[: len(whole) // 2],
        "train/acht/cut.jpg": jpeg[: len(jpeg) // 2],
        "train/drei/empty.png": b"",
        "val/drei/text.jpg": b"<html>404</html>",
        "val/acht/flipped.png": whole[:60] + bytes([whole[60] ^ 255]) + whole[61:],
    }
    for name, content in bad.items():
        (data / name).write_bytes(content)
    report, found = check(data)
    assert set(found) == {"unreadable"}
    assert {path for (path,) in found["unreadable"]["groups"]} == set(bad)
    assert set(found["unreadable"]["drop"]) == set(bad)
    assert "empty" in found["unreadable"]["reasons"]["train/drei/empty.png"]
    assert report["files"]["readable"] == 60


def test_nothing_readable_and_one_image_alone(tmp_path):
    (tmp_path / "bad" / "a").mkdir(parents=True)
    (tmp_path / "bad" / "a" / "x.png").write_bytes(b"")
    report, found = check(tmp_path / "bad")
    assert set(found) == {"unreadable", "few-images"}
    assert report["files"]["width"] is None
    write_digits(tmp_path / "one", ("3",), 1)
    assert set(check(tmp_path / "one", spoiled=False)[1]) == {"few-images"}


def test_a_copy_in_another_split_is_a_leak(data):
    one = first(data / "val" / "drei")
    shutil.copy(one, data / "train" / "drei" / "other name.png")
    report, found = check(data)
    assert found["leak"]["groups"] == [["train/drei/other name.png", f"val/drei/{one.name}"]]
    assert found["leak"]["drop"] == ["train/drei/other name.png"]
    assert report["findings"][0]["severity"] == "spoils"


def test_the_same_picture_in_another_container_is_a_leak_too(data):
    pixels = cv2.imread(str(first(data / "val" / "drei")), cv2.IMREAD_GRAYSCALE)
    assert cv2.imwrite(str(data / "train" / "drei" / "copy.bmp"), pixels)
    _, found = check(data)
    assert found["leak"]["drop"] == ["train/drei/copy.bmp"]


def test_contradicting_labels_are_found(data):
    one = first(data / "train" / "drei")
    shutil.copy(one, data / "train" / "acht" / one.name)
    _, found = check(data)
    both = [f"train/acht/{one.name}", f"train/drei/{one.name}"]
    assert found["contradiction"]["groups"] == [both]
    assert found["contradiction"]["drop"] == both


def test_copies_within_a_class_are_worth_knowing(data):
    one = first(data / "train" / "drei")
    shutil.copy(one, one.with_name("copy.png"))
    _, found = check(data, spoiled=False)
    assert found["duplicates"]["groups"] == [[f"train/drei/{one.name}", "train/drei/copy.png"]]
    assert len(found["duplicates"]["drop"]) == 1


def test_placeholders_and_empty_pictures_are_found(data):
    text = np.full((64, 64), 230, np.uint8)
    cv2.putText(text, "n/a", (8, 40), cv2.FONT_HERSHEY_PLAIN, 1.5, 0)
    for number in range(5):
        assert cv2.imwrite(str(data / "train" / "drei" / f"p{number}.png"), text)
        blank = np.full((8, 8), 40 * number, np.uint8)
        assert cv2.imwrite(str(data / "train" / "acht" / f"blank{number}.png"), blank)
    Image.new("RGB", (8, 8)).save(data / "train" / "acht" / "same blank.png")
    shutil.copy(first(data / "val" / "acht"), data / "val" / "acht" / "imageNotFound.png")
    report, _ = check(data, spoiled=False)
    texts = {finding["text"]: finding for finding in report["findings"]}
    (placeholder,) = (f for text, f in texts.items() if "5 times over" in text)
    assert placeholder["drop"] == [f"train/drei/p{number}.png" for number in range(5)]
    (constant,) = (f for text, f in texts.items() if "of one colour" in text)
    assert len(constant["drop"]) == 6
    (named,) = (f for text, f in texts.items() if "name of a placeholder" in text)
    assert named["drop"] == ["val/acht/imageNotFound.png"]


def test_a_class_missing_from_a_split_is_found(data):
    shutil.rmtree(data / "val" / "acht")
    _, found = check(data)
    assert "no image of acht in val" in found["missing-class"]["text"]


def test_a_class_for_each_image_is_none(tmp_path):
    for name in "12345":
        write_digits(tmp_path / "d", (name,), 1)
    _, found = check(tmp_path / "d")
    assert "each of the 5 images has a class of its own" in found["single-images"]["text"]


def test_a_class_for_nearly_each_image_is_none_either(tmp_path):
    for name in "12345":
        write_digits(tmp_path / "d", (name,), 1 + (name == "5"))
    _, found = check(tmp_path / "d", spoiled=False)
    assert "few-images" in found  # four of six
    for name in "6789":
        write_digits(tmp_path / "d", (name,), 1)
    _, found = check(tmp_path / "d")
    assert "8 of the 10 images have a class of their own" in found["single-images"]["text"]
    assert "few-images" not in found


def test_imbalance_and_few_images_are_told(tmp_path):
    write_digits(tmp_path / "d", ("1",), 45, names=("many",))
    write_digits(tmp_path / "d", ("2",), 9, names=("few",))
    _, found = check(tmp_path / "d", spoiled=False)
    assert found["imbalance"]["text"].startswith("5.0 times as many images of many (45) as of few")
    assert "few (9)" in found["few-images"]["text"]


def test_groups_in_several_splits_are_found(data):
    names = sorted(path.stem for path in (data / "train" / "drei").iterdir())
    for name, path in zip(names[:3], sorted((data / "val" / "drei").iterdir()), strict=False):
        path.rename(path.with_name(f"{name}_2.png"))
    _, found = check(data, group_regex=r"^(\d+)")
    assert "3 groups in several splits: 3 in train and val" in found["group-leak"]["text"]
    assert len(found["group-leak"]["groups"]) == 3


def test_ids_that_names_share_are_proposed(data):
    for split in ("train", "val"):
        for number, path in enumerate(sorted((data / split / "drei").iterdir())):
            path.rename(path.with_name(f"{number:05d}_{split}.png"))
    _, found = check(data, spoiled=False)
    text = found["shared-ids"]["text"]
    assert r"10 ids each begin the names of two files (00000, 00001, 00002 and 7 more)" in text
    assert "10 of them in several splits (10 in train and val)" in text
    pattern = text.partition("--group-regex '")[2].removesuffix("'")
    _, found = check(data, group_regex=pattern)
    assert len(found["group-leak"]["groups"]) == 10


def test_a_shortcut_is_found_and_said(data):
    for path in list((data / "train" / "drei").iterdir()):
        Image.open(path).convert("RGB").save(path)
    report, found = check(data)
    assert found["shortcut"]["text"] == (
        "acht can be told from drei by format and mode alone (30 of 30, with 10 of 30 others taken "
        "for it): 30 PNG L 8-bit; the others 20 PNG RGB 8-bit, 10 PNG L 8-bit"
    )
    assert report["shortcuts"][0]["family"] == "format and mode"


def test_exif_rotation_is_told(data):
    for path in list((data / "train").rglob("*.png"))[:4]:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(path).save(path, exif=exif)
    _, found = check(data, spoiled=False)
    assert len(found["rotated"]["groups"]) == 4
