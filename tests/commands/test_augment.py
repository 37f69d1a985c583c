"""``cnncli augment``, and what a run does with ``--augment``."""

import csv
import io
import itertools
import json

import cv2
import numpy as np
import pytest
import yaml
from helpers import SHARED_DATA, train, write_digits

from cnncli.augmentation.notation import parse_augment
from cnncli.augmentation.words import LEVELS, WORDS
from cnncli.config import load_config
from cnncli.data.samples import spread_over_classes
from cnncli.errors import CnncliError
from cnncli.plots.grid import GridRow, describe_channels, save_grid, to_picture


@pytest.fixture
def data(tmp_path):
    write_digits(tmp_path / "digits", per_class=4)
    return tmp_path / "digits"


def test_a_grid_of_a_folder(cli, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("augment", data, "--augment", "medium", "--samples", 3, "--images", 2)
    assert (result.code, result.out, result.err) == (0, "augment.png\n", "")
    small = cv2.imread("augment.png")
    cli("augment", data, "--augment", "medium", "--samples", 5, "--images", 3, "--output", "b.jpg")
    large = cv2.imread("b.jpg")
    assert large.shape[0] > 1.3 * small.shape[0]
    assert large.shape[1] > 1.2 * small.shape[1]
    with open("b.jpg", "rb") as file:
        assert file.read(3) == b"\xff\xd8\xff"


def test_the_columns_are_what_the_epochs_train_on(cli, tmp_path, monkeypatch):
    """Read off the recipe: the pictures given to the grid are the loader's, epoch by epoch."""
    import cnncli.recipes.augment as recipe

    write_digits(tmp_path / "d", per_class=12)
    run = train(tmp_path / "runs", data=str(tmp_path / "d"), augment="medium", seed=7)
    drawn = {}
    monkeypatch.setattr(
        recipe, "save_grid", lambda path, rows, titles, note: drawn.update(rows=rows)
    )
    args = ("--config", run / "config.yaml", "--checkpoint", run, "--output", tmp_path / "a.png")
    assert cli("augment", *args).code == 2  # the config has a size, and so has the run
    text = (run / "config.yaml").read_text()
    config = load_config(str(run / "config.yaml"), {})
    (tmp_path / "c.yaml").write_text(text)
    assert cli("augment", "-c", tmp_path / "c.yaml", "--output", tmp_path / "a.png").code == 0
    from cnncli.augmentation.build import build_augment
    from cnncli.data.find_samples import find_samples
    from cnncli.training.checkpoint import load_checkpoint

    preprocess = load_checkpoint(run / "best.safetensors")[1].preprocess
    samples = find_samples(str(tmp_path / "d"))
    first = preprocess(samples.source.read(0))
    augment = build_augment(config.augment)
    row = drawn["rows"][0]
    np.testing.assert_array_equal(row.images[0], first)
    for epoch in range(1, 7):
        np.testing.assert_array_equal(row.images[epoch], augment(first, 7, epoch, 0))


def test_a_tables_columns_can_be_named(cli, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in sorted(data.rglob("*.png"))]
    pairs = itertools.pairwise(names)  # a file is the channel of one sample alone
    rows = "".join(f"{one},{two},{number % 2}\n" for number, (one, two) in enumerate(pairs))
    (tmp_path / "t.csv").write_text("pet,ct,kind\n" + rows)
    (tmp_path / "c.yaml").write_text("{data: t.csv, image_col: 'pet,ct', label_col: kind}")
    assert cli("augment", "t.csv").code == 2
    flags = ("--image-col", "pet,ct", "--label-col", "kind")
    for number, args in enumerate((("t.csv", *flags), ("--config", "c.yaml"))):
        made = cli("augment", *args, "--samples", 1, "--images", 1, "--output", f"{number}.png")
        assert made.code == 0, made.err
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


def test_each_step_by_itself(cli, data, tmp_path, monkeypatch):
    import cnncli.recipes.augment as recipe

    drawn = {}
    monkeypatch.setattr(
        recipe, "save_grid", lambda path, rows, titles, note: drawn.update(rows=rows)
    )
    text = "hflip p=0.01; rotate 30 border=black; GaussNoise p=0.2"
    result = cli("augment", data, "--augment", text, "--steps", "--output", tmp_path / "a.png")
    assert result.code == 0, result.err
    labels = [" ".join(row.label) for row in drawn["rows"]]
    assert labels == ["hflip p=0.01", "rotate -30:30 border=black", "GaussNoise p=0.2"]
    for image in drawn["rows"][0].images[1:]:  # forced, whatever its p
        np.testing.assert_array_equal(image, drawn["rows"][0].images[0][:, ::-1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_images_of_every_kind_are_drawn(cli, tmp_path, channels, dtype):
    scale = 1 if dtype == np.float32 else np.iinfo(dtype).max
    pixels = np.random.default_rng(0).random((40, 50, channels)) * scale
    np.save(tmp_path / "픽셀.npy", pixels.astype(dtype))
    out = tmp_path / "그림.png"
    result = cli("augment", tmp_path / "픽셀.npy", "--augment", "medical", "--output", out)
    assert (result.code, result.out) == (0, f"{out}\n"), result.err
    assert out.stat().st_size > 10_000


def test_pictures_of_many_channels():
    rng = np.random.default_rng(0)
    for channels, panels in ((1, 1), (2, 2), (3, 1), (4, 2), (5, 5), (9, 6)):
        image = rng.integers(0, 256, (40, 40, channels), dtype=np.uint8)
        picture = to_picture(image)
        assert picture.shape == (40, 40 * panels + panels - 1, 3)
        np.testing.assert_array_equal(to_picture(image.astype(np.float32) / 255), picture)
        assert bool(describe_channels(channels)) == (panels > 1)
    np.testing.assert_array_equal(picture[:, 41:81, 0], image[..., 1])


def test_a_grid_with_odd_labels(tmp_path):
    image = np.zeros((8, 8, 1), np.uint8)
    rows = [GridRow(["$x^2$\n", "x" * 300, "\ud7a3\U0001f984"], [image, image])]
    save_grid(tmp_path / "a.png", rows, ["original", "1"], "a note")
    assert cv2.imread(str(tmp_path / "a.png")) is not None


def test_classes_take_turns():
    order = spread_over_classes(np.array([2, 0, 0, 1, 0, 2]))
    assert order.tolist() == [1, 3, 0, 2, 5, 4]


def test_the_list_of_words(cli):
    rows = list(csv.DictReader(io.StringIO(cli("augment", "--list").out)))
    assert [row["word"] for row in rows] == [*WORDS, *LEVELS]
    told = {row["word"]: row for row in rows}
    assert told["rotate"]["arguments"] == "[angle=]-10:10 border=reflect"
    assert told["hue"]["channels"] == "3"
    for name in WORDS:  # what stands there can be written
        text = f"{name} {told[name]['arguments']}".replace(f"[{'x'}", "")
        parse_augment(text.replace("[", "").replace("]", ""))
    assert json.loads(cli("augment", "--list", "--format", "json").out)[0]["word"] == "hflip"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "IMG|DATA: missing"),
        (("nosuch.png",), "no such file or folder"),
        (("digits", "--augment", "hflp"), "--augment hflp: step 1"),
        (("digits", "--augment", "none"), "nothing to draw"),
        (("digits", "--augment", ""), "holds no step"),
        (("digits", "--image-col", "a"), "--image-col a: --data digits is no CSV"),
        (("digits", "--augment", "GausNoise"), "did you mean GaussNoise"),
        (("digits", "--augment", "hue"), "works on 3 channels"),
        (("digits", "--output", "a.gif"), "must end in .png, .jpg or .jpeg"),
        (("digits", "--output", "nosuch/a.png"), "there is no folder nosuch"),
        (("digits", "--samples", "0"), "--samples 0"),
        (("digits", "--image-size", "big"), "--image-size"),
        (("digits", "--checkpoint", "nosuch"), "no such run"),
        (("digits", "--config", "nosuch.yaml"), "No such file"),
        (("broken.png",), "broken.png: is not an image"),
    ],
)
def test_what_is_refused(cli, tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    result = cli("augment", *args)
    assert result.code == 2
    assert result.out == ""
    assert words in result.err.splitlines()[-1]


def test_a_run_keeps_its_steps_and_repeats_them_without_the_file(data, tmp_path):
    write_digits(data, per_class=12)
    steps = tmp_path / "steps.yaml"
    steps.write_text("- rotate: 5:10\n- GaussNoise: {std_range: [0.02, 0.08]}\n")
    run = train(tmp_path / "a", data=str(data), augment=str(steps))
    steps.unlink()
    kept = yaml.safe_load((run / "config.yaml").read_text())["augment"]
    assert kept[0] == {"rotate": {"angle": [5, 10], "border": "reflect", "p": 0.5}}
    assert kept[1]["GaussNoise"] == {  # with its defaults
        "std_range": [0.02, 0.08],
        "mean_range": [0.0, 0.0],
        "per_channel": True,
        "noise_scale_factor": 1,
        "p": 0.5,
    }
    config = load_config(str(run / "config.yaml"), {"output": str(tmp_path / "b")})
    from cnncli.recipes.train import train_run
    from cnncli.reporting import SilentReporter

    again = train_run(config, SilentReporter())
    columns = ("train_loss", "val_loss")
    first, second = (
        [
            {name: row[name] for name in columns}
            for row in csv.DictReader(io.StringIO((folder / "metrics.csv").read_text()))
        ]
        for folder in (run, again)
    )
    assert first == second


def test_a_step_that_cannot_work_is_refused_before_training(data, tmp_path):
    write_digits(data, per_class=12)
    with pytest.raises(CnncliError, match="step 2 'ToGray' fails on such images"):
        train(tmp_path / "runs", data=str(data), augment="hflip; ToGray")
    assert not list((tmp_path / "runs").glob("*"))
    with pytest.raises(CnncliError, match="unknown argument 'std'"):
        train(tmp_path / "runs", data="/nosuch", augment="GaussNoise std=3")


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real data are not here")
def test_the_medical_level_keeps_x_rays_upright_and_in_range():
    from cnncli.augmentation.build import build_augment
    from cnncli.images.preprocess import Preprocess

    augment, prepare = build_augment("medical"), Preprocess(160, 160, 1)
    for path in sorted((SHARED_DATA / "xray-sample").rglob("*.png"))[::12]:
        image = prepare([path.read_bytes()])
        for index in range(4):
            got = augment(image, 0, 1, index)
            near = np.corrcoef(image.ravel(), got.ravel())[0, 1]
            mirrored = np.corrcoef(image.ravel(), got[:, ::-1].ravel())[0, 1]
            assert near > 0.6
            assert near > mirrored - 0.1
