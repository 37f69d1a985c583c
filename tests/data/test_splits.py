"""Who trains, who chooses, who judges."""

import time

import numpy as np
import pytest
from helpers import SHARED_DATA
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli.audit.ids import propose_groups
from cnncli.data import splits as splits_module
from cnncli.data.find_samples import find_samples
from cnncli.data.samples import NO_SPLIT, Samples, text_array
from cnncli.data.splits import TEST, TRAIN, VAL, parse_groups, split_samples
from cnncli.errors import CnncliError


def make(targets, groups=None, splits=None, names=None):
    targets = np.array(targets)
    classes = int(targets.max()) + 1
    return Samples(
        source=None,
        paths=text_array(names or [f"{target}/{n}.png" for n, target in enumerate(targets)]),
        targets=targets,
        class_names=tuple("abcdefgh"[:classes]),
        splits=np.full(len(targets), NO_SPLIT, np.int8) if splits is None else np.array(splits),
        groups=None if groups is None else text_array([str(group) for group in groups]),
    )


def split(samples, val=0.15, test=0.15, seed=0):
    return split_samples(samples, val_fraction=val, test_fraction=test, seed=seed)


def count(samples, splits, target):
    return np.bincount(splits[samples.targets == target], minlength=3).tolist()


def test_each_class_is_split_70_15_15():
    samples = make([0] * 200 + [1] * 20 + [2] * 40)
    splits, warnings = split(samples)
    assert [count(samples, splits, target) for target in range(3)] == [
        [140, 30, 30],
        [14, 3, 3],
        [28, 6, 6],
    ]
    assert warnings == []


def test_the_seed_decides_and_nothing_else():
    samples = make([0] * 50 + [1] * 50)
    np.random.seed(1)
    first, _ = split(samples, seed=3)
    np.random.seed(2)
    np.testing.assert_array_equal(first, split(samples, seed=3)[0])
    assert (first != split(samples, seed=4)[0]).any()


def test_small_classes_go_to_train_whole_with_a_warning():
    samples = make([0] * 2 + [1] * 3 + [2] * 20)
    splits, warnings = split(samples)
    assert count(samples, splits, 0) == [2, 0, 0]
    assert count(samples, splits, 1) == [1, 1, 1]
    assert len([w for w in warnings if "too few" in w and w.endswith(": a")]) == 1
    assert "no image of a in val" in warnings
    assert "no image of a in test" in warnings


