"""Train, end to end: what it prints, what it writes, what it refuses."""

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from helpers import train, write_digits

from cnncli.config import load_config
from cnncli.data.epoch_batches import EpochBatches
from cnncli.plots.curves import save_curves
from cnncli.reporting import SilentReporter
from cnncli.training.history import COLUMNS

QUICK = ("--model", "lenet5", "--epochs", "1", "--precision", "fp32", "--device", "cpu")
FILES = {
    "config.yaml",
    "splits.csv",
    "data_check.json",
    "metrics.csv",
    "curves.png",
    "best.safetensors",
    "report.json",
    "predictions.csv",
    "val_predictions.csv",
}
TIMES = {"seconds", "images_per_second"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read_metrics(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def without_times(run):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read_metrics(run)]


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnncli.run.fit.save_curves", save_curves)  # the fixtures draw empty ones
        return train(tmp_path_factory.mktemp("digits"), data="digits", epochs=2)


def test_stdout_is_the_run_folder_alone(cli):
    result = cli("train", "--data", "digits", *QUICK, "--epochs", "2")
    assert result.code == 0, result.err
    assert result.out.count("\n") == 1
    assert re.fullmatch(r"runs/\d{4}-\d\d-\d\d_\d{6}_lenet5\n", result.out)
    run = Path(result.out.strip())
    assert {path.name for path in run.iterdir()} == FILES
    assert result.err.index("1259 train, 269 val, 269 test") < result.err.index("epoch   1/2")
    assert "test, 269 images" in result.err


def test_metrics_csv(digits_run):
    text = (digits_run / "metrics.csv").read_text()
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert text.startswith(
        "epoch,seconds,images_per_second,lr,train_loss,train_accuracy,val_loss,val_accuracy,"
    )
    rows = read_metrics(digits_run)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row in rows:
        assert row.pop("stage") == "all"
        assert row.pop("threads") == "1"
        values = {name: float(value) for name, value in row.items()}
        assert all(np.isfinite(list(values.values())))
        assert values["seconds"] > 0
        assert values["images_per_second"] > 0
        for name in ("train_accuracy", "val_accuracy", "val_balanced_accuracy", "val_macro_f1"):
            assert 0 <= values[name] <= 1
        # so many val images were right: a whole number of 269
        assert values["val_accuracy"] * 269 == pytest.approx(
            round(values["val_accuracy"] * 269), abs=1e-3
        )
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])


def test_rows_are_on_disk_as_their_epochs_end(tmp_path):
    from cnncli.config import RunConfig
    from cnncli.recipes.train import train_run

    seen = []

    class Watching(SilentReporter):
        def note(self, text):
            if text.startswith("epoch"):
                (run,) = tmp_path.glob("runs/*")
                seen.append([row["epoch"] for row in read_metrics(run)])

    write_digits("data", per_class=8)
    train_run(RunConfig(data="data", model="lenet5", epochs=3, patience=9), Watching())
    assert seen == [["1"], ["1", "2"], ["1", "2", "3"]]


