"""Copies of a picture are found, whatever was done to them, and different pictures are not."""

import itertools

import cv2
import numpy as np
import pytest
from helpers import SHARED_DATA
from pictures import Memory, encode, groups_of, jpeg, make_picture, samples_of
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.datasets import load_digits

from cnncli.audit import candidates
from cnncli.audit.check_copies import check_copies, choose_drops
from cnncli.audit.collect import collect_facts
from cnncli.audit.duplicates import DuplicateGroup, connect, find_duplicates
from cnncli.audit.file_facts import hash_pixels, read_file_facts
from cnncli.data.samples import NO_SPLIT
from cnncli.images.decode import decode

needs_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=f"no {SHARED_DATA}")


def resized(share):
    def change(picture):
        size = [round(side * share) for side in picture.shape[1::-1]]
        return encode(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))

    return change


def brighter(gain, offset=0):
    return lambda p: encode(np.clip(p * gain + offset, 0, 255).astype(np.uint8))


def cut(picture, share=0.02):
    top, left = (max(1, round(side * share)) for side in picture.shape)
    return encode(picture[top:, left:-left])


CHANGES = {
    "jpeg 30": jpeg(30),
    "jpeg 60": jpeg(60),
    "jpeg 95": jpeg(95),
    "half the size": resized(0.5),
    "0.7 of the size": resized(0.7),
    "twice the size": resized(2),
    "darker": brighter(0.9),
    "brighter": brighter(1.1),
    "less contrast": brighter(0.8, 30),
    "cut by 2 %": cut,
    "in colour": lambda p: encode(cv2.cvtColor(p, cv2.COLOR_GRAY2BGR), ".jpg"),
    "16 bits": lambda p: encode(p.astype(np.uint16) * 200),
}


ORIGINALS = 40


@pytest.fixture(scope="module")
def originals():
    """Return pictures that share a shading, as X-rays do: a coarse hash calls them all alike."""
    y, x = np.mgrid[-1:1:160j, -1:1:200j]
    shading = 1.5 * np.cos(2 * x) * np.cos(y)
    return [make_picture(seed, shading=shading) for seed in range(ORIGINALS)]


def test_different_pictures_are_no_copies(originals):
    small = np.array([cv2.resize(p, (9, 8), interpolation=cv2.INTER_AREA) for p in originals])
    hashes = (small[:, :, 1:] > small[:, :, :-1]).reshape(ORIGINALS, -1)
    near = sum((a != b).sum() <= 10 for a, b in itertools.combinations(hashes, 2))
    assert near > 100  # a difference hash of 64 bits would call so many pairs copies
    assert groups_of([encode(p) for p in originals]) == ()


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(originals, change):
    copies = [CHANGES[change](p) for p in originals[:20]]
    found = groups_of([encode(p) for p in originals] + copies)
    assert [group.members for group in found] == [(k, ORIGINALS + k) for k in range(20)]
    assert not any(group.exact for group in found)


def test_the_same_pixels_in_another_container_are_exact(originals):
    picture = cv2.cvtColor(originals[0], cv2.COLOR_GRAY2BGR)
    picture[:40, :40] = (10, 200, 90)
    lossless = [
        encode(picture),
        encode(picture, ".bmp"),
        encode(picture, ".tiff"),
        encode(picture, ".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
        encode(picture.astype(np.uint16) * 257),
    ]
    (group,) = groups_of([*lossless, encode(originals[1])])
    assert group == DuplicateGroup((0, 1, 2, 3, 4), exact=True)


def test_pixel_hashes_tell_what_a_picture_shows():
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (9, 11, 1), dtype=np.uint8)
    one = hash_pixels([grey])
    assert hash_pixels([np.repeat(grey, 3, axis=2)]) == one
    assert hash_pixels([grey.astype(np.uint16) * 257]) == one
    other = grey.copy()
    other[3, 4] ^= 1
    assert hash_pixels([other]) != one
    assert hash_pixels([grey.reshape(11, 9, 1)]) != one
    assert hash_pixels([grey.astype(np.uint16) * 256]) != one
    assert hash_pixels([grey, grey]) != one


