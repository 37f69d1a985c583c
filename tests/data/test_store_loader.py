"""Images by number, and batches that no number of workers changes."""

import time
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch

from cnncli.augmentation.build import build_augment
from cnncli.data.find_samples import find_samples
from cnncli.data.loader import Loader, SplitDataset
from cnncli.data.store import (
    ImageStore,
    fit_normalisation,
    fits_in_memory,
    hash_files,
    load_images,
    map_in_threads,
    open_images,
)
from cnncli.data.survey import survey_images
from cnncli.errors import CnncliError
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import SilentReporter
from cnncli.run.bad_images import check_bad

COUNT = 21
PREPROCESS = Preprocess(12, 16, 3)


@pytest.fixture
def data(tmp_path):
    """Return a folder of 21 colour images of two classes, of several sizes."""
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
        path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return tmp_path / "data"


@pytest.fixture
def samples(data):
    return find_samples(str(data))


def test_cached_and_on_demand_are_the_same(samples):
    ticks = []
    cached, digests, bad = load_images(samples, PREPROCESS, threads=4, advance=ticks.append)
    opened, sizes, gone = open_images(samples, PREPROCESS)
    assert bad == gone == {}
    assert cached.cached.shape == (COUNT, 12, 16, 3)
    assert opened.cached is None
    assert sum(ticks) == COUNT
    for index in range(COUNT):
        files = samples.source.read(index)
        np.testing.assert_array_equal(cached[index], PREPROCESS(files))
        np.testing.assert_array_equal(opened[index], cached[index])
        assert digests.sizes[index] == sizes.sizes[index] == len(files[0])
        assert digests.hashes[index] == hash_files(files)
    assert set(sizes.hashes.tolist()) == {""}


def test_all_bad_images_are_told_at_once(data, samples):
    (data / "a/00.png").write_bytes(b"")
    (data / "b/03.png").write_bytes(b"text that is no image")
    half = data / "a/04.png"
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    (data / "b/05.png").unlink()
    store, digests, bad = load_images(samples, PREPROCESS, threads=3)
    reasons = {str(samples.paths[index]): reason for index, reason in bad.items()}
    assert set(reasons) == {"a/00.png", "b/03.png", "a/04.png", "b/05.png"}
    assert reasons["a/00.png"] == "is empty (0 bytes)"
    assert reasons["b/03.png"].startswith("is not an image of a known format")
    assert reasons["a/04.png"] == "is damaged or cut short"
    assert reasons["b/05.png"] == "cannot be read (No such file or directory)"
    for index in bad:
        assert not store[index].any()
        assert digests.hashes[index] == ""


def test_very_many_bad_images_are_counted(data, samples):
    for path in data.rglob("*.png"):
        path.write_bytes(b"")
    _, _, bad = load_images(samples, PREPROCESS, threads=2)
    with pytest.raises(CnncliError, match=r"21 images cannot be used: .*; and 1 more"):
        check_bad(samples, bad, "error", SilentReporter())
    with pytest.raises(CnncliError, match=r"none of 21 .* the first, .*, is empty"):
        survey_images(samples, threads=2)


def test_files_that_are_gone_are_told_before_they_are_needed(data, samples):
    (data / "a/00.png").unlink()
    (data / "b/05.png").unlink()
    _, _, bad = open_images(samples, PREPROCESS)
    with pytest.raises(CnncliError, match=r"2 images.*a/00.png.*No such.*b/05.png"):
        check_bad(samples, bad, "error", SilentReporter())


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_are_bad_when_their_turn_comes_are_left_out(data, samples, workers):
    store, _, _ = open_images(samples, PREPROCESS)
    paths = samples.paths.tolist()
    gone = [paths.index(name) for name in ("a/04.png", "a/00.png", "b/01.png")]
    for index in gone:
        (data / paths[index]).write_bytes(b"gone bad")
    loader = Loader(SplitDataset(store, np.arange(COUNT), samples.targets), 2, workers=workers)
    images, targets = (torch.cat(part) for part in zip(*loader.epoch(1), strict=True))
    good = np.setdiff1d(np.arange(COUNT), gone)
    np.testing.assert_array_equal(targets, samples.targets[good])
    np.testing.assert_array_equal(images, np.stack([store[index] for index in good]))
    assert sorted(loader.bad) == sorted(gone)
    assert loader.bad[gone[0]].startswith("is not an image")


def test_shared_memory_that_is_too_small_is_named(samples, monkeypatch):
    """What torch raises in a loader process where /dev/shm is full; it used to wait for ever."""

    def refuse(tensor):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space")

    monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    store, _, _ = open_images(samples, PREPROCESS)
    dataset = SplitDataset(store, np.arange(COUNT), samples.targets)
    with pytest.raises(CnncliError, match="/dev/shm is too small"):
        list(Loader(dataset, 2, workers=1, start_method="fork").epoch(1))


def test_one_image_alone_is_not_trained_on(data, samples):
    store, _, _ = open_images(samples, PREPROCESS)
    (data / samples.paths[0]).write_bytes(b"")
    dataset = SplitDataset(store, np.arange(4), samples.targets)
    assert [len(t) for _, t in Loader(dataset, 2).epoch(1)] == [1, 2]
    assert [len(t) for _, t in Loader(dataset, 2, shuffle_seed=0).epoch(1)] == [2]


