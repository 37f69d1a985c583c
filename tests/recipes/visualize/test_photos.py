"""The images that pictures are drawn from: files, a run's own, other data."""

import cv2
import numpy as np
import pytest
import torch
from helpers import Heard, train, write_digits

from cnncli.choices import SPLITS
from cnncli.errors import CnncliError
from cnncli.images.placement import Box
from cnncli.images.preprocess import Preprocess
from cnncli.recipes.visualize.photos import as_batch, choose_photos, choose_samples, read_photo
from cnncli.recipes.visualize.settings import VisualizeSettings
from cnncli.reporting import SilentReporter
from cnncli.run.subject import Subject, load_subject

SILENT = SilentReporter()


def subject_of(**preprocess):
    return Subject("x", torch.nn.Identity(), Preprocess(**preprocess), ("a",), None, False)


GREY = subject_of(height=8, width=8, channels=1)


def splits_of(run_dir):
    lines = (run_dir / "splits.csv").read_text().splitlines()
    place = lines[0].split(",").index("path"), lines[0].split(",").index("split")
    cells = [line.split(",") for line in lines[1:]]
    return {row[place[0]]: row[place[1]] for row in cells}


def test_of_a_run_its_test_images_the_classes_taking_turns(run_dir):
    subject = load_subject(str(run_dir), SILENT)
    photos = choose_photos(VisualizeSettings(), subject, SILENT, count=5)
    assert len(photos) == 5
    splits = splits_of(run_dir)
    assert {splits[photo.name] for photo in photos} == {"test"}
    assert [photo.label for photo in photos[:3]] == ["one", "two", "zero"]
    assert all(photo.name.startswith(photo.label) for photo in photos)
    batch = as_batch(photos)
    assert (batch.shape, batch.dtype) == ((5, 32, 32, 1), torch.uint8)
    assert photos[0].picture.shape == (8, 8, 1)
    np.testing.assert_array_equal(subject.preprocess.fit(photos[0].picture), photos[0].pixels)


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_that_is_named(run_dir, split):
    subject = load_subject(str(run_dir), SILENT)
    samples = choose_samples(VisualizeSettings(split=split), subject, SILENT)
    expected = {path for path, given in splits_of(run_dir).items() if given == split}
    assert set(samples.paths) == expected
    everything = choose_samples(VisualizeSettings(split="all"), subject, SILENT)
    assert set(everything.paths) == set(splits_of(run_dir))


def test_without_test_images_those_of_val(tmp_path):
    write_digits(tmp_path / "d")
    run = train(tmp_path / "runs", data=str(tmp_path / "d"), test_fraction=0)
    samples = choose_samples(VisualizeSettings(), load_subject(str(run), SILENT), SILENT)
    assert {splits_of(run)[path] for path in samples.paths} == {"val"}
    with pytest.raises(CnncliError, match="--split test: no image of"):
        choose_samples(VisualizeSettings(split="test"), load_subject(str(run), SILENT), SILENT)


def test_a_network_without_a_run_needs_images():
    with pytest.raises(CnncliError, match="--image: missing; name an image"):
        choose_photos(VisualizeSettings(), GREY, SILENT, count=1)


