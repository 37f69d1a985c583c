"""The classes of samples: their order, and how they match those of a network."""

import time
from dataclasses import replace

import numpy as np
import pytest
from helpers import find_below, labels_by_path

from cnncli.config import load_config
from cnncli.data.classes import match_classes, order_classes, sort_class_names
from cnncli.data.samples import NO_SPLIT
from cnncli.errors import CnncliError


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "9", "1"], (["1", "9", "10"], True)),
        (["2", "-1", "0"], (["-1", "0", "2"], True)),
        (["10", "9", "b"], (["10", "9", "b"], False)),
        (["b", "B", "a"], (["B", "a", "b"], False)),
        (["-", "1"], (["-", "1"], False)),
        (["1.5", "1"], (["1", "1.5"], False)),
    ],
)
def test_integers_sort_as_integers(names, expected):
    assert sort_class_names(names) == expected


def test_integer_classes_are_sorted_as_numbers_and_no_grades_by_themselves(write):
    samples = order_classes(find_below(write("10/a.png", "9/b.png", "2/c.png")), None)
    assert samples.class_names == ("2", "9", "10")
    assert labels_by_path(samples) == {"10/a.png": "10", "2/c.png": "2", "9/b.png": "9"}
    assert not samples.ordered
    assert order_classes(samples, None, graded_by="--ordered").ordered


def test_a_class_order_is_kept(write):
    found = find_below(write("low/a.png", "high/b.png", "mid/c.png"))
    assert not order_classes(found, None).ordered
    samples = order_classes(found, ["low", "mid", "high"])
    assert samples.class_names == ("low", "mid", "high")
    assert labels_by_path(samples) == {"high/b.png": "high", "low/a.png": "low", "mid/c.png": "mid"}
    assert samples.ordered


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (["low"], "class 'high' is missing"),
        (["low", "high", "low"], "'low' is named twice"),
        (["low", "high", "hihg"], "there is no class 'hihg'; did you mean high"),
        ([], "is missing"),
    ],
)
def test_a_wrong_class_order_is_told(write, order, why):
    found = find_below(write("low/a.png", "high/b.png"))
    with pytest.raises(CnncliError, match=f"--class-order: .*{why}"):
        order_classes(found, order)


def test_a_class_only_in_val_is_an_error_and_one_only_in_train_is_not(write):
    root = write("train/a/1.png", "train/b/1.png", "val/a/1.png")
    assert order_classes(find_below(root), None).class_names == ("a", "b")
    write("val/new/1.png")
    with pytest.raises(CnncliError, match="class 'new' has no image in the training split"):
        order_classes(find_below(root), None)


def test_classes_are_matched_by_name(write):
    found = find_below(write("cat/1.png", "dog/1.png"))
    samples = match_classes(found, ["ant", "dog", "cat"])
    assert samples.class_names == ("ant", "dog", "cat")
    assert samples.targets.tolist() == [2, 1]
    with pytest.raises(
        CnncliError, match=r"class 'cat' is unknown to the checkpoint.*did you mean c"
    ):
        match_classes(found, ["dog", "cats"])


def test_many_classes_take_no_time(write):
    samples = find_below(write("a/1.png", "b/1.png"))
    names = tuple(f"class {n:05d}" for n in range(20_000))
    many = replace(
        samples, class_names=names, targets=np.arange(20_000), splits=np.full(20_000, NO_SPLIT)
    )
    start = time.process_time()
    order_classes(many, names[::-1])
    match_classes(many, names[::-1])
    assert time.process_time() - start < 2


@pytest.mark.parametrize("other", ["cat\u200b", "cat ", "\ufeffcat", "cat\u00a0"])
def test_folders_of_the_same_label_are_one_class(write, other):
    samples = find_below(write("cat/1.png", "dog/2.png", f"{other}/3.png"))
    assert samples.class_names == ("cat", "dog")
    assert labels_by_path(samples)[f"{other}/3.png"] == "cat"
    (told,) = samples.remarks
    assert ascii(other) in told
    assert "'cat' and" in told or "and 'cat'" in told


