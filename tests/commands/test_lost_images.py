"""Images that can no longer be read while a run trains on a set that does not fit in memory."""

import csv

import pytest
from helpers import Heard, train, write_digits

from cnncli.config import RunConfig
from cnncli.errors import CnncliError
from cnncli.recipes.train import resume_run, train_run
from cnncli.reporting import SilentReporter
from cnncli.training.state import load_state


@pytest.fixture(autouse=True)
def _larger_than_memory(monkeypatch):
    for module in ("run.opened_images", "run.judge"):
        monkeypatch.setattr(f"cnncli.{module}.fits_in_memory", lambda *a: False)


@pytest.fixture
def data(tmp_path):
    write_digits(tmp_path / "data", per_class=20)
    return tmp_path / "data"


def read_rows(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def lose(data, output, split, after, restore=None, **settings):
    """Train three epochs; a file of a split is damaged after one of them. Return run, name, ears.

    Where the run ends with an error, that error is the fourth.
    """
    config = {"model": "lenet5", "epochs": 3, "device": "cpu", "precision": "fp32", "workers": 0}
    config = RunConfig(data=str(data), output=str(output), **(config | settings))
    ears, victim, error = Heard(), [], None

    def damage(row):
        if row["epoch"] == after:
            (run,) = output.iterdir()
            rows = read_rows(run / "splits.csv")
            victim.append(next(row["path"] for row in rows if row["split"] == split))
            path = data / victim[0]
            path.rename(path.with_suffix(".away"))
            path.write_bytes(b"")
        elif row["epoch"] == restore:
            (data / victim[0]).write_bytes((data / victim[0]).with_suffix(".away").read_bytes())

    try:
        train_run(config, ears, damage)
    except CnncliError as problem:
        error = problem
    (run,) = output.iterdir()
    return run, victim[0], ears.warnings, error


def mend(data, name):
    path = data / name
    path.with_suffix(".away").replace(path)


@pytest.mark.parametrize(
    ("split", "workers"),
    [("train", 0), ("val", 0), ("train", 2), pytest.param("val", 2, marks=pytest.mark.slow)],
)
def test_a_lost_image_ends_the_run_with_its_name(data, tmp_path, split, workers):
    run, name, _, error = lose(data, tmp_path / "runs", split, after=1, workers=workers)
    assert error is not None
    assert error.exit_code == 2
    assert f"{name} is empty (0 bytes); epoch 2 is not counted" in str(error)
    assert str(error).endswith(f"cnncli train --resume {run}")
    assert len(read_rows(run / "metrics.csv")) == load_state(run / "last.pt")["epoch"] == 1
    mend(data, name)
    resume_run(run, SilentReporter())
    alone = train(tmp_path / "alone", data=str(data), epochs=3, workers=workers)
    for file in ("best.safetensors", "report.json"):
        assert (run / file).read_bytes() == (alone / file).read_bytes()


def test_a_training_image_that_is_lost_is_left_out_once(data, tmp_path):
    """It is left out for good, though it can be read again in epoch 3."""
    run, name, warnings, error = lose(
        data, tmp_path / "runs", "train", after=1, restore=2, on_bad_image="skip"
    )
    assert error is None
    told = [text for text in warnings if name in text]
    assert told == [f"1 image cannot be used: {name} is empty (0 bytes); left out"]
    assert read_rows(run / "bad_images.csv") == [{"path": name, "reason": "is empty (0 bytes)"}]
    assert name not in {row["path"] for row in read_rows(run / "splits.csv")}
    assert len(read_rows(run / "metrics.csv")) == 3


def test_every_epoch_is_validated_on_the_same_images(data, tmp_path):
    run, name, _, error = lose(data, tmp_path / "runs", "val", after=2, on_bad_image="skip")
    assert error is not None
    assert error.exit_code == 2
    assert name in str(error)
    assert "epochs can be compared on the same val images only, so epoch 3 is not" in str(error)
    assert len(read_rows(run / "metrics.csv")) == 2
    mend(data, name)
    resume_run(run, SilentReporter())
    assert len(read_rows(run / "metrics.csv")) == 3


def test_a_val_image_mended_after_epoch_1_is_judged_in_epoch_1_too(data, tmp_path):
    """Epoch 1 ends with an error; when the image is back, the run is as if it had been there."""
    alone = train(tmp_path / "alone", data=str(data), epochs=2)
    name = next(r["path"] for r in read_rows(alone / "splits.csv") if r["split"] == "val")
    whole = (data / name).read_bytes()
    (data / name).write_bytes(b"")
    with pytest.raises(CnncliError, match=name):
        train(tmp_path / "runs", data=str(data), epochs=2)
    (run,) = (tmp_path / "runs").iterdir()
    (data / name).write_bytes(whole)
    splits = (run / "splits.csv").read_text()  # it holds the sizes of files
    (run / "splits.csv").write_text(splits.replace(",,0,", f",,{len(whole)},"))
    resume_run(run, SilentReporter())
    assert (run / "best.safetensors").read_bytes() == (alone / "best.safetensors").read_bytes()


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_a_test_image_lost_at_the_end_is_told(data, tmp_path, policy):
    run, name, warnings, error = lose(data, tmp_path / "runs", "test", after=3, on_bad_image=policy)
    if policy == "error":
        assert name in str(error)
        assert error.exit_code == 2
        assert not (run / "report.json").exists()
    else:
        assert any(name in text for text in warnings)
        assert [row["path"] for row in read_rows(run / "bad_images.csv")] == [name]


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_no_readable_val_image_is_one_line(data, tmp_path, policy):
    alone = train(tmp_path / "alone", data=str(data))
    for row in read_rows(alone / "splits.csv"):
        if row["split"] == "val":
            (data / row["path"]).write_bytes(b"")
    for settings in ({}, {"model": "resnet_small", "freeze": "backbone", "weights": "none"}):
        with pytest.raises(CnncliError, match="none of 9 images can be read") as caught:
            train(tmp_path / "runs", data=str(data), on_bad_image=policy, **settings)
        assert caught.value.exit_code == 2


def test_evaluate_tells_both_ways(cli, data, tmp_path):
    run = train(tmp_path / "runs", data=str(data))
    rows = [r["path"] for r in read_rows(run / "splits.csv") if r["split"] == "test"]
    (data / rows[0]).write_bytes(b"")
    args = ("evaluate", "--checkpoint", run, "--format", "json")
    said = cli(*args)
    assert said.code == 2
    assert rows[0] in said.err
    said = cli(*args, "--on-bad-image", "skip")
    assert said.code == 0
    assert f'"images": {len(rows) - 1}' in said.out
    for path in rows:
        (data / path).write_bytes(b"")
    said = cli(*args, "--on-bad-image", "skip")
    assert said.code == 2
    assert "no image is left to evaluate" in said.err


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_features_of_views_are_of_the_same_images(data, tmp_path, policy, monkeypatch):
    """An image that only the second view cannot read would shift all features behind it."""
    from cnncli.data.loader import Loader

    lost, kept = [], []
    plain = Loader.epoch

    def epoch(loader, number, *, skip=0):
        if number == 2 and not lost:
            dataset = loader._dataset
            lost.append(data / str(dataset.store.source.paths[dataset.indices[3]]))
            lost[0].write_bytes(b"")
        yield from plain(loader, number, skip=skip)

    monkeypatch.setattr(Loader, "epoch", epoch)
    from cnncli.run import build_inputs

    compute = build_inputs.compute_features

    def keep(*args, **options):
        kept.append(compute(*args, **options))
        return kept[-1]

    monkeypatch.setattr(build_inputs, "compute_features", keep)
    settings = {"model": "resnet_small", "freeze": "backbone", "weights": "none"}
    settings |= {"augment": "light", "augment_views": 2, "on_bad_image": policy, "workers": 0}
    if policy == "error":
        with pytest.raises(CnncliError, match=r"is empty \(0 bytes\)"):
            train(tmp_path / "runs", data=str(data), **settings)
    else:
        train(tmp_path / "runs", data=str(data), **settings)
    assert kept[0].values.shape[1] == len(kept[0].targets) == 41
