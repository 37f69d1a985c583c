"""16-bit, many-channel and many-file sets of real digits from end to end; and bad files."""

import csv
import json

import cv2
import numpy as np
import pytest
import tifffile
import torch
from helpers import train, write_digits

from cnncli.config import RunConfig
from cnncli.data.store import fits_in_memory
from cnncli.errors import CnncliError
from cnncli.reporting import SilentReporter
from cnncli.run.prepare import prepare
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.device import Compute


def to_deep(grey, path):
    cv2.imwrite(str(path.with_suffix(".png")), grey.astype(np.uint16) * 257)


def to_two(grey, path):
    np.save(path.with_suffix(".npy"), np.stack([grey * 3.0 - 100, 255.0 - grey], axis=2))


def to_four(grey, path):
    channels = np.stack([grey, grey // 2, 255 - grey, cv2.blur(grey, (3, 3))], axis=2)
    tifffile.imwrite(
        path.with_suffix(".tif"), channels, photometric="rgb", extrasamples=["unspecified"]
    )


def to_pair(grey, path):
    cv2.imwrite(str(path.with_name(f"{path.stem}_a.png")), grey)
    cv2.imwrite(str(path.with_name(f"{path.stem}_b.png")), 255 - grey)


KINDS = {"deep": (to_deep, 1), "two": (to_two, 2), "four": (to_four, 4), "pair": (to_pair, 2)}


def make(kind, root):
    """Turn three classes of digits into a set of a kind; return what ``--data`` is to name."""
    rows = []
    for source in write_digits(root / "plain", per_class=12):
        grey = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)
        folder = root / "data" / source.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        KINDS[kind][0](grey, folder / source.name)
        rows.append((source.parent.name, source.stem))
    if kind != "pair":
        return root / "data"
    with (root / "data" / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image_1", "image_2", "label"))
        writer.writerows((f"{c}/{name}_a.png", f"{c}/{name}_b.png", c) for c, name in rows)
    return root / "data" / "table.csv"


@pytest.mark.parametrize("kind", KINDS)
def test_train_evaluate_predict(cli, kind, tmp_path):
    data = make(kind, tmp_path)
    run = train(tmp_path / "runs", data=str(data), epochs=2)
    _, checkpoint = load_checkpoint(run / "best.safetensors")
    assert checkpoint.preprocess.channels == KINDS[kind][1]
    assert checkpoint.preprocess.dtype == ("float32" if kind in ("deep", "two") else "uint8")
    report = cli("evaluate", "--checkpoint", run, "--format", "json")
    assert json.loads(report.out) == json.loads((run / "report.json").read_text())
    first = read_column(run / "splits.csv", "path")[0]
    files = [(data.parent if kind == "pair" else data) / part for part in first.split("|")]
    answer = cli("predict", *files, "--checkpoint", run)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[1].startswith("|".join(map(str, files)))
    # Evaluate reads the images through the store, predict one by one: the same tensors.
    out = cli(
        "evaluate",
        "--checkpoint",
        run,
        "--split",
        "all",
        "--output",
        tmp_path / "out",
    )
    assert out.code == 0
    place = read_column(tmp_path / "out/predictions.csv", "path").index(first)
    told = {
        name: read_column(tmp_path / "out/predictions.csv", name)[place]
        for name in ("label", "probability")
    }
    predicted = answer.out.splitlines()[1].split(",")
    assert predicted[1] == told["label"]
    assert float(predicted[2]) == pytest.approx(float(told["probability"]), abs=2e-6)


def test_pairs_on_stdin_lie_between_tabs(cli, tmp_path):
    data = make("pair", tmp_path)
    run = train(tmp_path / "runs", data=str(data))
    a, b = (str(data.parent / "0" / f"0000_{name}.png") for name in "ab")
    said = cli("predict", "-", "--checkpoint", run, stdin=f"{a}\t{b}\n" * 2)
    assert said.code == 0
    assert said.out.count(f"{a}|{b}") == 2
    lacking = cli("predict", a, b, a, "--checkpoint", run)
    assert lacking.code == 2
    assert "2 files, one behind the other, and this one lacks 1" in lacking.err


def test_alpha_can_be_asked_for(tmp_path):
    for path in write_digits(tmp_path / "data", per_class=12):
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        clear = np.dstack([np.zeros_like(grey)] * 3 + [grey])  # all that is to see is in alpha
        cv2.imwrite(str(path), clear)
    run = train(tmp_path / "runs", data=str(tmp_path / "data"), in_channels=4)
    assert load_checkpoint(run / "best.safetensors")[1].preprocess.keep_alpha
    with pytest.raises(CnncliError, match="the images have 1 channel, alpha not counted"):
        train(tmp_path / "runs", data=str(tmp_path / "data"), in_channels=5)


def test_the_window_of_a_run_is_told_and_kept(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in write_digits(tmp_path / "data", per_class=12):
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), grey.astype(np.uint16) * 16)  # 12 bits in 16
    said = cli(*("train", "--data", "data", "--model", "lenet5", "--epochs", 1))
    assert "grey as float32, intensity 0:4095" in said.err
    (run,) = (tmp_path / "runs").iterdir()
    assert "intensity: 0:4095" in (run / "config.yaml").read_text()
    (window,) = load_checkpoint(run / "best.safetensors")[1].preprocess.windows
    assert window.high == 4095 / 65535


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_what_the_window_found_cuts_is_told(tmp_path, share):
    """One image of 110 that was not looked at has brighter values than the others' 12 bits."""
    rng = np.random.default_rng(1)
    unseen = sorted(set(range(110)) - set(np.linspace(0, 109, 96).astype(int)))[3]
    for number in range(110):
        levels = rng.integers(0, 4096, (20, 20), dtype=np.uint16)
        levels[0, 0] = 4095
        if number == unseen:
            levels.flat[: round(share * 400)] = 60000
        path = tmp_path / "ab"[number // 55] / f"{number:03d}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), levels)
    said = []

    class Ears(SilentReporter):
        def warn(self, text):
            said.append(text)

    config = RunConfig(data=str(tmp_path), model="lenet5", image_size="16")
    run = prepare(config, Compute(torch.device("cpu"), "fp32"), Ears())
    assert run.config.intensity == "0:4095"
    told = [text for text in said if "0:4095" in text]
    if not share:
        assert told == []
    else:
        (text,) = told
        assert text.startswith("1 image has more than 1% of their values beyond")
        assert f"{unseen:03d}.png: 5%" in text


@pytest.mark.parametrize(
    ("intensity", "warned"),
    [("0:4095", False), ("1000:3000", False), ("0:10", True), ("50000:60000", True)],
)
def test_a_named_window_that_leaves_nothing_is_told(tmp_path, intensity, warned):
    """A narrow window may be meant; one of which nothing is left is not."""
    rng = np.random.default_rng(2)
    for number in range(12):
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 4096, (20, 20), dtype=np.uint16))
    said = []

    class Ears(SilentReporter):
        def warn(self, text):
            said.append(text)

    config = RunConfig(data=str(tmp_path), model="lenet5", image_size="16", intensity=intensity)
    prepare(config, Compute(torch.device("cpu"), "fp32"), Ears())
    assert any("12 images have more than 90% of their values beyond" in t for t in said) == warned