def test_accents_of_both_forms_are_one_class(write):
    composed, apart = "caf\u00e9", "cafe\u0301"
    samples = find_below(write(f"{composed}/1.png", f"{apart}/2.png", "tea/3.png"))
    assert samples.class_names == (composed, "tea")
    assert samples.targets.tolist() == [0, 0, 1]
    only = find_below(write("x/1.png").parent / "data")
    assert set(only.class_names) == {composed, "tea", "x"}


def test_labels_of_a_table_are_merged_too(write):
    root = write("1.png", "2.png", "3.png", "4.png")
    labels = ("caf\u00e9", "cafe\u0301", "tea\u200b", "tea")
    rows = "".join(f"{n}.png,{label}\n" for n, label in enumerate(labels, start=1))
    (root / "t.csv").write_text(f"image,label\n{rows}", "utf-8")
    samples = find_below(root / "t.csv")
    assert samples.class_names == ("caf\u00e9", "tea")
    assert samples.targets.tolist() == [0, 0, 1, 1]
    assert len(samples.remarks) == 2


def test_the_classes_of_an_old_checkpoint_match_in_their_own_form(write):
    samples = find_below(write("caf\u00e9/1.png", "tea/2.png"))
    old = ["tea ", "cafe\u0301"]
    matched = match_classes(samples, old)
    assert matched.class_names == tuple(old)
    assert [old[target] for target in matched.targets] == ["cafe\u0301", "tea "]
    with pytest.raises(CnncliError, match="class 'caf\u00e9' is unknown"):
        match_classes(samples, ["Caf\u00e9", "tea"])


def test_an_order_is_given_in_any_form(write):
    found = find_below(write("caf\u00e9/1.png", "tea/2.png"))
    assert order_classes(found, ["tea ", "cafe\u0301"]).class_names == ("tea", "caf\u00e9")


def test_grades_with_a_point_have_an_order(write):
    found = find_below(write("10.0/a.png", "9.0/b.png", "2/c.png"))
    samples = order_classes(found, None, graded_by="--ordered")
    assert samples.class_names == ("2", "9.0", "10.0")
    assert samples.ordered
    words = find_below(write("ten/a.png"))
    assert not order_classes(words, None).ordered
    with pytest.raises(CnncliError, match=r"^--ordered: the order of the classes .* is not known"):
        order_classes(words, None, graded_by="--ordered")


def test_a_class_with_a_comma_is_ordered_and_its_quotes_are_told(write):
    found = find_below(write("small, round/1.png", "long/2.png"))
    order = load_config(None, {"data": "d", "class_order": 'long,"small, round"'}).class_order
    assert order_classes(found, order).class_names == ("long", "small, round")
    with pytest.raises(CnncliError, match='long, "small, round" once, those with a comma in quo'):
        order_classes(found, ["long", "small", "round"])


def test_a_class_of_another_spelling_in_each_split_is_an_error(write):
    found = find_below(write("train/Cat/1.png", "train/dog/2.png", "test/cat/3.png"))
    with pytest.raises(CnncliError, match=r"class 'cat' has no image in .* it may be 'Cat', spelt"):
        order_classes(found, None)


def test_a_class_of_which_nothing_is_to_be_seen_is_an_error(write):
    with pytest.raises(CnncliError, match=r"a class is called '.u200b', of which nothing is to"):
        find_below(write("cat/1.png", "\u200b/2.png"))


def test_one_class_after_labels_are_merged_is_told(cli, write):
    """The table has two spellings of one label, and nothing in it is a folder."""
    root = write(*(f"{n}.png" for n in range(4)))
    rows = "".join(f"{n}.png,ca{chr(0x200B) * (n % 2)}t\n" for n in range(4))
    write("t.csv", data=f"image,label\n{rows}".encode())
    said = cli("train", root / "t.csv", "--model", "lenet5")
    assert said.code == 2
    assert said.error == (
        f"--data {root}/t.csv: only one class, 'cat'; a classifier needs images of at least two "
        "('cat' and 'ca\\u200bt' are one class, 'cat': they differ only in spaces at the ends, in "
        "characters that are not to be seen or in how accents are stored)"
    )