def test_data_in_a_table_with_splits(tmp_path):
    paths = write_digits(tmp_path, classes=("0", "1"), per_class=3)
    splits = ["train", "val", "test"] * 2
    rows = [
        f"{path.relative_to(tmp_path)},{path.parent.name},{split}"
        for path, split in zip(paths, splits, strict=True)
    ]
    (tmp_path / "t.csv").write_text("image,label,split\n" + "\n".join(rows))
    settings = VisualizeSettings(data=str(tmp_path / "t.csv"))
    photos = choose_photos(settings, GREY, SILENT, count=9)
    assert [photo.name for photo in photos] == [
        str(path.relative_to(tmp_path)) for path in (paths[2], paths[5])
    ]
    expected = cv2.imread(str(paths[2]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(photos[0].pixels[..., 0], expected)


def test_data_in_arrays(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=np.array([0, 0, 1, 1]))
    settings = VisualizeSettings(data=str(tmp_path / "d.npz"))
    photos = choose_photos(settings, GREY, SILENT, count=3)
    assert [photo.label for photo in photos] == ["0", "1", "0"]
    for photo, index in zip(photos, (0, 2, 1), strict=True):
        np.testing.assert_array_equal(photo.pixels[..., 0], images[index])
        np.testing.assert_array_equal(photo.picture[..., 0], images[index])


def test_samples_of_two_files_are_shown_as_the_network_gets_them(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(6):
        for part in ("pet", "ct"):
            pixels = rng.integers(0, 256, (10, 12), dtype=np.uint8)
            assert cv2.imwrite(str(tmp_path / f"{part}{number}.png"), pixels)
        rows.append(f"pet{number}.png,ct{number}.png,{number % 2},{SPLITS[number // 2]}\n")
    table = tmp_path / "t.csv"
    table.write_text("pet,ct,kind,split\n" + "".join(rows))
    run = train(
        tmp_path / "runs",
        data=str(table),
        image_col="pet,ct",
        label_col="kind",
        split_col="split",
        image_size=16,
    )
    subject = load_subject(str(run), SILENT)
    (first, _) = choose_photos(VisualizeSettings(), subject, SILENT, count=4)
    assert first.pixels.shape == (16, 16, 2)
    np.testing.assert_array_equal(first.picture, first.pixels)
    assert first.seen == Box(0, 0, 16, 16)
    with pytest.raises(CnncliError, match=r"--image .*pet0.png: .*2 files"):
        read_photo(str(tmp_path / "pet0.png"), subject.preprocess)


def test_sixteen_bits_are_seen_through_the_window_of_the_run(tmp_path):
    """Values 1000 to 3000 become 0 to 1, in the picture as in the network's input."""
    ramp = np.linspace(0, 4000, 64 * 64).reshape(64, 64).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "a.png"), ramp)
    window = {"low": 1000 / 65535, "high": 3000 / 65535, "unit": "fraction"}
    deep = Preprocess.from_dict(
        {
            **{"height": 32, "width": 32, "channels": 1, "dtype": "float32"},
            **{"windows": [window], "mean": (0.5,), "std": (0.2,)},
        }
    )
    photo = read_photo(str(tmp_path / "a.png"), deep)
    expected = np.clip((ramp.astype(float) - 1000) / 2000, 0, 1)
    np.testing.assert_allclose(photo.picture[..., 0], expected, atol=1e-6)
    blocks = expected.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(photo.pixels[..., 0], blocks, atol=1e-6)


def test_images_that_are_named(tmp_path):
    paths = write_digits(tmp_path, classes=("0",), per_class=2)
    settings = VisualizeSettings(images=tuple(map(str, paths)))
    photos = choose_photos(settings, GREY, SILENT, count=1)
    assert [photo.name for photo in photos] == list(map(str, paths))
    assert photos[0].label is None


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "channels"])
def test_images_that_cannot_be_used(tmp_path, kind):
    path = tmp_path / "a.png"
    subject = GREY
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("no picture")
    elif kind == "channels":
        np.save(tmp_path / "a.npy", np.zeros((8, 8, 5), np.uint8))
        path = tmp_path / "a.npy"
    with pytest.raises(CnncliError) as caught:
        read_photo(str(path), subject.preprocess)
    assert str(caught.value).startswith(f"--image {path}: ")
    assert "\n" not in str(caught.value)


def test_damaged_images_of_the_data_are_left_out_and_named(tmp_path):
    paths = write_digits(tmp_path / "d", classes=("0", "1"), per_class=2)
    paths[0].write_bytes(paths[0].read_bytes()[:60])

    heard = Heard()
    settings = VisualizeSettings(data=str(tmp_path / "d"))
    photos = choose_photos(settings, GREY, heard, count=9)
    assert len(photos) == 3
    assert any(paths[0].name in line and "left out" in line for line in heard.warnings)
