"""docs/check-data.md: its kinds of findings are those that a check can have, and no others."""

import re
import shutil
from typing import get_args

import numpy as np
from helpers import ROOT, write_digits
from PIL import Image

from cnncli.audit.findings import NoteKind, SpoilingKind
from cnncli.config import RunConfig
from cnncli.recipes.check_data import check_data
from cnncli.reporting import SilentReporter

PAGE = (ROOT / "docs" / "check-data.md").read_text("utf-8")
KINDS = {"spoils": set(get_args(SpoilingKind)), "note": set(get_args(NoteKind))}


def test_the_tables_of_the_page_are_the_kinds_of_the_code():
    text = re.search(r"^## What it finds\n(.*?)(?=^## )", PAGE, re.M | re.S)[1]
    tables = dict(zip(KINDS, text.split("What is **worth knowing**"), strict=True))
    for severity, table in tables.items():
        cells = re.findall(r"^\| (`[^|]*) \|", table, re.M)
        named = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
        assert sorted(named) == sorted(KINDS[severity])


def write_spoilt(root):
    """Write digits in train and val with at least one fault of every kind."""
    write_digits(root / "train", ("1", "2", "3"), 110, names=("one", "two", "three"))
    write_digits(root / "train", ("4",), 6, names=("four",))  # few, and far fewer than of others
    write_digits(root / "val", ("1", "2"), 8, names=("one", "two"), start=115)  # no three, no four
    write_digits(root / "train", ("5",), 12, names=("Four",))  # spelt in two ways
    (root / "test").mkdir()  # a folder without images
    one, two, three, four = (
        sorted((root / "train" / name).iterdir()) for name in ("one", "two", "three", "four")
    )
    for path in three:  # the class is the only one in colour
        Image.open(path).convert("RGB").save(path)
    for path in one[:50]:  # a part of the class has a size of its own
        Image.open(path).resize((9, 9)).save(path)
    shutil.copy(one[60], root / "train" / "two" / "other label.png")
    shutil.copy(one[61], root / "val" / "one" / "other split.png")
    shutil.copy(one[62], one[62].with_name("same class.png"))
    for number in range(5):
        shutil.copy(two[60], two[60].with_name(f"placeholder {number}.png"))
    four[0].write_bytes(b"")
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save(four[1])
    Image.open(two[0]).save(two[0].with_suffix(".bmp"))
    long = np.random.default_rng(0).integers(0, 256, (8, 80), dtype=np.uint8)
    Image.fromarray(long).save(two[1])
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.open(two[2]).save(two[2], exif=exif)
    for split in ("train", "val"):  # two images of one patient, in both splits
        path = next((root / split / "two").glob("[0-9]*.png"))
        path.rename(path.with_name(f"p7_{split}.png"))


def write_deep(root):
    """Write images of 16 bits and with alpha, with at least one fault of every kind of these."""
    rng = np.random.default_rng(0)
    (root / "one").mkdir(parents=True)
    for number in range(12):
        levels = rng.integers(29000, 31000, (40, 40), dtype=np.uint16)
        if number == 1:
            levels[:9, :9] = 0
        if number == 2:
            levels[20, 20] = 65535
        Image.fromarray(levels).save(root / "one" / f"{number}.png")
    clear = np.full((40, 40, 4), 255, np.uint8)
    clear[:9, :9, 3] = 0
    Image.fromarray(clear).save(root / "one" / "white.png")


def write_floats(root):
    """Write float images, some of them fractions and others levels from 0 to 255."""
    rng = np.random.default_rng(0)
    (root / "one").mkdir(parents=True)
    for number in range(12):
        levels = rng.uniform(0, 1 if number == 3 else 255, (40, 40)).astype(np.float32)
        np.save(root / "one" / f"{number}.npy", levels)


def kinds_found(data, **settings):
    report = check_data(RunConfig(data=str(data), **settings), SilentReporter(), cache=False)
    return {(finding.severity, finding.kind) for finding in report.findings}


def test_each_kind_can_be_found(tmp_path):
    write_spoilt(tmp_path / "digits")
    named = kinds_found(tmp_path / "digits", group_regex=r"^(p\d+)_")
    # Ids are looked for where no groups are named; half of a class must have one.
    for split in ("train", "val"):
        for number, path in enumerate(sorted((tmp_path / "digits" / split / "two").iterdir())):
            path.rename(path.with_name(f"p{number:03d}_{split}{path.suffix}"))
    guessed = kinds_found(tmp_path / "digits")
    write_deep(tmp_path / "deep")
    deep = kinds_found(tmp_path / "deep")
    write_floats(tmp_path / "floats")
    floats = kinds_found(tmp_path / "floats")
    for name in "12":
        write_digits(tmp_path / "singles", (name,), 1)
    found = named | guessed | deep | floats | kinds_found(tmp_path / "singles")
    assert found == {(key, kind) for key, kinds in KINDS.items() for kind in kinds}
    assert ("spoils", "group-leak") in named - guessed
    assert ("note", "shared-ids") in guessed - named
