"""The check before a training sees the same in some of the images as in all of them."""

import cv2
import numpy as np
import pytest
from helpers import write_digits

from cnncli.audit.quick import check_quickly
from cnncli.data.find_samples import find_samples
from cnncli.data.samples import CsvColumns, select_samples
from cnncli.data.splits import TRAIN


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Images of three classes, those of one stored in colour."""
    root = tmp_path_factory.mktemp("quick")
    write_digits(root, per_class=20)
    for path in (root / "2").iterdir():
        assert cv2.imwrite(str(path), cv2.cvtColor(cv2.imread(str(path), 0), cv2.COLOR_GRAY2BGR))
    return find_samples(str(root), CsvColumns())


def check(samples):
    count = len(samples)
    splits, hashes = np.full(count, TRAIN, np.int8), np.full(count, "")
    return [finding.text for finding in check_quickly(samples, splits, hashes, threads=1)]


def test_a_shortcut_is_seen_among_images_of_a_subset(samples):
    (text,) = check(samples)
    assert text.startswith("2 can be told from the rest by format and mode alone (20 of 20)")
    (of_some,) = check(select_samples(samples, np.arange(5, len(samples))))
    assert of_some.startswith("2 can be told from the rest by format and mode alone (20 of 20)")
    assert check(select_samples(samples, np.arange(40))) == []