@pytest.fixture
def damaged(tmp_path):
    """Return a folder of 3 × 20 digits of which three cannot be read, and their paths."""
    paths = write_digits(tmp_path / "data", per_class=20)
    chosen = [paths[4], paths[25], paths[50]]
    chosen[0].write_bytes(b"")
    chosen[1].write_bytes(chosen[1].read_bytes()[:60])
    chosen[2].write_text("no image")
    return tmp_path / "data", [f"{p.parent.name}/{p.name}" for p in chosen]


def read_column(path, name):
    return [row[name] for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]


@pytest.mark.parametrize("in_memory", [True, False])
def test_bad_images_are_listed_or_skipped(cli, damaged, tmp_path, monkeypatch, in_memory):
    data, bad = damaged
    module = "cnncli.run.opened_images.fits_in_memory"
    monkeypatch.setattr(module, lambda *a: in_memory and fits_in_memory(*a))
    with pytest.raises(CnncliError, match="3 images cannot be used") as caught:
        train(tmp_path / "strict", data=str(data), epochs=3)
    assert all(name in str(caught.value) for name in bad)
    runs = list((tmp_path / "strict").iterdir()) if (tmp_path / "strict").exists() else []
    if in_memory:
        assert runs == []  # before the first epoch
    else:
        (run,) = runs  # in the first epoch, which is kept
        assert (run / "best.safetensors").exists()
        assert len(read_column(run / "metrics.csv", "epoch")) == 1
    run = train(tmp_path / "skip", data=str(data), epochs=2, on_bad_image="skip")
    assert sorted(read_column(run / "bad_images.csv", "path")) == sorted(bad)
    assert "is empty (0 bytes)" in read_column(run / "bad_images.csv", "reason")
    seen = read_column(run / "splits.csv", "path")
    assert len(seen) == 57
    assert not set(seen) & set(bad)
    said = cli("evaluate", "--checkpoint", run, "--format", "json")
    assert said.code == 0
    assert "left out, as in the run, since they cannot be read: 3" in said.err
    assert json.loads(said.out) == json.loads((run / "report.json").read_text())


def test_evaluate_skips_them_too(cli, damaged, run_dir):
    data, _ = damaged
    for name, digit in (("zero", "0"), ("one", "1"), ("two", "2")):
        (data / digit).rename(data / name)
    args = ("evaluate", "--checkpoint", run_dir, "--data", data, "--split", "all")
    strict = cli(*args)
    assert strict.code == 2
    assert "3 images cannot be used" in strict.err
    said = cli(*args, "--on-bad-image", "skip", "--format", "json")
    assert said.code == 0
    assert "3 images cannot be used" in said.err
    assert json.loads(said.out)["images"] == 57


def test_what_is_left_must_suffice(tmp_path):
    paths = write_digits(tmp_path / "data", per_class=5)
    for path in paths[:5]:
        path.write_bytes(b"")
    with pytest.raises(CnncliError, match="no image of 0 is left to train on"):
        train(tmp_path / "runs", data=str(tmp_path / "data"), on_bad_image="skip")
