"""Several processes: the same steps, answers and files as one; gloo, two processes."""

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import chain

import numpy as np
import pytest
import torch
from helpers import run_process, train, write_digits

from cnncli.data.epoch_batches import BatchShard, EpochBatches
from cnncli.errors import CnncliError
from cnncli.recipes.train import resume_run
from cnncli.reporting import SilentReporter
from cnncli.torchrun import Place, read_place
from cnncli.training.checkpoint import list_kept_epochs
from cnncli.training.distributed import ALONE, World
from cnncli.training.history import TIME_COLUMNS

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
# Of 42 images 27 are trained on and 9 validate: last batches of 11 and of 3, shares of 6 and 5,
# 1 and 2, 4 and 5.
SETTINGS = {
    "model": "lenet5",
    "augment": "none",
    "device": "cpu",
    "precision": "fp32",
    "val_fraction": 0.2,
    "test_fraction": 0.125,
    "seed": 3,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("distributed") / "data"
    write_digits(root, classes=("0", "1", "7"), per_class=14)
    return str(root)


def flags(settings):
    names = (f"--{key.replace('_', '-')}" for key in settings)
    return list(chain.from_iterable(zip(names, map(str, settings.values()), strict=True)))


def read_metrics(run_dir):
    with (run_dir / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array(
        [[float(v) for k, v in row.items() if k not in (*TIME_COLUMNS, "stage")] for row in rows]
    )


def read_report(run_dir):
    return json.loads((run_dir / "report.json").read_text())


def only_run(output):
    (run_dir,) = output.iterdir()
    return run_dir


@contextlib.contextmanager
def launched(*args, cwd, count=2):
    """Start processes by torchrun; they end with it."""
    process = subprocess.Popen(
        [*TORCHRUN, str(count), *map(str, args)],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [{"model": "lenet5"}, {"model": "resnet_small", "norm": "group"}],
    ids=["lenet5", "group"],
)
def test_two_processes_take_the_steps_of_one(data, tmp_path, network):
    settings = {"data": data, "epochs": 3, "keep_every": 2, **SETTINGS, **network}
    with launched(
        "-m",
        "cnncli",
        "train",
        *flags({**settings, "batch_size": 8, "output": "two"}),
        cwd=tmp_path,
    ) as process:
        one = train(tmp_path / "one", **settings, batch_size=16)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    two = only_run(tmp_path / "two")
    assert out == f"two/{two.name}\n"
    assert err.count("epoch   1/3") == 1
    assert "batch 16 (8 in each of 2 processes), 2 steps per epoch" in err
    ours, expected = read_metrics(two), read_metrics(one)
    assert ours.shape == (3, expected.shape[1])
    names = [path.name for path in list_kept_epochs(two)]
    assert names == [path.name for path in list_kept_epochs(only_run(tmp_path / "one"))]
    np.testing.assert_allclose(ours, expected, rtol=1e-4)
    ours, expected = read_report(two), read_report(one)
    assert ours["images"] == expected["images"]
    assert ours["confusion_matrix"] == expected["confusion_matrix"]
    # As far as the weights agree; the ends of its interval hang on the losses of few images.
    assert ours["log_loss"] == pytest.approx(expected["log_loss"], rel=1e-4)


@pytest.mark.slow
def test_what_sums_gradients_freezes_and_goes_on_is_the_same_in_two_processes(data, tmp_path):
    """Accumulation, a change of what is trained, the average; and a run that was broken off."""
    settings = {"data": data, "epochs": 3, **SETTINGS}
    settings |= {"accumulate": 2, "ema": 0.9, "freeze": "backbone", "unfreeze_at": ["2"]}
    settings |= {"dropout": 0.0, "keep_state": True}
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from cnncli.config import RunConfig\n"
        "from cnncli.recipes.train import resume_run, train_run\n"
        "from cnncli.reporting import SilentReporter\n"
        "from cnncli.training.distributed import join_world\n"
        "def break_off(row):\n"
        "    if row['epoch'] == 2:\n"
        "        raise KeyboardInterrupt\n"
        f"settings = {settings!r}\n"
        "settings['batch_size'] = 6\n"
        "with join_world('cpu') as world:\n"
        "    config = RunConfig(**settings, output='whole')\n"
        "    train_run(config, SilentReporter(), world=world)\n"
        "    settings['dropout'] = 0.3\n"
        "    config = RunConfig(**settings, output='left')\n"
        "    train_run(config, SilentReporter(), world=world)\n"
        "    config = RunConfig(**settings, output='broken')\n"
        "    try:\n"
        "        train_run(config, SilentReporter(), break_off, world=world)\n"
        "    except KeyboardInterrupt:\n"
        "        (run_dir,) = Path('broken').iterdir()\n"
        "    if world.is_first:\n"
        "        (run_dir / 'epoch-2.pt').write_bytes((run_dir / 'last.pt').read_bytes())\n"
        "    world.barrier()\n"
        "    resume_run(run_dir, SilentReporter(), world=world)\n"
    )
    with launched(script, cwd=tmp_path) as process:
        # Ranks see 6 images of each batch of 12.
        one = train(tmp_path / "one", **settings, batch_size=12)
        _, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    np.testing.assert_allclose(
        read_metrics(only_run(tmp_path / "whole")), read_metrics(one), rtol=1e-4
    )
    left, broken = only_run(tmp_path / "left"), only_run(tmp_path / "broken")
    assert (left / "best.safetensors").read_bytes() == (broken / "best.safetensors").read_bytes()
    assert np.array_equal(read_metrics(left), read_metrics(broken))
    states = [torch.load(run / "last.pt", weights_only=True) for run in (left, broken)]
    for name, tensor in states[0]["network"].items():
        assert torch.equal(tensor, states[1]["network"][name])
    # Each process draws its own dropout, and keeps its place in it.
    (other,) = states[0]["ranks"]
    assert not torch.equal(states[0]["random"]["torch"], other["torch"])
    assert torch.equal(other["torch"], states[1]["ranks"][0]["torch"])

    (broken / "report.json").unlink()
    with pytest.raises(CnncliError, match=r"2 processes trained it, and this is 1; .*torchrun"):
        resume_run(broken, SilentReporter())


METRICS = "runs/*/metrics.csv"


def children(pid):
    """Return the processes that a process has started, by age."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return sorted(int(word) for word in file.read().split())


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_the_death_of_one_process_ends_all_with_one_line(data, tmp_path):
    settings = {"data": data, "epochs": 10_000, "patience": 10_000, "batch_size": 8, **SETTINGS}
    with launched(
        "-m", "cnncli", "train", *flags({**settings, "output": "runs"}), cwd=tmp_path
    ) as process:
        end = time.monotonic() + 90
        while not any(len(p.read_text().splitlines()) > 1 for p in tmp_path.glob(METRICS)):
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        os.kill(children(process.pid)[1], signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert "has lost the other processes: one of them was killed" in line
    assert torch.load(only_run(tmp_path / "runs") / "last.pt", weights_only=True)["epoch"] >= 1


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 18, 19, 31, 32, 33, 100])
@pytest.mark.parametrize("processes", [2, 3])
def test_the_shares_of_a_batch_are_the_batch(count, processes):
    whole = list(EpochBatches(count, 4 * processes, seed=5))
    shares = [
        list(EpochBatches(count, 4, seed=5, shard=BatchShard(rank, processes, max(2, processes))))
        for rank in range(processes)
    ]
    joined = [list(chain.from_iterable(parts)) for parts in zip(*shares, strict=True)]
    assert list(chain.from_iterable(joined)) == list(chain.from_iterable(whole))
    sizes = [[len(part) for part in parts] for parts in zip(*shares, strict=True)]
    assert all(max(parts) - min(parts) <= 1 for parts in sizes)
    assert all(min(parts) >= 1 for parts in sizes) or count < processes
    if processes == 2:
        assert joined == whole


@pytest.mark.parametrize("count", [0, 1, 7, 8])
def test_the_shares_of_a_split_are_the_split_in_its_order(count):
    items = np.arange(count)
    shares = [World(rank, 3).slice(items) for rank in range(3)]
    assert np.array_equal(np.concatenate(shares), items)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_world_of_one_asks_nobody():
    tensor = torch.tensor([1.0, 2.0])
    assert ALONE.sum_(tensor) is tensor
    assert ALONE.gather("x") == ["x"]
    assert ALONE.from_first("x") == "x"
    assert ALONE.is_first


def test_the_place_is_read_from_the_environment(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    assert read_place() is None
    monkeypatch.setenv("RANK", "5")
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert read_place() is None  # as some clusters set them for a job of one process
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    with pytest.raises(CnncliError, match="torchrun"):
        read_place()
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert read_place() == Place(5, 8, 1, 4)


def test_synchronised_batch_norm_needs_cuda(cli, data, tmp_path):
    result = cli(
        "train", "--data", data, "--sync-bn", "--device", "cpu", "--output", tmp_path / "runs"
    )
    assert result.code == 2
    assert result.error.startswith("--sync-bn: torch has it on CUDA only")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_processes_share_what_is_evaluated_and_predicted(cli, in_workspace, folder_data, tmp_path):
    """Three processes, an image that cannot be read among them: each image once, in its order."""
    images = tmp_path / "images"
    shutil.copytree(folder_data, images)
    first = min(images.rglob("*.png"))
    shutil.copy(first, first.with_name("broken.png"))
    first.with_name("broken.png").write_bytes(first.read_bytes()[:60])
    flags = ("--device", "cpu", "--precision", "fp32")
    evaluate = ("evaluate", "--data", images, "--split", "all", "--on-bad-image", "skip", *flags)
    predict = ("predict", images, "--batch-size", "4", "--format", "csv", *flags)
    for args, code in ((evaluate, 0), (predict, 3)):
        one = cli(*args)
        assert one.code == code, one.err
        with launched("-m", "cnncli", *args, cwd=in_workspace, count=3) as process:
            out, err = process.communicate(timeout=180)
        assert (process.returncode == 0) == (code == 0), err
        assert "Traceback (most recent call last)" not in err.split("elastic")[0]
        if args is predict:
            ours, expected = (list(csv.DictReader(text.splitlines())) for text in (out, one.out))
            assert [row["path"] for row in ours] == [row["path"] for row in expected]
            assert [row["label"] for row in ours] == [row["label"] for row in expected]
            assert [row["error"] for row in ours] == [row["error"] for row in expected]
            continue
        ours, expected = json.loads(out), json.loads(one.out)
        assert ours["images"] == expected["images"]
        assert ours["confusion_matrix"] == expected["confusion_matrix"]
        assert ours["log_loss"] == pytest.approx(expected["log_loss"], abs=1e-6)


def test_shards_of_predict_are_the_whole(cli, in_workspace, folder_data):
    def rows(*args):
        result = cli("predict", folder_data, "--format", "csv", "--device", "cpu", *args)
        assert result.code == 0, result.err
        return list(csv.DictReader(result.out.splitlines()))

    whole = rows()
    shards = [rows("--shard", f"{number}/4") for number in range(1, 5)]
    for number, shard in enumerate(shards):
        assert [row["path"] for row in shard] == [row["path"] for row in whole[number::4]]
        assert [row["label"] for row in shard] == [row["label"] for row in whole[number::4]]


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "1/2/3", "-1/2"])
def test_a_shard_that_is_none_is_refused(cli, in_workspace, folder_data, text):
    result = cli("predict", folder_data, f"--shard={text}")
    assert result.code == 2
    assert repr(text) in result.error


@pytest.mark.slow
def test_a_follower_leaves_the_word_to_the_first(tmp_path):
    """Its end, which torchrun brings about, comes before it would speak."""
    env = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    with pytest.raises(subprocess.TimeoutExpired) as quiet:
        run_process("train", "--nonsense", cwd=tmp_path, env=env, timeout=5)
    assert not quiet.value.stderr
