"""``train --keep-every``: the checkpoints of a run's epochs, and what takes them."""

import csv
import io
import json

import pytest
import torch
from helpers import train, write_digits

from cnncli.config import RunConfig
from cnncli.files import run_dir_of
from cnncli.recipes.train import resume_run, train_run
from cnncli.reporting import SilentReporter
from cnncli.training.checkpoint import list_kept_epochs, load_checkpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_digits(root)
    return str(root)


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    return train(tmp_path_factory.mktemp("runs"), data=data, epochs=5, keep_every=2)


def tensors_of(path):
    return load_checkpoint(path)[0].state_dict()


def same(one, other):
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_the_beginning_and_every_second_epoch_are_kept(run):
    kept = list_kept_epochs(run)
    assert [path.name for path in kept] == [f"000{n}.safetensors" for n in (0, 2, 4)]
    checkpoints = [load_checkpoint(path)[1] for path in kept]
    assert [checkpoint.epoch for checkpoint in checkpoints] == [0, 2, 4]
    with (run / "metrics.csv").open(newline="") as file:
        rows = {int(row["epoch"]): row for row in csv.DictReader(file)}
    assert checkpoints[0].metrics == {}
    for checkpoint in checkpoints[1:]:
        row = rows[checkpoint.epoch]
        assert checkpoint.metrics["val_loss"] == pytest.approx(float(row["val_loss"]), abs=1e-6)
    best = load_checkpoint(run / "best.safetensors")[1]
    for path, checkpoint in zip(kept, checkpoints, strict=True):
        assert run_dir_of(path) == run == run_dir_of(run / "best.safetensors")
        assert checkpoint.preprocess == best.preprocess
        if checkpoint.epoch == best.epoch:
            assert path.read_bytes() == (run / "best.safetensors").read_bytes()


def test_the_weights_differ_and_those_of_the_beginning_are_the_first_steps(run, data, tmp_path):
    first, second, third = map(tensors_of, list_kept_epochs(run))
    assert not same(first, second)
    assert not same(second, third)
    still = train(tmp_path, data=data, epochs=1, keep_every=1, lr=1e-30)
    assert same(first, tensors_of(still / "best.safetensors"))


def test_none_are_kept_without_it_and_nothing_else_changes(run, data, tmp_path):
    other = train(tmp_path, data=data, epochs=5)
    assert list_kept_epochs(other) == []
    assert not (other / "epochs").exists()
    assert (run / "best.safetensors").read_bytes() == (other / "best.safetensors").read_bytes()


def test_a_resumed_run_keeps_the_same(run, data, tmp_path):
    def break_off(row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    config = {"model": "lenet5", "device": "cpu", "precision": "fp32", "epochs": 5}
    with pytest.raises(KeyboardInterrupt):
        train_run(
            RunConfig(data=data, output=str(tmp_path), keep_every=2, **config),
            SilentReporter(),
            break_off,
        )
    (stopped,) = tmp_path.iterdir()
    assert [int(path.stem) for path in list_kept_epochs(stopped)] == [0, 2]
    resume_run(stopped, SilentReporter())
    one, other = list_kept_epochs(run), list_kept_epochs(stopped)
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_predict_and_evaluate_take_one(cli, run, data):
    kept = run / "epochs" / "0002.safetensors"
    result = cli("predict", data, "--checkpoint", kept, "--format", "csv")
    assert result.code == 0, result.err
    assert len(list(csv.DictReader(io.StringIO(result.out)))) == 36
    own = cli("evaluate", "--checkpoint", kept, "--format", "json")
    assert own.code == 0, own.err
    assert json.loads(own.out)["split"] == "test"


def test_the_average_is_kept_where_there_is_one(data, tmp_path):
    run = train(tmp_path, data=data, epochs=1, keep_every=1, ema=0.9)
    assert (run / "epochs" / "0001.safetensors").read_bytes() == (
        run / "best.safetensors"
    ).read_bytes()