def test_files_of_a_run(digits_run):
    with (digits_run / "splits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "split", "group", "bytes", "hash"]
    assert len(rows) == 1797
    assert min(cv2.imread(str(digits_run / "curves.png")).shape[:2]) > 400
    report = json.loads((digits_run / "report.json").read_text())
    assert (report["split"], report["images"]) == ("test", 269)
    assert report["class_names"] == [str(digit) for digit in range(10)]
    assert report["quadratic_kappa"] is None  # whole numbers alone are no grades
    modes = {path.name: path.stat().st_mode & 0o777 for path in digits_run.iterdir()}
    assert len(set(modes.values())) == 1, modes  # safetensors makes files for their owner only


def test_config_yaml_runs_again_to_the_same(digits_run, tmp_path):
    written = yaml.safe_load((digits_run / "config.yaml").read_text())
    assert None not in [written[name] for name in ("image_size", "batch_size", "lr", "patience")]
    config = load_config(str(digits_run / "config.yaml"), {"output": str(tmp_path)})
    again = train(**config.model_dump())
    assert yaml.safe_load((again / "config.yaml").read_text()) == {
        **written,
        "output": str(tmp_path),
    }
    assert _weights(again) == _weights(digits_run)
    assert without_times(again) == without_times(digits_run)


def _weights(run):
    from safetensors.numpy import load_file

    return {k: v.tobytes() for k, v in load_file(run / "best.safetensors").items()}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("small") / "data"
    write_digits(root, per_class=14)
    return root


@pytest.mark.parametrize("model", [pytest.param("lenet5", marks=pytest.mark.slow), "cnn"])
def test_seeds_and_workers(small, tmp_path, model):
    """``cnn`` has dropout: the random numbers of the network itself count too."""
    settings = {"data": str(small), "model": model, "epochs": 2, "batch_size": 8, "lr": 0.003}
    first = train(tmp_path, seed=1, workers=0, **settings)
    again = train(tmp_path, seed=1, workers=0, **settings)
    parallel = train(tmp_path, seed=1, workers=2, **settings)
    other = train(tmp_path, seed=2, workers=0, **settings)
    assert _weights(first) == _weights(again)
    assert without_times(first) == without_times(again)
    assert _weights(first) == _weights(parallel)
    assert without_times(first) == without_times(parallel)
    assert _weights(first) != _weights(other)


def refused(cli, *args, code=2):
    """Return the one line of a refusal that leaves nothing behind."""
    before = set(Path.cwd().rglob("*"))
    result = cli("train", *args)
    assert (result.code, result.out) == (code, ""), result.err
    assert set(Path.cwd().rglob("*")) == before
    return result


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc here")
def test_unwritable_output(cli):
    said = refused(cli, "--data", "digits", *QUICK, "--output", "/proc/nope").error
    assert "--output /proc/nope" in said
    Path("file").touch()
    assert "--output file" in refused(cli, "--data", "digits", *QUICK, "--output", "file").error


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--data", "nosuch"), "--data nosuch: no such file or folder"),
        (("--data", "digit"), "did you mean digits"),
        (("--data", "empty"), "no images"),
        (("--data", "single"), "only one class"),
        (("--data", "good", "--model", "lenet"), "no such model; did you mean lenet5"),
        (("--data", "good", "--monitor", "val_los"), "did you mean val_loss"),
        (("--data", "good", "--monitor", "train_loss"), "one of val_loss"),
        (("--data", "good", "--device", "gpu"), "auto, cpu, cuda"),
        (("--data", "good", "--device", "cuda:99"), "--device cuda:99"),
        (("--data", "good", "--device", "cpu", "--precision", "fp16"), "bf16 or fp32"),
        (("--data", "good", "--model", "resnet18", "--batch-size", "1"), "BatchNorm"),
        (("--data", "good", "--image-size", "8"), "16"),
        (("--data", "good", "--class-order", "0,1"), "'2' is missing"),
        (("--data", "good", "--group-regex", "("), "not a regular expression"),
        (("--data", "good", "--lr", "-1"), "--lr -1.0: must be a number above 0"),
    ],
)
def test_refused_in_one_line(cli, args, words):
    write_digits("good", per_class=5)
    write_digits("single", classes=("4",), per_class=5)
    Path("empty/a").mkdir(parents=True)
    Path("empty/a/note.txt").write_text("no image")
    model = () if "--model" in args else ("--model", "lenet5")
    assert words in refused(cli, *args, *model).error


def test_bad_images_are_listed_before_epoch_1(cli):
    paths = write_digits("data", per_class=6)
    paths[3].write_bytes(b"not an image")
    paths[8].write_bytes(paths[8].read_bytes()[:60])
    paths[10].write_bytes(b"")
    result = refused(cli, "--data", "data", *QUICK)
    for index in (3, 8, 10):
        assert paths[index].name in result.error
    assert "3 images" in result.error


def test_a_last_batch_of_one_with_batch_norm(tmp_path):
    """21 train images in batches of 2 leave one over, which BatchNorm could not train on."""
    write_digits("data", per_class=15)  # 7 of each class are trained on: 21
    run = train(
        tmp_path / "runs", data="data", model="resnet_small", image_size="16",
        batch_size=2, val_fraction=0.25, test_fraction=0.25, seed=3,
    )  # fmt: skip
    with (run / "splits.csv").open() as file:
        count = sum(row["split"] == "train" for row in csv.DictReader(file))
    assert count == 21
    sizes = [len(batch) for batch in EpochBatches(count, 2, seed=0)]
    assert sizes[-1] == 3
    assert len(read_metrics(run)) == 1


def test_class_order_gives_quadratic_kappa(cli):
    write_digits("data", per_class=20, names=("mild", "none", "severe"))
    result = cli("train", "--data", "data", *QUICK, "--class-order", "none,mild,severe")
    run = Path(result.out.strip())
    report = json.loads((run / "report.json").read_text())
    assert report["class_names"] == ["none", "mild", "severe"]
    assert yaml.safe_load((run / "config.yaml").read_text())["class_order"] == report["class_names"]
    assert report["quadratic_kappa"] is not None
    result = cli("train", "--data", "data", *QUICK)
    report = json.loads((Path(result.out.strip()) / "report.json").read_text())
    assert report["class_names"] == ["mild", "none", "severe"]
    assert report["quadratic_kappa"] is None
    assert "kappa" not in result.err


