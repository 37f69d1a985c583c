"""``--threads``, the column of ``metrics.csv``, and what a resumed run takes from ``last.pt``."""

import csv
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from helpers import Heard

from cnncli.config import RunConfig
from cnncli.recipes.train import resume_run, train_run
from cnncli.run import threads as run_threads
from cnncli.run.fold_figures import read_threads
from cnncli.training.device import choose_compute
from cnncli.training.state import load_state
from cnncli.training.threads import Choice


class KilledError(Exception):
    """Ends a run as a power cut does."""


def pretend(patch):
    """Let measurements of up to four threads return the numbers in a list, which is returned.

    Torch computes with one thread whatever it is told.
    """
    torch_has, numbers = [1], []
    patch.setattr(torch, "set_num_threads", lambda number: torch_has.__setitem__(0, number))
    patch.setattr(torch, "get_num_threads", lambda: torch_has[0])
    patch.setattr(run_threads, "bound_threads", lambda processes: 4)

    def choose(take_step, batch, most):
        take_step(2, 1e9)
        found = numbers.pop(0)
        return found if isinstance(found, Choice) else Choice(found)

    patch.setattr(run_threads, "choose_threads", choose)
    return numbers


@pytest.fixture
def measured(monkeypatch):
    """Return the list of the numbers that measurements will give."""
    return pretend(monkeypatch)


@pytest.fixture
def config(folder_data, tmp_path):
    """Return a function that returns the settings of a small run."""
    own = {"data": str(folder_data), "model": "lenet5", "output": str(tmp_path / "runs")}
    return lambda **settings: RunConfig(**own, **settings)


@pytest.fixture(scope="module")
def killed(folder_data, tmp_path_factory):
    """Return a run that ended after its first epoch of two, with two threads, and what it said."""
    root, reporter = tmp_path_factory.mktemp("killed"), Heard()

    def kill(row):
        raise KilledError

    settings = {"data": str(folder_data), "model": "lenet5", "output": str(root), "epochs": 2}
    with pytest.MonkeyPatch.context() as patch:
        pretend(patch).append(2)
        with pytest.raises(KilledError):
            train_run(RunConfig(**settings), reporter, kill)
    (run_dir,) = root.iterdir()
    return run_dir, reporter


@pytest.fixture
def own_copy(killed, tmp_path):
    """Return a copy of that run to go on with."""
    return shutil.copytree(killed[0], tmp_path / "killed")


def threads_of(run_dir):
    with (run_dir / "metrics.csv").open() as file:
        return [row["threads"] for row in csv.DictReader(file)]


def test_the_number_is_told_and_saved(killed):
    run_dir, reporter = killed
    (plan,) = [note for note in reporter.notes if "parameters" in note]
    assert "2 threads (by a short measurement; at most 4)" in plan
    assert threads_of(run_dir) == ["2"]
    assert load_state(run_dir / "last.pt")["threads"] == 2
    assert yaml.safe_load((run_dir / "config.yaml").read_text())["threads"] == "auto"


def test_a_resumed_run_takes_the_number_from_its_state(measured, own_copy):
    reporter = Heard()
    resume_run(own_copy, reporter)  # a measurement would find no number in the list
    assert threads_of(own_copy) == ["2", "2"]
    assert not reporter.warnings


def test_a_state_without_the_column_is_gone_on_with(measured, own_copy, monkeypatch):
    state = load_state(own_copy / "last.pt")
    for row in state["rows"]:
        del row["threads"]
    monkeypatch.setattr("cnncli.run.resume.load_state", lambda path: state)
    resume_run(own_copy, Heard())
    assert threads_of(own_copy) == ["", "2"]


def test_fewer_cores_than_the_run_had_are_warned_of(measured, own_copy, monkeypatch):
    monkeypatch.setattr(run_threads, "bound_threads", lambda processes: 1)
    reporter = Heard()
    resume_run(own_copy, reporter)
    told = "1 thread where the run had 2: results may differ in the last digits"
    assert reporter.warnings == [told]
    assert threads_of(own_copy) == ["2", "1"]


def test_a_second_look_counts_from_the_next_epoch_on(measured, config, monkeypatch):
    measured += [2, 1]
    asked = iter([False, True, False])
    monkeypatch.setattr(
        "cnncli.training.thread_count.ThreadCount._has_changed", lambda self, rows: next(asked)
    )
    reporter = Heard()
    run_dir = train_run(config(epochs=4), reporter)
    assert threads_of(run_dir) == ["2", "2", "1", "1"]
    (told,) = [note for note in reporter.notes if "in place of" in note]
    assert told.startswith("1 thread in place of 2 from epoch 3 on")


