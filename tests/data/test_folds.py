"""Folds: stratified, with whole groups, and never of test images."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers import write_digits
from sklearn.model_selection import StratifiedKFold

from cnncli.data.find_samples import find_samples
from cnncli.data.folds import draw_folds
from cnncli.data.samples import text_array
from cnncli.data.splits import TEST, TRAIN


@pytest.fixture
def data(tmp_path):
    """Return a folder of three classes, 20 images each."""
    write_digits(tmp_path / "data", per_class=20)
    return tmp_path / "data"


def test_folds_are_scikit_learns(data):
    samples = find_samples(str(data))
    splits, folds, _ = draw_folds(samples, 5, test_fraction=0, seed=7)
    assert (splits == TRAIN).all()
    expected = StratifiedKFold(5, shuffle=True, random_state=7).split(
        samples.paths, samples.targets
    )
    for fold, (_, held_out) in enumerate(expected, start=1):
        assert np.flatnonzero(folds == fold).tolist() == held_out.tolist()


def test_folds_keep_groups_whole(data):
    samples = find_samples(str(data))
    groups = text_array([f"g{n // 3}" for n in range(60)])
    samples = replace(samples, groups=groups)
    splits, folds, warned = draw_folds(samples, 3, test_fraction=0.2, seed=0)
    for group in set(groups.tolist()):
        assert len(set(zip(splits[groups == group], folds[groups == group], strict=True))) == 1
    assert warned == []
    sizes = np.bincount(folds)[1:]
    assert sizes.max() - sizes.min() <= 6  # two groups of three


def test_splits_of_the_data_stay_outside_the_folds(tmp_path, data):
    for name in ("train", "val", "test"):
        shutil.copytree(data, tmp_path / "set" / name)
    splits, folds, warned = draw_folds(
        find_samples(str(tmp_path / "set")), 3, test_fraction=0.3, seed=0
    )
    assert np.bincount(splits).tolist() == [120, 0, 60]
    assert (folds[splits == TEST] == 0).all()
    assert np.bincount(folds)[1:].tolist() == [40, 40, 40]
    (told,) = warned
    assert told.startswith("the data fix their splits (--test-fraction 0.3 has no effect): ")


def test_small_classes_are_named(tmp_path):
    write_digits(tmp_path / "d", classes=("0", "1"), per_class=9)
    write_digits(tmp_path / "d", classes=("2",), per_class=2)
    write_digits(tmp_path / "d", classes=("3",), per_class=1)
    _, _, warned = draw_folds(find_samples(str(tmp_path / "d")), 3, test_fraction=0, seed=0)
    assert warned[0].startswith("3: in one fold only, which cannot be val")
    assert warned[1] == "2: not in every fold"
