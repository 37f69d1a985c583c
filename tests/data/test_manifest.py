"""``splits.csv``: known again wherever the files went."""

import csv

import cv2
import numpy as np
import pytest

from cnncli.data.find_samples import find_samples
from cnncli.data.manifest import COLUMNS, UNSEEN, load_manifest, save_manifest
from cnncli.data.samples import NO_SPLIT, text_array
from cnncli.data.splits import TEST, TRAIN, VAL
from cnncli.data.store import FileDigests, hash_files, load_images
from cnncli.errors import CnncliError
from cnncli.images.preprocess import Preprocess

SPLITS = np.array([TRAIN, VAL, TEST, TRAIN, VAL, TEST])


def image(number):
    noise = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
    return cv2.imencode(".bmp", noise)[1].tobytes()  # all of one size in bytes


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    for number, name in enumerate(("a/1.bmp", 'a/2, "x".bmp', "a/ü.bmp", "b/1.bmp", "b/2", "b/3")):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image(number))
    return root


@pytest.fixture
def saved(data, tmp_path):
    samples = find_samples(str(data))
    _, digests, _ = load_images(samples, Preprocess(8, 8, 1), threads=1)
    save_manifest(tmp_path / "splits.csv", samples, SPLITS, digests)
    return tmp_path / "splits.csv"


def find_splits(saved, root):
    samples = find_samples(str(root))
    manifest = load_manifest(saved)
    found = manifest.find_splits(manifest.look_up(samples))
    return dict(zip(samples.paths.tolist(), found.tolist(), strict=True))


def test_the_file(saved, data):
    with saved.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS == ("path", "label", "split", "group", "bytes", "hash")
    assert [row[:4] for row in rows[:3]] == [
        ["a/1.bmp", "a", "train", ""],
        ['a/2, "x".bmp', "a", "val", ""],
        ["a/ü.bmp", "a", "test", ""],
    ]
    for path, _, _, _, size, digest in rows:
        content = (data / path).read_bytes()
        assert int(size) == len(content)
        assert digest == hash_files((content,))


def test_groups_are_written(data, tmp_path):
    from dataclasses import replace

    samples = replace(find_samples(str(data)), groups=text_array(list("pqrstu")))
    digests = FileDigests(np.arange(6), text_array([""] * 6))
    save_manifest(tmp_path / "x.csv", samples, SPLITS, digests)
    with (tmp_path / "x.csv").open(encoding="utf-8") as file:
        assert [row["group"] for row in csv.DictReader(file)] == list("pqrstu")


def test_folds_are_a_column_of_their_own_and_no_hindrance(data, tmp_path):
    samples = find_samples(str(data))
    sizes = np.array([(data / path).stat().st_size for path in samples.paths])
    digests = FileDigests(sizes, text_array([""] * 6))
    save_manifest(tmp_path / "x.csv", samples, SPLITS, digests, np.array([1, 2, 0, 1, 2, 0]))
    with (tmp_path / "x.csv").open(encoding="utf-8") as file:
        assert [row["fold"] for row in csv.DictReader(file)] == ["1", "2", "", "1", "2", ""]
    assert list(find_splits(tmp_path / "x.csv", data).values()) == SPLITS.tolist()


def test_images_without_a_split_are_left_out(data, tmp_path):
    samples = find_samples(str(data))
    digests = FileDigests(np.arange(6), text_array([""] * 6))
    splits = np.where(np.arange(6) == 2, NO_SPLIT, SPLITS).astype(np.int8)
    save_manifest(tmp_path / "x.csv", samples, splits, digests)
    with (tmp_path / "x.csv").open(encoding="utf-8") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    assert paths == [path for n, path in enumerate(samples.paths.tolist()) if n != 2]


def test_a_manifest_knows_its_splits(saved):
    manifest = load_manifest(saved)
    assert [manifest.has(split) for split in (TRAIN, VAL, TEST)] == [True] * 3
    assert not load_manifest(saved).has(3)


def test_other_images_of_equal_paths_and_sizes_are_new(saved, data, tmp_path):
    for number, path in enumerate(sorted(p for p in data.rglob("*") if p.is_file())):
        size = path.stat().st_size
        path.write_bytes(image(100 + number))
        assert path.stat().st_size == size
    assert set(find_splits(saved, data).values()) == {UNSEEN}


def test_an_image_in_the_place_of_another_keeps_its_own_split(saved, data):
    first, second = data / "a/1.bmp", data / "a/ü.bmp"  # train, test
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    found = find_splits(saved, data)
    assert (found["a/1.bmp"], found["a/ü.bmp"]) == (TEST, TRAIN)