def test_an_epoch_that_is_begun_anew_is_as_if_the_number_had_been_right(
    measured, config, monkeypatch
):
    """Weights, optimizer, moving average and random states are those of the beginning."""
    monkeypatch.setattr("cnncli.training.thread_count._WINDOW", 0.0)
    measured += [Choice(2, 1e12), Choice(1, 1.0)]  # no machine is so quick
    settings = {"epochs": 1, "batch_size": 8, "dropout": 0.3, "ema": 0.9, "keep_state": True}
    reporter = Heard()
    found = train_run(config(**settings), reporter)
    assert not measured
    (told,) = [note for note in reporter.notes if "begins anew" in note]
    assert told.startswith("1 thread in place of 2, by a new measurement: epoch 1 was at ")
    assert threads_of(found) == ["1"]
    expected = train_run(config(threads=1, **settings), Heard())
    assert (found / "best.safetensors").read_bytes() == (expected / "best.safetensors").read_bytes()
    one, other = (load_state(path / "last.pt") for path in (found, expected))
    assert one["threads"] == other["threads"] == 1
    assert torch.equal(one["random"]["torch"], other["random"]["torch"])
    for key, value in other["trainer"]["average"].items():
        assert torch.equal(one["trainer"]["average"][key], value)


def test_what_is_saved_within_an_epoch_keeps_its_number(measured, config, monkeypatch):
    monkeypatch.setattr("cnncli.training.thread_count._WINDOW", 0.0)
    measured += [Choice(2, 1e12)]  # another measurement would find no number
    run_dir = train_run(config(epochs=1, batch_size=8, checkpoint_every=1), Heard())
    assert threads_of(run_dir) == ["2"]


def test_a_number_that_is_given_is_taken(measured, config, monkeypatch):
    monkeypatch.setattr(run_threads, "count_cpus", lambda: 1)
    reporter = Heard()
    assert threads_of(train_run(config(epochs=1, threads=2), reporter)) == ["2"]
    assert reporter.warnings == [
        "--threads 2: this process may use 1 core; more threads than cores are slower"
    ]


def test_a_fold_begins_with_the_number_of_the_one_before(measured, config, cli, tmp_path):
    measured += [2]  # for the first fold alone
    folds = ("--folds", 3, "--epochs", 1, "--model", "lenet5", "--output", tmp_path)
    folder = Path(cli("cross-validate", "--data", config().data, *folds).out.strip())
    assert [threads_of(folder / f"fold{number}") for number in (1, 2, 3)] == [["2"]] * 3
    assert read_threads(folder) == 2
    (folder / "fold3" / "metrics.csv").unlink()
    lines = (folder / "fold2" / "metrics.csv").read_text().splitlines()
    without = "\n".join(line.rpartition(",")[0] for line in lines) + "\n"
    (folder / "fold2" / "metrics.csv").write_text(without)  # of an older version
    assert read_threads(folder) == 2
    (folder / "fold1" / "metrics.csv").write_text(without)
    assert read_threads(folder) == 0


def test_where_folds_share_features_the_number_stays(
    measured, config, cli, run_dir, tmp_path, monkeypatch
):
    """A fold that is resumed computes the features with its own number: it must be the first's."""
    measured += [2]  # another measurement would find no number in the list
    monkeypatch.setattr(
        "cnncli.training.thread_count.ThreadCount._has_changed", lambda self, rows: True
    )
    frozen = ("--finetune", "--weights", run_dir, "--freeze", "backbone", "--head", "epochs")
    folds = ("--folds", 2, "--epochs", 2, "--model", "lenet5", "--output", tmp_path)
    result = cli("cross-validate", "--data", config().data, *folds, *frozen)
    assert result.code == 0, result.err
    assert "features are those of the first fold" in result.err
    for number in (1, 2):
        assert threads_of(Path(result.out.strip()) / f"fold{number}") == ["2", "2"]


def test_a_fold_with_fewer_cores_than_the_one_before_says_so(measured, config, monkeypatch):
    compute = choose_compute("cpu", "fp32")
    kept = SimpleNamespace(threads=3)
    run = SimpleNamespace(config=config(), compute=compute, threads=Choice(), kept=kept)
    reporter = Heard()
    assert run_threads.start_threads(run, None, None, reporter).now == 3
    assert not reporter.warnings
    monkeypatch.setattr(run_threads, "bound_threads", lambda processes: 2)
    assert run_threads.start_threads(run, None, None, reporter).now == 2
    told = "2 threads where the run had 3: results may differ in the last digits"
    assert reporter.warnings == [told]


def test_features_are_computed_again_with_their_own_number(measured, config):
    compute = choose_compute("cpu", "fp32")
    run = SimpleNamespace(config=config(), compute=compute, threads=Choice(), kept=None)
    state = {"threads": 1, "rows": [{"threads": 3}, {"threads": 1}]}
    reporter = Heard()
    threads = run_threads.start_threads(run, None, state, reporter)
    assert (threads.first, threads.now, torch.get_num_threads()) == (3, 1, 3)
    assert not reporter.warnings


def test_print_config_has_it(cli):
    for given, shown in (((), "auto"), (("--threads", "3"), 3), (("--threads", "auto"), "auto")):
        result = cli("train", "--data", "digits", *given, "--print-config")
        assert yaml.safe_load(result.out)["threads"] == shown


@pytest.mark.parametrize("wrong", ["0", "-1", "two", "1025", "1.5"])
def test_a_wrong_number_is_one_line(cli, wrong):
    result = cli("train", "--data", "digits", "--threads", wrong)
    assert result.code == 2
    told = f"--threads {wrong}: must be a whole number from 1 to 1024, or auto"
    assert result.err.strip() == f"Error: {told}"
