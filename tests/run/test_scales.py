"""Float images of two scales in one set: some are fractions, others levels from 0 to 255."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from cnncli.images.levels import measure_levels
from cnncli.images.scales import find_scales

RNG = np.random.default_rng(0)


def grey(low, high, *, whole=False, dtype="f4"):
    image = RNG.uniform(low, high, (24, 24))
    image[:6, :6], image[-6:, -6:] = low, high  # wider than what a median takes away
    return (np.rint(image) if whole else image).astype(dtype)


def save_npy(path, image):
    np.save(path.with_suffix(".npy"), image)


def save_npz(path, image):
    np.savez(path.with_suffix(".npz"), image)


def save_tiff(path, image):
    tifffile.imwrite(path.with_suffix(".tif"), image)


def write(root, images, save=save_npy):
    for number, image in enumerate(images):
        path = root / "ab"[number % 2] / f"{number:03d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, image)
    return root


TRAIN = ("--model", "lenet5", "--epochs", 1, "--device", "cpu", "--output")


def said_in_training(cli, root, out, *flags):
    said = cli("train", root, *TRAIN, out, *flags)
    assert said.code == 0, said.err
    return " ".join(said.err.split())


def found_by_check(cli, root):
    said = cli("check-data", root, "--format", "json", "--no-cache")
    found = {f["kind"]: f for f in json.loads(said.out)["findings"]}
    return said.code, found.get("mixed-scale")


@pytest.mark.parametrize("save", [save_npy, save_npz, save_tiff])
@pytest.mark.parametrize("whole", [False, True])
def test_both_scales_are_named_and_counted(cli, tmp_path, save, whole):
    images = [grey(0, 1) if n % 3 == 1 else grey(0, 255, whole=whole) for n in range(24)]
    root = write(tmp_path / "d", images, save)
    one, other = (next(root.rglob(f"{name}.*")).relative_to(root) for name in ("004", "000"))
    told = (
        f"float values of two scales: 8 images up to 1 (such as {one}), 16 images up to 255 "
        f"(such as {other}); beside these the first are nearly black: bring all to one scale"
    )
    code, found = found_by_check(cli, root)
    assert (code, found["severity"]) == (3, "spoils")
    assert found["text"] == told
    assert len(found["groups"]) == 8
    assert told in said_in_training(cli, root, tmp_path / "r")


def test_one_odd_image_of_300_is_found(cli, tmp_path):
    """It is not among the 96 images that are looked at before training."""
    images = [grey(0, 1) if n == 7 else grey(0, 255) for n in range(300)]
    root = write(tmp_path / "d", images)
    assert "1 image up to 1 (such as b/007.npy), 299 images" in found_by_check(cli, root)[1]["text"]
    said = said_in_training(cli, root, tmp_path / "r")
    assert "1 of 300 images are nearly black: they have no value above 1" in said
    assert "(such as b/007.npy); if they hold fractions or" in said


def test_a_set_in_one_file(cli, tmp_path):
    train = np.stack([grey(0, 1) for _ in range(24)])
    test = np.stack([grey(0, 255) for _ in range(8)])
    labels = np.arange(24) % 2
    path = tmp_path / "set.npz"
    arrays = {"train_images": train, "train_labels": labels, "test_images": test}
    np.savez(path, **arrays, test_labels=labels[:8])
    code, found = found_by_check(cli, path)
    assert code == 3
    assert "24 images up to 1 (such as train/" in found["text"]
    assert "two scales: 24 images up to 1" in said_in_training(cli, path, tmp_path / "r")


def test_a_named_range_is_warned_of_too(cli, tmp_path):
    root = write(tmp_path / "d", [grey(0, 255 if n % 5 else 1) for n in range(24)])
    assert "two scales" in said_in_training(cli, root, tmp_path / "r", "--intensity", "0:255")


def test_fractions_for_a_network_of_levels_are_told(cli, tmp_path):
    trained = write(tmp_path / "d", [grey(0, 255) for _ in range(24)])
    other = write(tmp_path / "e", [grey(0, 1) for _ in range(6)])
    assert "nearly black" not in said_in_training(cli, trained, tmp_path / "r")
    (run,) = (tmp_path / "r").iterdir()
    said = cli("evaluate", other, "--checkpoint", run)
    assert said.code == 0
    assert "6 of 6 images are nearly black: they have no value above 1" in said.err
    assert "nearly black" not in cli("evaluate", trained, "--checkpoint", run).err
    said = cli("predict", other, "--checkpoint", run)
    told = "Warning: 6 images are nearly black: they have no value above 1, where the intensities"
    assert told in said.err
    assert "nearly black" not in cli("predict", trained, "--checkpoint", run).err


def save_png(path, image):
    Image.fromarray(image).save(path.with_suffix(".png"))


def masks_and_others(tmp_path, dark):
    """Write 24 pictures of 8 bits, of which those in ``dark`` hold 0 and 1 alone."""
    images = [grey(0, 1 if n in dark else 255, whole=True, dtype="u1") for n in range(24)]
    return write(tmp_path / "d", images, save_png)


@pytest.mark.parametrize(
    ("dark", "told"),
    [
        ((3, 5), "2 of 24 images are nearly black: no level above 1 of 255 (such as b/003.png)"),
        (range(24), "all 24 images are nearly black: no level above 1 of 255 (such as a/000.png)"),
    ],
)
def test_bytes_of_0_and_1(cli, tmp_path, dark, told):
    root = masks_and_others(tmp_path, dark)
    said = cli("check-data", root, "--format", "json", "--no-cache")
    (found,) = (f for f in json.loads(said.out)["findings"] if f["kind"] == "small-range")
    assert told in found["text"]
    assert len(found["groups"]) == len(dark)
    said = said_in_training(cli, root, tmp_path / "r")
    assert f"{len(dark)} of 24 images are nearly black: they have no level above 15 of 255" in said


def test_dark_bytes_for_a_network_of_light_ones_are_told(cli, tmp_path):
    """Not for one that learned dark images."""
    light, masks = masks_and_others(tmp_path / "light", ()), masks_and_others(tmp_path, range(24))
    for trained, count in ((light, 24), (masks, 0)):
        said_in_training(cli, trained, tmp_path / trained.parent.name)
        run = max((tmp_path / trained.parent.name).glob("2*"))
        for command in ("predict", "evaluate"):
            said = cli(command, masks, "--checkpoint", run)
            assert said.code == 0
            assert ("images are nearly black" in said.err) == bool(count)


def levels(*ends, dtype="f4"):
    return [measure_levels(grey(low, high, dtype=dtype)[..., None]) for low, high in ends]


@pytest.mark.parametrize(
    ("ends", "small"),
    [
        ([(0, 1), (0, 255)], [0]),
        ([(0, 255), (0, 0.6), (0, 40)], [1]),
        ([(-1, 1), (0, 255), (-1, 0.9)], [0, 2]),
        ([(0, 1), (0, 4095)], [0]),
        ([(0, 4095), (0, 255), (0, 65535)], [1]),
        ([(0, 255), (0, 65535), (0, 200)], [0, 2]),
        ([(0, 255), (100, 100), (0, 1)], [2]),
        ([(0, 1), (0, 10), (0, 0.7), (0, 8)], [0, 2]),
        ([(0, 0.9), (0, 0.8), (0, 6), (0, 5), (0, 5.5)], [0, 1]),
    ],
)
def test_scales_that_are_two(ends, small):
    found = find_scales(levels(*ends))
    assert found is not None
    constant = {number for number, (low, high) in enumerate(ends) if low == high}
    assert set(found[0]) == set(small)
    assert set(found[1]) == set(range(len(ends))) - set(small) - constant


@pytest.mark.parametrize(
    "ends",
    [
        [],
        [(0, 1)],
        [(0, 1), (0, 0.01)],
        [(0, 255), (0, 255), (0, 30)],
        [(-1000, 2000), (-1, 1)],  # Hounsfield units
        [(0, 0.3), (0, 20)],  # some unit: nothing uses the scale of fractions
        [(0, 0.9), (0, 3), (0, 14), (0, 60), (0, 255)],  # densities: no gap
        [(0, 255), (255, 255), (0, 0)],
        [(0, 200), (0, 5000)],
        [(0, 0.9), (0, 12)],
        [(0, 0.9), (0, 0.8), (0, 12)],  # one bright picture
        [(0, 0.9), (0, 0.3), (0, 12), (0, 10)],  # some unit, in which pictures end anywhere
        [(0, 0.9), (0, 0.8), (0, 4), (0, 4.2)],
    ],
)
def test_values_of_one_scale_or_unit(ends):
    assert find_scales(levels(*ends)) is None


def test_whole_numbers_of_16_bits_have_findings_of_their_own():
    assert find_scales(levels((0, 1), (0, 255), dtype="uint16")) is None