def test_the_monitor_by_kappa_makes_whole_numbers_grades(cli):
    from sklearn.metrics import cohen_kappa_score

    write_digits("data", per_class=20)
    result = cli("train", "--data", "data", *QUICK, "--epochs", "2", "--test-fraction", "0",
                 "--monitor", "val_quadratic_kappa")  # fmt: skip
    assert result.code == 0, result.err
    run = Path(result.out.strip())
    rows = read_metrics(run)
    kappas = [float(row["val_quadratic_kappa"]) for row in rows]
    assert cli("evaluate", "--checkpoint", run, "--output", "judged").code == 0
    with Path("judged/predictions.csv").open(newline="") as file:
        pairs = [(int(row["target"]), int(row["label"])) for row in csv.DictReader(file)]
    expected = cohen_kappa_score(*zip(*pairs, strict=True), weights="quadratic")
    assert max(kappas) == pytest.approx(expected, abs=1e-5)
    assert yaml.safe_load((run / "config.yaml").read_text())["monitor"] == "val_quadratic_kappa"
    listed = json.loads(cli("compare", run, "--format", "json").out)
    assert str(round(max(kappas), 3)) in json.dumps(listed)


@pytest.mark.slow
def test_kappa_of_one_class_cannot_choose(cli):
    write_digits("data/train", per_class=8)
    write_digits("data/val", classes=("1",), per_class=4, start=20)
    result = cli("train", "--data", "data", *QUICK, "--monitor", "val_quadratic_kappa")
    assert result.code == 2
    assert "Error: --monitor val_quadratic_kappa: undefined, since all val" in result.err
    result = cli("train", "--data", "data", *QUICK, "--ordered")
    assert result.code == 0, result.err
    assert "val_quadratic_kappa" not in read_metrics(Path(result.out.strip()))[0]


def test_early_stopping_ends_a_run(cli, small):
    """With a vanishing learning rate the predictions never change: no epoch is better."""
    result = cli("train", "--data", small, *QUICK, "--epochs", "40", "--patience", "2",
                 "--lr", "1e-12", "--monitor", "val_accuracy")  # fmt: skip
    assert result.code == 0
    rows = read_metrics(Path(result.out.strip()))
    assert 3 <= len(rows) < 40
    assert "stopped: 2 epochs without a better one" in result.err


def test_a_loss_that_is_not_finite_names_its_place(cli, small):
    result = refused(cli, "--data", small, *QUICK, "--lr", "1e30", code=1)
    last = result.err.splitlines()[-1]
    assert re.search(r"^Error: the loss is not finite in epoch 1, by step \d+: ", last)
    assert "--lr" in last


def test_warnings_and_layouts(cli):
    """Train/val without test: judged on val, and said so; a class that val lacks is a warning."""
    write_digits("data/train", per_class=8)
    write_digits("data/val", classes=("0", "1"), per_class=4, start=20)
    Path("data/train/0/Thumbs.db").write_bytes(b"x")
    result = cli("train", "--data", "data", *QUICK)
    assert result.code == 0
    assert "Warning: no image of 2 in val" in result.err
    assert "1 file that is no image is skipped" in result.err
    run = Path(result.out.strip())
    report = json.loads((run / "report.json").read_text())
    assert (report["split"], report["images"]) == ("val (chosen on)", 8)
    assert report["per_class"][2]["recall"] is None


def test_grey_and_colour_and_shape(tmp_path):
    """A colour set of another size gives three channels, stored with their normalisation."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Path("data", name).mkdir(parents=True)
        for number in range(6):
            image = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
            assert cv2.imwrite(f"data/{name}/{number}.png", image)
    run = train(tmp_path / "runs", data="data", model="cnn", image_size="24x36", resize_mode="pad")
    from cnncli.training.checkpoint import load_checkpoint

    network, checkpoint = load_checkpoint(run / "best.safetensors")
    assert checkpoint.preprocess.image_size == (24, 36)
    assert checkpoint.preprocess.channels == network.conv1.in_channels == 3
    assert len(checkpoint.preprocess.mean) == 3
    assert checkpoint.preprocess.resize_mode == "pad"