def test_copies_in_two_splits_keep_the_split_of_their_path(data, tmp_path):
    (data / "b/1.bmp").write_bytes((data / "a/ü.bmp").read_bytes())  # train, test
    samples = find_samples(str(data))
    _, digests, _ = load_images(samples, Preprocess(8, 8, 1), threads=1)
    save_manifest(tmp_path / "splits.csv", samples, SPLITS, digests)
    assert list(find_splits(tmp_path / "splits.csv", data).values()) == SPLITS.tolist()


def test_only_what_may_be_known_is_read(saved, data, monkeypatch):
    from cnncli.data.samples import FileSource

    (data / "b/4.bmp").write_bytes(image(0) + b"\0")  # a size that no image of the run has
    read = []

    def spy(source, index):
        read.append(str(source.paths[index]))
        return plain(source, index)

    plain = FileSource.read
    monkeypatch.setattr(FileSource, "read", spy)
    assert find_splits(saved, data) == {
        **dict(zip(sorted(read), SPLITS.tolist(), strict=True)),
        "b/4.bmp": UNSEEN,
    }
    assert len(read) == 6


def test_images_are_known_by_content_after_moving_and_renaming(saved, data, tmp_path):
    moved = tmp_path / "elsewhere"
    for number, path in enumerate(sorted(p for p in data.rglob("*") if p.is_file())):
        target = moved / f"class {number % 2}" / f"{number}.bmp"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    found = find_splits(saved, moved)
    assert [found[f"class {n % 2}/{n}.bmp"] for n in range(6)] == SPLITS.tolist()


def test_the_name_of_the_folder_does_not_count(saved, data, tmp_path):
    data.rename(tmp_path / "other")
    assert list(find_splits(saved, tmp_path / "other").values()) == SPLITS.tolist()


def test_new_images_are_new(saved, tmp_path):
    new = tmp_path / "new"
    (new / "a").mkdir(parents=True)
    (new / "b").mkdir()
    (new / "a/9.bmp").write_bytes(image(99))  # the size of known ones
    (new / "b/1.bmp").write_bytes(image(3) + b"\0")  # a known path, another size
    assert find_splits(saved, new) == {"a/9.bmp": UNSEEN, "b/1.bmp": UNSEEN}


def test_the_same_content_in_two_splits_counts_as_trained_on(saved, data, tmp_path):
    with saved.open("a", encoding="utf-8") as file:
        known = (data / "a/1.bmp").read_bytes()
        file.write(f"copy.bmp,a,test,,{len(known)},{hash_files((known,))}\n")
    new = tmp_path / "new" / "c"
    new.mkdir(parents=True)
    (new / "x.bmp").write_bytes(known)
    assert find_splits(saved, new.parent) == {"c/x.bmp": TRAIN}


def test_a_file_that_is_gone_is_no_crash(saved, data):
    samples = find_samples(str(data))
    (data / "a/1.bmp").unlink()
    manifest = load_manifest(saved)
    found = manifest.find_splits(manifest.look_up(samples))
    assert found.tolist() == [UNSEEN, *SPLITS[1:]]


def test_without_hashes_paths_still_count(data, tmp_path):
    from cnncli.data.store import open_images

    samples = find_samples(str(data))
    _, digests, _ = open_images(samples, Preprocess(8, 8, 1))
    save_manifest(tmp_path / "x.csv", samples, SPLITS, digests)
    assert list(find_splits(tmp_path / "x.csv", data).values()) == SPLITS.tolist()
    assert load_manifest(tmp_path / "x.csv").unhashed == 6


def test_no_file_is_none(tmp_path):
    assert load_manifest(tmp_path / "splits.csv") is None


HEADER = b"path,label,split,group,bytes,hash\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEADER,
        b"hello\nworld\n",
        HEADER + b"a.png,a,train,,12",
        HEADER + b"a.png,a,tra",
        HEADER + b"a.png,a,dev,,12,ab\n",
        HEADER + b"a.png,a,train,,many,ab\n",
        b"path,label\na.png,a\n",
        HEADER + b"a\xff.png,a,train,,12,ab\n",
        HEADER + b"a.png,a\0,train,,\0,ab\n",
        b"\x89PNG\r\n\x1a\n" * 9,
        HEADER + b'"' + b"x" * 200_000,
    ],
)
def test_a_damaged_file_is_told(tmp_path, content):
    path = tmp_path / "splits.csv"
    path.write_bytes(content)
    with pytest.raises(CnncliError, match=r"not the splits.csv of a run"):
        load_manifest(path)
