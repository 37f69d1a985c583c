"""Groups of which a column or a file says that there is none."""

import numpy as np
import pytest
from helpers import TINY_PNG, find_below
from pandas._libs.parsers import STR_NA_VALUES

from cnncli.choices.missing import is_missing
from cnncli.data.group_texts import fill_groups
from cnncli.data.manifest import Manifest
from cnncli.data.samples import text_array
from cnncli.data.split_match import apply_split_file

PATHS = [f"{number}.png" for number in range(6)]


def read(write, groups, **columns):
    write(*PATHS, data=TINY_PNG)
    fields = zip(PATHS, "ababab", groups, strict=True)
    rows = "".join(f"{path},{label},{group}\n" for path, label, group in fields)
    path = write("t.csv", data=f"image,label,patient\n{rows}".encode()) / "t.csv"
    return find_below(path, **columns)


@pytest.mark.parametrize("word", sorted(STR_NA_VALUES | {"", "?", "-", "na", "NONE", " Nan "}))
def test_what_pandas_reads_as_missing_is_no_patient(word):
    assert is_missing(word)
    groups, (told,) = fill_groups(text_array(["p", word, word]), text_array(["x", "y", "z"]), "t")
    assert groups.tolist() == ["p", "y", "z"]
    assert told.startswith("2 of 3 images have no group in t (2 ")


@pytest.mark.parametrize("word", ["0", "00", "N", "nana", "unknown", "no", "--", "p1"])
def test_other_texts_are_patients(word):
    groups, told = fill_groups(text_array([word, word]), text_array(["x", "y"]), "t")
    assert groups.tolist() == [word, word]
    assert told == ()


def test_images_without_a_group_are_counted(write):
    samples = read(write, ["p1", "p1", "", "NA", "nan", "NA"], group="patient")
    assert samples.groups.tolist() == ["p1", "p1", *PATHS[2:]]
    assert samples.notes == (
        "4 of 6 images have no group in column 'patient' (1 empty, 2 'NA', 1 'nan'); each counts "
        "as its own",
    )
    full = read(write, ["p1", "p1", "p2", "p2", "p3", "p3"], group="patient")
    assert full.notes == ()


@pytest.mark.parametrize("word", ["", "NA", "\u200b"])
def test_a_column_without_any_group_is_none(write, word):
    samples = read(write, [word] * 6, group="patient")
    assert samples.groups is None
    (told,) = samples.notes
    assert told.startswith("none of the 6 images has a group in column 'patient' (6 ")
    assert told.endswith("): the images are in no groups")


def test_no_groups_are_proposed_by_what_is_missing(write):
    assert read(write, ["p1", "p2", "p3", "NA", "NA", "NA"]).group_hint is None
    assert "2 values for 6" in read(write, ["p1", "p2", "p2", "NA", "NA", "NA"]).group_hint


def test_the_groups_of_a_file_of_splits_too(write, tmp_path):
    samples = read(write, [""] * 6)
    rows = "".join(f"{path},train,{group}\n" for path, group in zip(PATHS, "pp?-pp", strict=True))
    (tmp_path / "s.csv").write_text(f"path,split,group\n{rows}")
    given = apply_split_file(samples, str(tmp_path / "s.csv"), None, threads=1)
    assert given.groups.tolist() == ["p", "p", "2.png", "3.png", "p", "p"]
    (told,) = given.notes
    assert told.startswith("2 of 6 images have no group in --splits ")


def test_a_run_of_an_earlier_version_that_wrote_na_into_its_groups(write):
    samples = read(write, [""] * 6)
    manifest = Manifest({}, {}, [0] * 3, ["a", "b"], [0] * 3, [1] * 3, [""] * 3, ["p", "NA", "NA"])
    rows = np.array([0, 1, 2, 0, -1, -1])
    assert manifest.find_groups(samples, rows).tolist() == ["p", *PATHS[1:3], "p", *PATHS[4:]]


@pytest.mark.parametrize(
    ("first", "second"), [("1", "01"), ("1", "1.0"), ("p1", "P1"), ("-2", "-02"), ("Ä", "ä")]
)
def test_groups_that_may_be_one_are_told(write, first, second):
    samples = read(write, [first, first, second, second, "9", "9"], group="patient")
    assert samples.groups.tolist() == [first, first, second, second, "9", "9"]
    (told,) = samples.notes
    one, other = sorted([first, second])
    assert told == (
        f"the groups {one!r} and {other!r} in column 'patient' may be one, spelt differently; if "
        "so, write it in one way, or its images lie in several splits"
    )


def test_all_groups_that_may_be_one_are_counted():
    names = text_array(["1", "01", "2", "02", "3", "03", "4"])
    _, (told,) = fill_groups(names, text_array(list("abcdefg")), "t")
    assert told.startswith("the groups '01' and '1', and 2 more in t may be one")


@pytest.mark.parametrize(("first", "second"), [("1.5", "1.50"), ("p1", "p01"), ("1-2", "12")])
def test_other_groups_are_different_ones(first, second):
    assert fill_groups(text_array([first, second]), text_array(["x", "y"]), "t")[1] == ()


@pytest.mark.parametrize("same", ["p1 ", " p1", "\ufeffp1", "p1\u200b"])
def test_groups_that_look_the_same_are_one(write, same):
    samples = read(write, ["p1", "p1", same, same, "9", "9"], group="patient")
    assert samples.groups.tolist() == ["p1"] * 4 + ["9", "9"]
    assert samples.notes == ()