def test_candidates_are_those_of_all_pairs(monkeypatch):
    monkeypatch.setattr(candidates, "_BLOCK", 64)
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(300, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    monkeypatch.setattr(candidates, "MOST_PER_IMAGE", 300)
    pairs, cosines = candidates.find_candidates(vectors, 0.8)
    cosine = {
        (i, j): float(np.dot(vectors[i], vectors[j])) for i in range(300) for j in range(i + 1, 300)
    }
    expected = {pair for pair, value in cosine.items() if value >= 0.8}
    assert len(expected) > 100
    assert {tuple(pair) for pair in pairs.tolist()} == expected
    assert cosines == pytest.approx([cosine[tuple(pair)] for pair in pairs.tolist()], abs=1e-5)


def test_of_many_alike_each_keeps_its_likeliest(monkeypatch):
    monkeypatch.setattr(candidates, "_BLOCK", 64)
    rng = np.random.default_rng(2)
    vectors = 1 + 0.05 * rng.normal(size=(400, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs, _ = candidates.find_candidates(vectors, 0.5)
    assert len(pairs) < 400 * 400 / 10
    assert len(connect(map(tuple, pairs.tolist()))) == 1
    cosines = vectors @ vectors.T - 2 * np.eye(400)
    nearest = {tuple(sorted((i, int(j)))) for i, j in enumerate(cosines.argmax(axis=1))}
    assert nearest <= {tuple(pair) for pair in pairs.tolist()}


def test_connect_gives_connected_components():
    rng = np.random.default_rng(3)
    pairs = rng.integers(0, 400, (250, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(400, 400))
    _, label = connected_components(graph, directed=False)
    used = np.unique(pairs)
    expected = sorted(
        tuple(int(i) for i in used if label[i] == number) for number in np.unique(label[used])
    )
    assert connect(map(tuple, pairs.tolist())) == expected


def test_digits_have_no_copies_but_planted_ones_are_found():
    digits = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    faint = np.clip(digits[5].astype(int) * 0.95, 0, 255).astype(np.uint8)
    clean = samples_of(Memory([encode(digit) for digit in digits]), len(digits))
    assert (
        find_duplicates(collect_facts(clean, threads=2, cache_folder=None), threads=2).groups == ()
    )
    planted = np.concatenate([digits, digits[[3]], faint[None]])
    samples = samples_of(Memory([encode(digit) for digit in planted]), len(planted))
    found = find_duplicates(collect_facts(samples, threads=2, cache_folder=None), threads=2).groups
    assert [(g.members, g.exact) for g in found] == [((3, 1797), True), ((5, 1798), False)]


def test_many_near_copies_of_one_picture_are_one_group():
    picture = make_picture(7)
    rng = np.random.default_rng(0)
    noisy = [np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255) for _ in range(60)]
    (group,) = groups_of([encode(p.astype(np.uint8)) for p in noisy])
    assert group.members == tuple(range(60))


def test_several_files_of_a_sample_count_together():
    one, two, three = (encode(make_picture(seed)) for seed in range(3))
    first, _ = read_file_facts((one, two))
    same, _ = read_file_facts((one, two))
    other, _ = read_file_facts((one, three))
    assert first.pixel_hash == same.pixel_hash != other.pixel_hash
    assert first.size == len(one) + len(two)


def test_which_copy_goes():
    targets = np.array([0, 0, 0, 1, 0])
    areas = [100, 400, 100, 100, 100]
    none, split = np.full(5, NO_SPLIT), np.array([0, 0, 1, 0, 2])

    def drops(members, splits, exact=True):
        return choose_drops(DuplicateGroup(members, exact), targets, splits, areas)

    assert drops((0, 1, 2), none) == [0, 2]  # the largest stays
    assert drops((0, 2, 4), none) == [2, 4]  # the first of equal ones
    assert drops((0, 1, 2), split) == [0, 1]  # what judges stays, small as it is
    assert drops((1, 2, 4), split) == [1, 2]
    assert drops((0, 3), none) == [0, 3]  # nobody knows which label is right
    same = np.zeros(5, int)
    assert choose_drops(DuplicateGroup((0, 1, 2, 3, 4), True), same, none, areas) == [0, 1, 2, 3, 4]


def test_copies_are_told_by_what_they_spoil():
    samples = samples_of(Memory([]), 6, targets=[0, 1, 0, 0, 1, 1], splits=[0, 0, 0, 2, 1, 1])
    groups = [
        DuplicateGroup((0, 1), exact=True),
        DuplicateGroup((2, 3), exact=False, score=0.9),
        DuplicateGroup((4, 5), exact=True),
    ]
    found = {f.kind: f for f in check_copies(samples, samples.splits, groups, [1] * 6)}
    assert {kind: (f.severity, f.images, f.drop) for kind, f in found.items()} == {
        "contradiction": ("spoils", (0, 1), (0, 1)),
        "leak": ("spoils", (2, 3), (2,)),
        "duplicates": ("note", (4, 5), (5,)),
    }
    assert "1 in a and b" in found["contradiction"].text
    assert "1 in train and test" in found["leak"].text


@needs_data
@pytest.mark.parametrize(
    "change",
    [
        "cut by 2 %",
        pytest.param("jpeg 30", marks=pytest.mark.slow),
        pytest.param("half the size", marks=pytest.mark.slow),
        pytest.param("brighter", marks=pytest.mark.slow),
    ],
)
def test_changed_copies_of_xrays_are_found(change):
    paths = sorted((SHARED_DATA / "xray-sample" / "Pneumonia").glob("*.png"))[:12]
    pictures = [decode(path.read_bytes())[..., 0] for path in paths]
    files = [encode(p) for p in pictures] + [CHANGES[change](p) for p in pictures]
    assert [group.members for group in groups_of(files)] == [(k, 12 + k) for k in range(12)]