def test_a_class_of_two_groups_goes_to_train_whole():
    samples = make([0] * 20 + [1] * 20, groups=[n // 10 for n in range(20)] + list(range(20, 40)))
    splits, warnings = split(samples)
    assert count(samples, splits, 0) == [20, 0, 0]
    assert any("too few" in warning for warning in warnings)


@pytest.mark.parametrize("seed", range(5))
def test_a_class_in_many_groups_of_other_classes_has_not_too_few(seed):
    """Two patients have b most of the time, and ten more have one image of it each."""
    targets = [0, 0, 0, 1] * 10 + [1, 1, 0] * 2 + [0] * 30
    groups = [n for n in range(12) for _ in range(4 if n < 10 else 3)] + list(range(20, 50))
    splits, warnings = split(make(targets, groups), seed=seed)
    assert [text for text in warnings if "too few" in text] == []
    if count(make(targets), splits, 1)[VAL] == 0:
        assert "no image of b in val" in warnings


def test_a_class_of_two_groups_one_of_them_anothers_is_told_only_if_it_is_in_train():
    told = set()
    for seed in range(12):
        targets = [0] * 40 + [1, 1] + [0, 0, 0, 1]
        groups = list(range(40)) + [90, 90] + [91] * 4
        splits, warnings = split(make(targets, groups), val=0.3, seed=seed)
        whole = count(make(targets), splits, 1)[TRAIN] == 3
        assert any("all of them go to train: b" in text for text in warnings) == whole
        told.add(whole)
    assert told == {True, False}


def test_without_anything_to_choose_by_there_is_no_run():
    with pytest.raises(CnncliError, match="no image is left for validation"):
        split(make([0, 0, 1, 1]))


def test_test_fraction_zero_draws_no_test():
    samples = make([0] * 100 + [1] * 3)
    splits, _ = split(samples, test=0)
    assert count(samples, splits, 0) == [85, 15, 0]
    assert count(samples, splits, 1) == [2, 1, 0]


def test_given_splits_are_kept():
    given_splits = [TRAIN] * 10 + [VAL] * 5 + [TEST] * 5
    samples = make([0, 1] * 10, splits=given_splits)
    splits, warnings = split(samples)
    assert splits.tolist() == given_splits
    assert warnings == []
    samples = make([0, 1] * 10, splits=[TRAIN] * 12 + [VAL] * 8)
    assert split(samples)[0].tolist() == [TRAIN] * 12 + [VAL] * 8


def test_val_is_carved_from_train_only():
    samples = make([0, 1] * 100, splits=[TRAIN] * 160 + [TEST] * 40)
    splits, _ = split(samples, val=0.25)
    assert (splits[160:] == TEST).all()
    assert count(samples, splits, 0) == [60, 20, 20]
    assert samples.splits.tolist() == [TRAIN] * 160 + [TEST] * 40  # what was given is not touched


def test_a_class_missing_from_val_is_a_warning():
    samples = make([0] * 10 + [1] * 10, splits=[TRAIN] * 5 + [VAL] * 5 + [TRAIN] * 10)
    _, warnings = split(samples)
    assert warnings == ["no image of b in val"]


def test_groups_torn_by_the_data_are_told():
    samples = make([0, 1] * 5, groups=[n // 2 for n in range(10)], splits=[TRAIN] * 5 + [VAL] * 5)
    _, warnings = split(samples)
    assert len(warnings) == 1
    assert warnings[0].startswith("1 group has images in more than one split")


@pytest.mark.parametrize("seed", range(8))
def test_a_class_that_is_no_groups_majority_leaves_something_for_val(seed):
    groups = np.repeat(np.arange(9), [1, 1, 3, 3, 1, 1, 1, 1, 1])
    targets = [0, 0, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2]  # class 1 is one image of group 3
    samples = make(targets, groups=groups.tolist())
    splits, _ = split(samples, seed=seed)
    assert splits[7] == TRAIN
    assert {VAL, TEST} <= set(splits.tolist())


@settings(deadline=None, max_examples=150)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12)), min_size=9, max_size=60),
    mixed=st.integers(0, 5),
    seed=st.integers(0, 5),
)
def test_groups_are_never_torn(sizes, mixed, seed):
    targets = [target for target, size in sizes for _ in range(size)]
    groups = [number for number, (_, size) in enumerate(sizes) for _ in range(size)]
    for number in range(min(mixed, len(targets))):  # groups with images of several classes
        targets[number * 7 % len(targets)] = number % 3
    samples = make(targets, groups=groups)
    try:
        splits, _ = split(samples, seed=seed)
    except CnncliError:
        # Only where no class has three groups.
        owners = {g: np.bincount(np.array(targets)[np.array(groups) == g]).argmax() for g in groups}
        assert max(np.bincount(list(owners.values()))) < 3
        return
    assert set(splits.tolist()) <= {TRAIN, VAL, TEST}
    for group in set(groups):
        assert len(set(splits[np.array(groups) == group].tolist())) == 1
    assert set(samples.targets[splits == TRAIN].tolist()) == set(targets)
    np.testing.assert_array_equal(splits, split(samples, seed=seed)[0])


@pytest.mark.parametrize("seed", range(8))
def test_shares_are_near_with_groups_of_several_sizes(seed):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(120), rng.integers(1, 15, 120))
    samples = make((groups % 2).tolist(), groups=groups)
    splits, _ = split(samples, seed=seed)
    shares = np.bincount(splits, minlength=3) / len(splits)
    np.testing.assert_allclose(shares, [0.7, 0.15, 0.15], atol=0.03)


@pytest.mark.parametrize("seed", range(8))
def test_one_huge_group_stays_in_train(seed):
    samples = make([0] * 1000 + [0] * 30 + [1] * 40, groups=[-1] * 1000 + list(range(70)))
    splits, _ = split(samples, seed=seed)
    assert (splits[:1000] == TRAIN).all()


