"""Labels that are the same, and labels that may be."""

import unicodedata

import pytest

from cnncli.data.label_text import (
    doubt_labels,
    is_blank,
    loosen_label,
    normalise_label,
    whole_number,
)

SAME = [
    ("cat", " cat"),
    ("cat", "cat\u00a0"),
    ("cat", "\ufeffcat"),
    ("cat", "c\u200bat"),
    ("cat", "cat\u200d\t "),
    ("cat", "cat\0"),
    ("cat", "\x07c\x7fat\x1b"),
    ("cat", "\u2060cat\u00ad"),
    ("no findings", "no\u00a0findings"),
    ("café", unicodedata.normalize("NFD", "café")),
    ("Ångström", "A\u030angstro\u0308m"),
    ("가", unicodedata.normalize("NFD", "가")),
]
ALIKE = [
    ("cat", "Cat"),
    ("CAT", "cat"),
    ("True", "TRUE"),
    ("no findings", "no_findings"),
    ("no-findings", "No Findings"),
    ("nofindings", "no  findings"),
    ("COVID-19", "covid19"),
    ("1", "1.0"),
    ("1", "01"),
    ("2", "2.00"),
    ("0.5", "0,50"),
    ("grade 1", "Grade_1"),
    ("ｃａｔ", "cat"),
]
DIFFERENT = [
    *(("cat", "cart"), ("1", "10"), ("1-2", "12"), ("A+", "A-"), ("A", "A-"), ("1", "-1")),
    *(("0.1", "0.01"), ("C", "C++"), ("e", "é"), ("class 1", "class 11"), ("5-10", "51-0")),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_certainly_the_same(one, other):
    assert normalise_label(other) == one == normalise_label(one)
    assert loosen_label(one) == loosen_label(other)


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_perhaps_the_same(one, other):
    assert normalise_label(one) != normalise_label(other)
    (doubt,) = doubt_labels([one, "else", other])
    assert repr(one) in doubt
    assert repr(other) in doubt


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different(one, other):
    assert normalise_label(one) != normalise_label(other)
    assert doubt_labels([one, other]) == []


def test_quotes_that_belong_to_names_are_told():
    one, several = doubt_labels(["'cat'", "cat", "dog"])
    assert one.startswith("the classes \"'cat'\" and 'cat' may be one")
    assert several.startswith("1 of 3 classes has quotes around the name (such as 'cat')")
    for pair in ("''", '""', "\u201c\u201d", "\u00ab\u00bb"):
        (told,) = doubt_labels([f"{pair[0]}{name}{pair[1]}" for name in ("cat", "dog")])
        assert told.startswith("2 of 2 classes have quotes around the name")
    assert doubt_labels(["'", "''", "rock'n'roll", "'tis"]) == []


def test_values_of_a_measurement_are_told():
    values = [f"{number / 10:g}" for number in range(12)]
    (told,) = doubt_labels(values)
    assert told.startswith("the classes are 12 numbers from 0 to 1.1: if they measure something")
    assert doubt_labels(list(map(str, range(12)))) == []  # grades
    assert doubt_labels(["0.5", "1", "1.5", "2"]) == []


def test_letters_are_classes_in_both_cases():
    assert doubt_labels(list("aAbBcC")) == []
    assert len(doubt_labels(["a", "A", "x"])) == 1


def test_a_label_of_which_nothing_would_be_left_stays():
    assert normalise_label(" ") == " "
    assert normalise_label("\u200b") == "\u200b"


def test_whole_numbers():
    texts = ["2", "2.0", "-1", "10.00", "2.5", "two", "", "1e3", "0x1", "٣"]
    assert [whole_number(text) for text in texts] == [2, 2, -1, 10, None, None, None, None, None, 3]


@pytest.mark.parametrize("label", ["", " ", "\0", "\t\x07", "\u200b\ufeff", "\u00a0 \u200d"])
def test_nothing_to_be_seen(label):
    assert is_blank(label)
    assert normalise_label(label) == label


@pytest.mark.parametrize("label", ["0", " a ", "-", "\u200ba", "ก", "."])
def test_something_to_be_seen(label):
    assert not is_blank(label)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["Mass|Edema", "Mass", "Edema"], "'Mass|Edema'"),
        (["Mass;Edema", "Mass; Nodule", "Edema;Nodule"], "'Mass;Edema'"),
        (["a, b", "a", "b", "c"], "'a, b'"),
        (["Normal", "Mass|Edema"], "'Mass|Edema'"),
        (["['a', 'b']", "['c']", "[]"], "\"['a', 'b']\""),
        (["a;b", "c"], "'a;b'"),
        (["long, thin", "short, thick"], None),
        (["cat", "dog"], None),
        (["a|", "|a"], None),
    ],
)
def test_classes_that_combine_others_are_doubted(names, found):
    doubts = [text for text in doubt_labels(names) if "combine" in text]
    assert len(doubts) == (found is not None)
    if found:
        assert f"(such as {found}): several labels for an image are not supported" in doubts[0]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ["cat", "cat_test", "dog", "dog-Test"],
            "'cat' and 'cat_test' may be one: cat_test, dog-Test",
        ),
        (["CatTrain", "cat test", "bird"], "'CatTrain' and 'cat test' may be one"),
        (
            ["strep_test", "covid_test", "strep"],
            "'strep_test' and 'strep' may be one: strep_test ends",
        ),
        (["cat", "test_cat"], None),  # of a test, and no split of cats
        (["strep_test", "covid_test"], None),
        (["test1", "test2", "1"], None),
        (["test", "train"], None),
    ],
)
def test_classes_that_end_like_a_split_of_another_are_doubted(names, told):
    doubts = [text for text in doubt_labels(names) if "like a split" in text]
    assert [told in text for text in doubts] == [True] * bool(told)