@pytest.mark.slow
def test_threads_keep_the_order_and_few_in_flight():
    started = []

    def work(number):
        started.append(number)
        time.sleep(0.0005 * (number * 7 % 5))
        return number * number

    results = map_in_threads(work, iter(range(150)), 16)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert len(started) <= 3 + 4 * 16
    assert list(results) == [number * number for number in range(3, 150)]
    assert list(map_in_threads(work, [], 2)) == []


def test_normalisation_is_numpys_over_all_pixels(samples):
    indices = np.arange(0, COUNT, 2)
    pixels = np.concatenate(
        [PREPROCESS(samples.source.read(int(index))).reshape(-1, 3) for index in indices]
    )
    for store in (
        load_images(samples, PREPROCESS, threads=1)[0],
        open_images(samples, PREPROCESS)[0],
    ):
        fitted = fit_normalisation(store, indices)
        np.testing.assert_allclose(fitted.mean, pixels.mean(axis=0) / 255, atol=2e-6)
        np.testing.assert_allclose(fitted.std, pixels.std(axis=0) / 255, atol=2e-6)
    floats = ImageStore(samples.source, Preprocess(12, 16, 3, dtype="float32"))
    np.testing.assert_allclose(fit_normalisation(floats, indices).mean, fitted.mean, atol=2e-4)


def test_a_constant_image_is_not_blown_up(samples):
    black = ImageStore(samples.source, PREPROCESS, torch.zeros((3, 12, 16, 3), dtype=torch.uint8))
    fitted = fit_normalisation(black, np.arange(3))
    assert fitted.mean == (0, 0, 0)
    assert fitted.std == (0.02, 0.02, 0.02)


def test_a_look_finds_size_and_colour(data, samples):
    look = survey_images(samples, threads=2)
    assert look.sides == (30, 30)  # the median of 20 … 40
    assert look.channels == 3
    for path in data.rglob("*.png"):
        grey = np.full((10, 10), 7, np.uint8)
        path.write_bytes(cv2.imencode(".png", np.dstack([grey] * 3))[1].tobytes())
    assert survey_images(samples, threads=2).channels == 1


def test_what_fits_in_memory():
    assert fits_in_memory(10, PREPROCESS)
    assert not fits_in_memory(10**9, PREPROCESS)


@dataclass(frozen=True)
class Stream:
    """Two epochs as a loader gave them."""

    epochs: list

    def __eq__(self, other):
        return all(
            torch.equal(a, b)
            for mine, others in zip(self.epochs, other.epochs, strict=True)
            for batch, its in zip(mine, others, strict=True)
            for a, b in zip(batch, its, strict=True)
        )


def stream(store, samples, level="medium", **options):
    dataset = SplitDataset(
        store, np.arange(2, COUNT), samples.targets, augment=build_augment(level), seed=3
    )
    loader = Loader(dataset, 6, shuffle_seed=3, **options)
    assert loader.count == COUNT - 2
    assert len(loader) == 3
    return Stream([list(loader.epoch(number)) for number in (1, 2)])


def test_workers_do_not_change_the_stream(samples):
    opened, _, _ = open_images(samples, PREPROCESS)
    cached, _, _ = load_images(samples, PREPROCESS, threads=1)
    before = cached.cached.clone()
    alone = stream(opened, samples)
    for images, targets in alone.epochs[0]:
        assert images.shape[1:] == (12, 16, 3)
        assert (images.dtype, targets.dtype) == (torch.uint8, torch.int64)
    assert [len(images) for images, _ in alone.epochs[0]] == [6, 6, 7]
    assert Stream(alone.epochs[:1]) != Stream(alone.epochs[1:])  # epochs differ
    for workers in (1, 2):
        assert stream(cached, samples, workers=workers, start_method="fork") == alone
    assert torch.equal(cached.cached, before)  # augmentation works on copies


def test_spawned_workers_do_not_change_the_stream_either(samples):
    cached, _, _ = load_images(samples, PREPROCESS, threads=1)
    alone = stream(cached, samples)
    assert stream(cached, samples, workers=1, start_method="spawn") == alone


def test_without_shuffling_and_augmentation_images_come_as_they_are(samples):
    store, _, _ = load_images(samples, PREPROCESS, threads=1)
    loader = Loader(SplitDataset(store, np.arange(COUNT), samples.targets), 4)
    for number in (1, 2):
        images, targets = (torch.cat(part) for part in zip(*loader.epoch(number), strict=True))
        assert torch.equal(images, store.cached)
        np.testing.assert_array_equal(targets, samples.targets)


def test_other_channels_and_floats_travel_too(samples):
    cached = torch.rand((COUNT, 12, 16, 5))
    store = ImageStore(samples.source, Preprocess(12, 16, 5, dtype="float32"), cached)
    loader = Loader(SplitDataset(store, np.arange(COUNT), samples.targets), 4)
    assert torch.equal(torch.cat([images for images, _ in loader.epoch(1)]), cached)
