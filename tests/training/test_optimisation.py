"""Optimizers, losses, accumulation, averages and rollbacks in whole runs and in single steps."""

import csv
import os
import subprocess
import sys
import typing

import numpy as np
import pytest
import torch
from helpers import started, train, write_digits
from tiny_network import data as pixels
from tiny_network import loader, trainer
from torch import nn

from cnncli.choices import LossName, OptimizerName, SchedulerName
from cnncli.config import load_config
from cnncli.errors import CnncliError
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.penalties import Penalty
from cnncli.training.progress import Progress
from cnncli.training.state import load_state


class Plain(nn.Module):
    """(N, 2, 3, 3) to (N, 3), without BatchNorm: a batch's images do not see each other."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Sequential(nn.Flatten(), nn.Linear(18, 7), nn.Tanh(), nn.Linear(7, 3))

    def forward(self, x):
        return self.fc(x)


def run_epoch(batch_size, count=11, **options):
    network = Plain()
    ours = trainer(network, lr=0.05, clip=0.5)
    for name, value in options.items():
        setattr(ours, name, value)
    progress = Progress(1)
    ours.train_epoch(loader(*pixels(count), batch_size), progress, lambda n, text: None)
    return ours, progress, nn.utils.parameters_to_vector(network.parameters()).detach()


def test_accumulated_batches_are_one_large_batch():
    """11 images: steps of 8 and 3, as two batches of 4 and one of 3."""
    whole, in_whole, expected = run_epoch(8)
    summed, in_parts, got = run_epoch(4, accumulate=2)
    assert whole.step == summed.step == 2
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    assert in_parts.loss == pytest.approx(in_whole.loss, abs=1e-6)
    assert in_parts.accuracy == in_whole.accuracy


def test_a_batch_that_does_not_fit_goes_through_in_parts():
    _, _, expected = run_epoch(8)
    said = []

    def forward(images):
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return ours.classifier.outputs(images)

    network = Plain()
    ours = trainer(network, lr=0.05, clip=0.5)
    ours.forward, ours.warn = forward, said.append
    progress = Progress(1)
    ours.train_epoch(loader(*pixels(11), 8), progress, lambda n, text: None)
    got = nn.utils.parameters_to_vector(network.parameters()).detach()
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    assert progress.images == 11
    assert ours.microbatches == 4
    assert ["2 parts" in text or "4 parts" in text for text in said] == [True, True]


def test_one_image_that_does_not_fit_is_told():
    def forward(images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    ours = trainer(Plain())
    ours.forward = forward
    with pytest.raises(CnncliError, match="not enough memory for one image"):
        ours.train_epoch(loader(*pixels(5), 4), Progress(1), lambda n, text: None)


def test_a_penalty_is_part_of_the_step():
    """One step of plain SGD: w - lr · (g + l1 · sign w + l2 · w) on matrices, biases without."""
    free, penalised = Plain(), Plain()
    images, targets = pixels(5)
    for network, penalty in ((free, Penalty()), (penalised, Penalty(0.01, 0.1))):
        ours = trainer(network)
        ours.optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
        ours.penalty = penalty
        ours.train_epoch(loader(images, targets, 5), Progress(1), lambda n, text: None)
    start = Plain()
    for name, before in start.named_parameters():
        pull = 0.01 * (0.01 * before.sign() + 0.1 * before) if before.ndim > 1 else 0.0
        torch.testing.assert_close(
            dict(penalised.named_parameters())[name], dict(free.named_parameters())[name] - pull
        )


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    root = tmp_path_factory.mktemp("figures") / "data"
    write_digits(root, per_class=12)
    return root


@pytest.mark.parametrize("optimizer", typing.get_args(OptimizerName))
def test_every_optimizer_trains(figures, tmp_path, optimizer):
    run = train(tmp_path, data=str(figures), optimizer=optimizer, epochs=2)
    assert load_config(str(run / "config.yaml"), {}).optimizer == optimizer
    losses = [float(r["train_loss"]) for r in read_rows(run)]
    assert all(np.isfinite(losses))


def read_rows(run):
    return list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))


@pytest.mark.parametrize("scheduler", typing.get_args(SchedulerName))
def test_every_scheduler_trains(figures, tmp_path, scheduler):
    train(tmp_path, data=str(figures), scheduler=scheduler, epochs=2)


@pytest.mark.parametrize("loss", [*typing.get_args(LossName)])
def test_every_loss_trains_and_mixes(figures, tmp_path, loss):
    run = train(tmp_path, data=str(figures), loss=loss, mixup=0.2, cutmix=1.0, ema=0.9)
    _, checkpoint = load_checkpoint(run / "best.safetensors")
    assert checkpoint.ordered == (loss == "ordinal")  # 0, 1 and 2 are grades only then


def test_an_order_is_needed_for_ordinal(folder_data, tmp_path):
    with pytest.raises(CnncliError, match="--loss ordinal: the order of the classes"):
        train(tmp_path, data=str(folder_data), loss="ordinal")
    train(tmp_path, data=str(folder_data), loss="ordinal", class_order=["zero", "one", "two"])


def test_momentum_where_there_is_none_is_refused(figures, tmp_path):
    with pytest.raises(CnncliError, match="--momentum: adamw has none"):
        train(tmp_path, data=str(figures), momentum=0.5)


def test_the_average_is_what_is_kept(figures, tmp_path):
    run = train(tmp_path, data=str(figures), ema=0.5, epochs=1, keep_state=True)
    state = load_state(run / "last.pt")
    network, _ = load_checkpoint(run / "best.safetensors")
    for name, kept in network.state_dict().items():
        torch.testing.assert_close(kept, state["trainer"]["average"][f"module.{name}"])
    assert any(
        not torch.equal(kept, state["network"][name]) for name, kept in network.state_dict().items()
    )


def test_a_plateau_lowers_the_rate(figures, tmp_path):
    run = train(
        *(tmp_path,),
        data=str(figures),
        scheduler="plateau",
        warmup=0.0,
        lr=1e-9,  # nothing gets better
        monitor="val_accuracy",
        epochs=8,
        patience=5,
    )
    rates = [float(row["lr"]) for row in read_rows(run)]
    assert rates[:2] == [1e-9, 1e-9]
    np.testing.assert_allclose(rates[2:5], [1e-10, 1e-11, 1e-12])


def test_rollback_goes_back_and_halves(cli, figures, tmp_path, monkeypatch):
    """A rate that breaks the weights in epoch 1 is halved three times, then the error is told."""
    monkeypatch.chdir(tmp_path)
    args = ("train", "--data", figures, "--model", "lenet5", "--epochs", 2, "--clip-grad", 0)
    args = (*args, "--optimizer", "sgd", "--warmup", 0, "--augment", "none")
    plain = cli(*args, "--lr", 1e20)
    assert plain.code == 1
    assert "the loss is not finite in epoch" in plain.err
    assert "(1e+20) is probably too high; try --lr 1e+19, or --on-nan rollback" in plain.err
    said = cli(*args, "--lr", 1e20, "--on-nan", "rollback")
    assert said.code == 1
    assert [f"({n} of 3)" in said.err for n in (1, 2, 3)] == [True] * 3
    assert "times 0.125" in said.err
    assert said.err.rstrip().endswith("(1.25e+19) is probably too high; try --lr 1e+18")


def test_a_time_limit_ends_a_run_cleanly(cli, figures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ("train", "--data", figures, "--model", "lenet5", "--epochs", 100_000)
    said = cli(*args, "--time-limit", "4s", "--patience", 100_000)
    assert said.code == 0, said.err
    assert "stopped: the time is over" in said.err
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "report.json").exists()


@pytest.mark.slow
def test_a_killed_loader_process_is_named(figures, tmp_path):
    args = ("train", "--data", figures, "--model", "lenet5", "--epochs", 10_000)
    with started(*args, "--patience", 9999, "--workers", 1, cwd=tmp_path) as process:
        for _ in range(600):
            children = subprocess.run(
                ["ps", "--ppid", str(process.pid), "-o", "pid="], capture_output=True, text=True
            ).stdout.split()
            rows = list(tmp_path.glob("runs/*/metrics.csv"))
            if children and rows and len(rows[0].read_text().splitlines()) > 2:
                break
            assert process.poll() is None, process.stderr.read()
            subprocess.run(["sleep", "0.1"])
        os.kill(int(children[0]), 9)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.strip().splitlines()[-1].startswith("Error: a loader process was killed"), err
    assert "Traceback" not in err


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of 600 kB; mounting needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_the_last_state_is_whole(cli, figures, small_disk):
    """lenet5's weights are 0.25 MB, its last.pt 0.75: there is room for neither a second time."""
    args = ("train", "--data", figures, "--model", "cnn", "--image-size", 32, "--epochs", 3)
    said = cli(*args, "--output", small_disk)
    assert said.code == 1
    last = said.err.strip().splitlines()[-1]
    assert "cannot be written: " in last
    assert "No space left on device" in last
    assert not list(small_disk.rglob("*.part"))
    assert "Traceback" not in said.err


@pytest.mark.skipif(os.geteuid() == 0 and sys.platform == "linux", reason="root writes anywhere")
def test_a_read_only_run_folder_is_one_line(figures, tmp_path):
    with started(
        *("train", "--data", figures, "--model", "lenet5", "--epochs", 10_000), cwd=tmp_path
    ) as process:
        while not list(tmp_path.glob("runs/*/best.safetensors")):
            assert process.poll() is None
        (run,) = tmp_path.glob("runs/*")
        run.chmod(0o555)
        _, err = process.communicate(timeout=60)
        run.chmod(0o755)
    assert process.returncode == 1
    assert "cannot be written: Permission denied" in err
