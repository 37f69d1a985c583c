"""A class that its files give away is told, chance is not."""

from dataclasses import replace
from math import comb

import cv2
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import StratifiedKFold

from cnncli.audit.check_shortcuts import check_shortcuts
from cnncli.audit.file_facts import FileFacts, describe_frame, read_file_facts
from cnncli.audit.ids import detect_ids
from cnncli.audit.shortcuts import (
    FAMILIES,
    chance_of,
    find_shortcuts,
    guess,
    make_features,
)
from cnncli.data.samples import NO_SPLIT, Samples, text_array

PLAIN = FileFacts(format="PNG", mode="L", width=64, height=64, bits=8, pixel_hash="0")


def looks_of(*parts):
    """Return looks and targets: of each part a number of copies of a look and their class."""
    looks = [look for look, _, count in parts for _ in range(count)]
    return looks, np.array([target for _, target, count in parts for _ in range(count)])


def told(looks, targets):
    return [
        (s.family, s.target, s.others, s.hits, s.of, s.misses)
        for s in find_shortcuts(looks, targets)
    ]


JPEG = replace(PLAIN, format="JPEG", mode="RGB")


@pytest.mark.parametrize(
    ("family", "odd"),
    [
        ("format and mode", replace(PLAIN, format="BMP")),
        ("format and mode", replace(PLAIN, mode="RGB")),
        ("format and mode", replace(PLAIN, bits=16)),
        ("format and mode", replace(PLAIN, alpha=True)),
        ("size", replace(PLAIN, width=80)),
        ("compression", replace(PLAIN, quality=17.5)),
        ("frame", replace(PLAIN, frame="black frame")),
        ("camera", replace(PLAIN, camera="Acme 1")),
        ("camera", replace(PLAIN, orientation=6)),
    ],
)
def test_each_property_tells_a_class_of_its_own(family, odd):
    looks, targets = looks_of((PLAIN, 0, 20), (odd, 1, 20))
    assert told(looks, targets) == [(family, 0, (1,), 20, 20, 0)]


def test_only_the_odd_class_of_three_is_told():
    looks, targets = looks_of((PLAIN, 0, 30), (JPEG, 1, 30), (PLAIN, 2, 30))
    assert told(looks, targets) == [("format and mode", 1, (0, 2), 30, 30, 0)]


def test_two_pairs_of_classes():
    looks, targets = looks_of((PLAIN, 0, 30), (PLAIN, 1, 30), (JPEG, 2, 30), (JPEG, 3, 30))
    found = {(s.target, s.others) for s in find_shortcuts(looks, targets)}
    assert found == {(0, (2,)), (0, (3,)), (1, (2,)), (1, (3,))}


def test_part_of_a_class_is_told_partly():
    looks, targets = looks_of((PLAIN, 0, 60), (PLAIN, 1, 36), (JPEG, 1, 24))
    (shortcut,) = find_shortcuts(looks, targets)
    assert not shortcut.strong
    assert shortcut.balanced_accuracy == pytest.approx((60 / 60 + 24 / 60) / 2)


def test_many_classes_are_asked_against_all_others():
    looks, targets = looks_of(*((PLAIN, target, 8) for target in range(19)), (JPEG, 19, 8))
    assert told(looks, targets) == [("format and mode", 19, tuple(range(19)), 8, 8, 0)]


def test_one_odd_file_is_no_shortcut():
    looks, targets = looks_of((PLAIN, 0, 200), (PLAIN, 1, 199), (JPEG, 1, 1))
    assert told(looks, targets) == []


def test_few_files_are_no_proof():
    looks, targets = looks_of((PLAIN, 0, 3), (JPEG, 1, 3))
    assert told(looks, targets) == []


@pytest.mark.slow
def test_chance_seldom_passes_for_a_shortcut():
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(20, 80))
        looks = [
            replace(
                PLAIN,
                format=str(rng.choice(["PNG", "JPEG"])),
                width=int(rng.integers(100, 1000)),
                height=int(rng.integers(100, 1000)),
                quality=float(rng.uniform(1, 30)),
                camera=str(rng.choice(["a", "b", "c"])),
            )
            for _ in range(count)
        ]
        alarms += bool(find_shortcuts(looks, rng.integers(0, 3, count)))
    assert alarms <= 1  # 0.2 are expected at a level of 0.01


def test_guesses_are_of_files_not_seen():
    """Each value stands for one file alone: whoever had seen it would know the class."""
    rng = np.random.default_rng(0)
    features = rng.permutation(200)[:, None].astype(float)
    wanted = rng.integers(0, 2, 200).astype(bool)
    right = (guess(features, wanted) == wanted).mean()
    assert 0.35 < right < 0.65