def test_a_class_that_only_occurs_in_other_classes_groups_is_trained_on():
    # Each group: nine of a and one of b; b owns none of them.
    targets = ([0] * 9 + [1]) * 3 + [0] * 60
    groups = [n // 10 for n in range(30)] + list(range(100, 160))
    for seed in range(20):
        samples = make(targets, groups=groups)
        splits, _ = split(samples, seed=seed)
        assert 1 in samples.targets[splits == TRAIN]


def test_many_images_take_no_time():
    samples = make(np.arange(200_000) % 8)
    start = time.process_time()
    split(samples)
    split(make(np.arange(200_000) % 8, groups=np.arange(200_000) // 5))
    assert time.process_time() - start < 10


def test_groups_from_file_names():
    paths = text_array(["x/61_1.png", "y/61_2.png", "x/7_1.png", "x/none.png", "y/none.png"])
    groups = list(parse_groups(paths, r"^(\d+)_"))
    assert groups[:3] == ["61", "61", "7"]
    # Without a match, or with an empty one, an image is a group by itself.
    assert groups[3:] == ["x/none.png", "y/none.png"]
    assert list(parse_groups(paths, r"^(\d*)"))[3:] == ["x/none.png", "y/none.png"]
    assert list(parse_groups(paths, r"^\d+"))[:3] == ["61", "61", "7"]
    assert list(parse_groups(paths, r"^(?:(6)1|7)_"))[:3] == ["6", "6", "x/7_1.png"]
    # Only the file's name counts, not its folder's.
    with pytest.raises(CnncliError, match=r"matches no file name, such as '61_1.png'"):
        parse_groups(paths, "^x/")


@pytest.mark.parametrize("pattern", ["(", "[", "a{9999999999999}", "*"])
def test_a_broken_group_regex_is_told(pattern):
    with pytest.raises(CnncliError, match="not a regular expression"):
        parse_groups(text_array(["a.png"]), pattern)


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|aa)+$", "(.*a){25}$", "(x+x+)+y|(a*)*b"])
def test_a_group_regex_without_end_is_stopped(monkeypatch, pattern):
    monkeypatch.setattr(splits_module, "_SEARCH_TIME", (1.0, 0.0))
    with pytest.raises(CnncliError, match=r"the search takes longer than 1 seconds") as error:
        parse_groups(text_array(["a.png", "b/" + "a" * 60 + "!"]), pattern)
    assert error.value.exit_code == 2
    assert repr(pattern) in str(error.value)


def test_groups_of_odd_names():
    paths = text_array(["x/a\nb_1.png", "größe_2.png", "日本_3.png", '"_4.png', "'_5.png"])
    assert list(parse_groups(paths, r"(?s)^(.*)_")) == ["a\nb", "größe", "日本", '"', "'"]
    many = text_array([f"d/{n // 2}_{n}.png" for n in range(50_000)])
    assert list(parse_groups(many, r"^(\d+)_")) == [str(n // 2) for n in range(50_000)]


def propose(*names, targets=None):
    return propose_groups(text_array(list(names)), np.array(targets or [0] * len(names)))


def test_the_proposal_fires_on_repeated_ids_and_its_regex_keeps_them_together():
    names = ["n/00000061_012.png", "n/00000061_013.png", "n/00000062_000.png", "n/crazing_1.png"]
    warning = propose(*names)
    assert "1 id begins the names of several files" in warning
    assert "'00000061'" in warning
    regex = warning.split("--group-regex '")[1].rstrip("'")
    groups = list(parse_groups(text_array(names), regex))
    assert groups == ["00000061", "00000061", "00000062", "n/crazing_1.png"]


@pytest.mark.parametrize(
    "names",
    [
        ("a/crazing_73.jpg", "a/crazing_74.jpg", "a/crazing_75.jpg"),
        ("a/rolled-in_scale_1.jpg", "a/rolled-in_scale_2.jpg"),
        ("a/type2_1.png", "a/type2_2.png"),
        ("a/0001.png", "a/0002.png"),
        ("a/61_1.png", "a/62_1.png", "a/63_1.png"),
    ],
)
def test_the_proposal_is_silent_on_names_without_ids(names):
    assert propose(*names) is None


@pytest.mark.parametrize(("name", "fires"), [("defects", False), ("xray-sample", True)])
def test_the_proposal_on_real_names(name, fires):
    if not (SHARED_DATA / name).is_dir():
        pytest.skip(f"no real images in {SHARED_DATA / name}")
    samples = find_samples(str(SHARED_DATA / name))
    assert (propose_groups(samples.paths, samples.targets) is not None) is fires


def test_photos_named_by_number_are_no_patients():
    if not (SHARED_DATA / "ants-bees").is_dir():
        pytest.skip(f"no real images in {SHARED_DATA}")
    samples = find_samples(str(SHARED_DATA / "ants-bees"))
    assert propose_groups(samples.paths, samples.targets) is None
    splits, warnings = split(samples)
    np.testing.assert_array_equal(splits, samples.splits)
    assert np.bincount(splits).tolist() == [245, 153]
    assert warnings == []
