"""Flags of single images: copies, and labels that look wrong."""

import numpy as np
import pytest

from cnncli.data.samples import NO_SPLIT, text_array
from cnncli.data.split_file import NO_FOLD, SplitFile
from cnncli.recipes.report.answers import Answers
from cnncli.recipes.report.flags import flag_images, tell_flags


def answers(split="test"):
    """Return 20 images of two classes, of which number 3 has the label of the other."""
    targets = np.repeat([0, 1], 10)
    probabilities = np.where(np.eye(2, dtype=bool)[targets], 0.95, 0.05)
    targets[3] = 1
    return Answers(
        paths=[f"{number}.png" for number in range(20)],
        files=[None] * 20,
        targets=targets,
        probabilities=probabilities,
        class_names=("a", "b"),
        predicted=probabilities.argmax(axis=1),
        split=split,
    )


def split_file(hashes, splits):
    count = len(hashes)
    return SplitFile(
        name="splits.csv",
        where="splits.csv",
        paths=text_array([f"{number}.png" for number in range(count)]),
        labels=text_array(["a"] * count),
        splits=np.array(splits),
        folds=np.full(count, NO_FOLD),
        groups=text_array([""] * count),
        sizes=np.ones(count, np.int64),
        hashes=text_array(hashes),
    )


def test_a_label_that_a_sure_network_contradicts_is_suspect():
    assert flag_images(answers(), None, with_names=True) == {3: "suspect label: it seems to be a"}


@pytest.mark.parametrize(
    "split", ["val (chosen on)", "train (trained on)", "all (partly trained on)"]
)
def test_images_that_the_network_has_seen_are_not_suspect(split):
    assert flag_images(answers(split), None, with_names=True) == {}


def test_a_copy_says_where_the_others_are():
    # 5 is alone in test, 0 is a copy of two others, and files without a hash are no copies.
    file = split_file(["x", "x", "x", "", "", "y"], [2, 0, NO_SPLIT, 2, 2, 2])
    found = flag_images(answers("train (trained on)"), file, with_names=True)
    assert found[0] == "copy: the bytes of 2 other images in train (such as 1.png)"
    assert found[1] == "copy: the bytes of 2 other images in test (such as 0.png)"
    assert found.keys() == {0, 1, 2}
    found = flag_images(answers(), file, with_names=False)
    assert found[0] == "copy: the bytes of 2 other images in train"
    assert found.keys() == {0, 1, 2, 3}


def test_the_page_says_how_many_have_a_flag():
    assert tell_flags({}) == ""
    assert tell_flags({3: "copy"}).startswith("1 image has a flag (⚑)")