def test_guesses_without_information_are_those_of_the_larger_class():
    """With a constant feature a tree is what scikit-learn's dummy is, fold by fold."""
    wanted = np.arange(60) % 3 == 0
    features = np.zeros((60, 1))
    expected = np.zeros(60, bool)
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(features, wanted):
        dummy = DummyClassifier(strategy="constant", constant=False).fit(
            features[train], wanted[train]
        )
        expected[test] = dummy.predict(features[test])
    assert (guess(features, wanted) == expected).all()


@pytest.mark.parametrize("table", [(30, 30, 0, 60), (12, 20, 5, 25), (3, 10, 4, 9), (0, 5, 2, 6)])
def test_chance_is_the_hypergeometric_tail(table):
    hits, of, misses, of_others = table
    guessed = hits + misses
    ways = sum(
        comb(of, k) * comb(of_others, guessed - k) for k in range(hits, min(of, guessed) + 1)
    )
    assert chance_of(*table) == pytest.approx(ways / comb(of + of_others, guessed), rel=1e-9)


def test_features_leave_out_what_is_constant():
    looks = [PLAIN, replace(PLAIN, format="BMP"), replace(PLAIN, width=32)]
    columns = make_features(looks, (*FAMILIES["format and mode"], *FAMILIES["size"]))
    assert sorted(map(tuple, columns.T.tolist())) == sorted(
        [(1, 0, 1), (0, 1, 0), (64, 64, 32), (1, 1, 0.5)]
    )


def test_images_of_one_patient_count_once():
    looks, targets = looks_of((PLAIN, 0, 30), (JPEG, 1, 30))
    samples = Samples(
        source=None,
        paths=text_array([f"{i}.png" for i in range(60)]),
        targets=targets,
        class_names=("a", "b"),
        splits=np.full(60, NO_SPLIT),
    )
    check, findings = check_shortcuts(samples, looks)
    assert [f.severity for f in findings] == ["spoils"]
    assert check.without_shortcut == ()
    one_each = replace(samples, groups=text_array([f"patient {t}" for t in targets]))
    check, findings = check_shortcuts(one_each, looks)
    assert findings == []
    assert check.without_shortcut == ("a", "b")


def framed(colour, top=0, side=0):
    rng = np.random.default_rng(0)
    picture = rng.integers(40, 200, (100, 120)).astype(np.float32)
    return cv2.copyMakeBorder(
        picture, top, top, side, side, cv2.BORDER_CONSTANT, value=float(colour)
    )


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (framed(0), "none"),
        (framed(0, 8, 8), "black frame"),
        (framed(255, 8, 8), "white frame"),
        (framed(128, 8, 8), "grey frame"),
        (framed(0, 8, 0), "black bars top and bottom"),
        (framed(255, 0, 8), "white bars left and right"),
        (framed(0, 8, 8)[10:], "black bars left and right"),
        (np.zeros((8, 8), np.float32), "none"),
    ],
)
def test_frames_are_named(picture, expected):
    assert describe_frame(picture, 255) == expected
    assert describe_frame(picture / 255, 1) == expected


@pytest.mark.parametrize(
    ("depth", "factor"), [(np.uint8, 1), (np.uint16, 16), (np.uint16, 257), (np.float32, 1 / 255)]
)
def test_a_frame_is_one_at_every_depth(tmp_path, depth, factor):
    """12 bits in 16 are dark by the full scale, where every edge looks like a frame of black."""
    rng = np.random.default_rng(1)
    edges = rng.integers(0, 30, (100, 120)).astype(np.float64)
    edges[10:-10, 10:-10] += 200
    for picture, expected in ((edges, "none"), (framed(0, 8, 8), "black frame")):
        np.save(tmp_path / "a.npy", (picture * factor).astype(depth))
        facts, _ = read_file_facts([(tmp_path / "a.npy").read_bytes()])
        assert facts.frame == expected


def ids_of(*names, targets=None):
    names = [f"c/{name}" for name in names]
    targets = np.zeros(len(names), int) if targets is None else np.array(targets)
    return detect_ids(text_array(names), targets)


def test_ids_are_of_one_form():
    found = ids_of("00000061_012.png", "00000061_015.png", "00000070_001.png")
    assert found.pattern == r"^(\d{8})[_-]"
    assert found.groups.tolist() == ["00000061", "00000061", "00000070"]
    assert ids_of("p7-a.png", "p7-b.png", "p12-a.png").pattern == r"^([A-Za-z]{1}\d+)[_-]"


def test_what_is_no_id():
    assert ids_of("crazing_1.jpg", "crazing_2.jpg") is None
    assert ids_of("2007_1.jpg", "2007_2.jpg") is None  # the whole class has it
    assert ids_of("1_a.jpg", "2_b.jpg", "3_c.jpg") is None  # none stands twice
    # A few names of many happen to begin with a number.
    assert ids_of("1-s2.png", "1-s3.png", "x.png", "y.png", "z.png") is None
