"""Tune: a search with Optuna; the training is played, but for one test."""

import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fresh_process import HEAVY, run

from cnncli.config import RunConfig, load_config
from cnncli.errors import CnncliError
from cnncli.recipes.tune.space import load_search
from cnncli.recipes.tune.study import open_study, trial_rows
from cnncli.recipes.tune.tune import plan_search, tune
from cnncli.reporting import SilentReporter
from cnncli.run.lock import this_process
from cnncli.training.history import StopRun

optuna = pytest.importorskip("optuna", reason="the extra cnncli[tune] is not installed")

SPACE = {"data": "digits", "epochs": 6, "search": {"lr": {"low": 0.0001, "high": 1, "log": True}}}


class Talk(SilentReporter):
    """Keeps what is said."""

    def __init__(self):
        self.notes, self.warnings, self.tables = [], [], []

    def note(self, text):
        self.notes.append(text)

    def warn(self, text):
        self.warnings.append(text)

    def table(self, title, rows, layout=None):
        self.tables.append(rows)


class Player:
    """Plays ``train_run``: val loss falls by epoch to the distance of lr from 0.01."""

    def __init__(self, fail=lambda config: None):
        self.configs, self.fail, self.judged = [], fail, []

    def __call__(self, config, reporter, *, on_epoch=None, evaluate_best=True):
        self.configs.append(config)
        self.judged.append(evaluate_best)
        reporter.note("an epoch")
        reporter.warn("the data are odd")
        if error := self.fail(config):
            raise error
        run_dir = Path(config.output) / "run"
        run_dir.mkdir(parents=True)
        (run_dir / "metrics.csv").touch()
        for epoch in range(1, config.epochs + 1):
            loss = abs(config.lr - 0.01) + 1 / epoch
            losses = {"val_loss": loss, "val_calibrated_loss": loss}
            on_epoch({"epoch": epoch, **losses, "val_accuracy": 1 - loss, "kept": 1})
        return run_dir


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Return a function that writes a space and plans its search."""
    monkeypatch.chdir(tmp_path)

    def make(space=SPACE, flags=None, **options):
        Path("space.yaml").write_text(yaml.safe_dump(space))
        return plan_search(load_search("space.yaml", flags or {}), **options)

    return make


def test_the_best_is_printed_as_a_config(plan, tmp_path):
    talk, player = Talk(), Player()
    settings = plan(trials=6, pruner="none")
    text = tune(settings, talk, player)
    best = min(player.configs, key=lambda config: abs(config.lr - 0.01))
    (tmp_path / "best.yaml").write_text(text)
    config = load_config("best.yaml", {})
    assert config == RunConfig(data="digits", epochs=6, lr=best.lr)
    number = player.configs.index(best)
    assert text.startswith(f"# trial {number} of study space: val_calibrated_loss ")
    assert f"cnncli evaluate --checkpoint runs/tune/space/trial_{number:04}/run" in talk.notes[-1]
    assert player.judged == [False] * 6  # the test split is for the best alone
    (rows,) = talk.tables
    losses = [row["val_calibrated_loss"] for row in rows]
    assert losses == sorted(losses)
    assert rows[0]["epoch"] == 6
    assert talk.warnings == ["the data are odd"]  # once
    assert "an epoch" not in talk.notes


def test_a_trial_whose_process_was_killed_is_failed(plan):
    settings = plan(trials=1)
    study = open_study(settings)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    gone = vars(this_process()) | {"pid": process.pid}
    for holder in (gone, vars(this_process()), gone | {"host": "node7"}, None):
        trial = study.ask()
        if holder is not None:
            trial.set_user_attr("process", holder)
    talk = Talk()
    tune(settings, talk, Player())
    states = [trial.state.name for trial in open_study(settings).trials]
    assert states == ["FAIL", "RUNNING", "RUNNING", "RUNNING", "COMPLETE"]
    assert "trials [0] were running when their process was killed: failed" in talk.notes


def test_each_trial_has_a_folder_of_its_own(plan):
    tune(plan(flags={"output": "elsewhere"}, trials=3), SilentReporter(), Player())
    runs = sorted(path.as_posix() for path in Path("elsewhere/tune/space").glob("*/*"))
    assert runs == [f"elsewhere/tune/space/trial_{number:04}/run" for number in range(3)]
    assert Path("elsewhere/tune/space.db").is_file()


def test_a_search_that_goes_on_is_the_search_left_alone(plan):
    """Each trial draws from its own stream: 4 and 8 more trials are 12, and none is a repetition.

    More than the 10 trials that TPE draws at random, so that what it has learnt counts too.
    """
    whole, parts = Player(), Player()
    tune(plan(flags={"output": "whole"}, trials=12), SilentReporter(), whole)
    tune(plan(flags={"output": "parts"}, trials=4), SilentReporter(), parts)
    tune(plan(flags={"output": "parts"}, trials=8), SilentReporter(), parts)
    assert [config.lr for config in parts.configs] == [config.lr for config in whole.configs]
    assert len({config.lr for config in parts.configs}) == 12
    other = Player()
    tune(plan(flags={"output": "seed", "seed": 100}, trials=2), SilentReporter(), other)
    assert other.configs[0].lr != whole.configs[0].lr


def test_bad_trials_are_pruned(plan):
    """From the sixth trial and epoch 3 on, one that is worse than the median so far stops."""
    talk = Talk()
    settings = plan(trials=25)
    tune(settings, talk, Player())
    study = open_study(settings)
    pruned = [trial for trial in study.trials if trial.state.name == "PRUNED"]
    assert pruned
    for trial in pruned:
        last, value = max(trial.intermediate_values.items())
        ended = [t for t in study.trials[: trial.number] if t.state.name == "COMPLETE"]
        assert trial.number >= 5
        assert last >= 3
        assert value > statistics.median(other.intermediate_values[last] for other in ended)
    assert any("pruned after epoch" in note for note in talk.notes)
    states = [row["state"] for row in trial_rows(study, settings)]
    assert states == sorted(states)  # complete before pruned


def test_a_run_that_returns_after_stop_run_is_pruned_too(plan):
    class Catching(Player):
        def __call__(self, *args, **extra):
            try:
                return super().__call__(*args, **extra)
            except StopRun:
                return None

    settings = plan(trials=25)
    tune(settings, SilentReporter(), Catching())
    assert {t.state.name for t in open_study(settings).trials} == {"COMPLETE", "PRUNED"}


@pytest.mark.slow
def test_hyperband_prunes_too(plan):
    settings = plan({**SPACE, "epochs": 9}, trials=30, pruner="hyperband")
    tune(settings, SilentReporter(), Player())
    assert "PRUNED" in {trial.state.name for trial in open_study(settings).trials}


def test_accuracy_is_maximised(plan):
    player = Player()
    text = tune(plan(flags={"monitor": "val_accuracy"}, trials=5), SilentReporter(), player)
    best = min(player.configs, key=lambda config: abs(config.lr - 0.01))
    assert f"lr: {best.lr}" in text


def test_a_trial_that_fails_is_told_and_the_search_goes_on(plan):
    def fail(config):
        return CnncliError("the loss is not finite") if config.lr > 0.01 else None

    talk, player = Talk(), Player(fail)
    settings = plan(trials=8, pruner="none")
    tune(settings, talk, player)
    failed = [config for config in player.configs if config.lr > 0.01]
    assert 0 < len(failed) < 8
    told = [note for note in talk.notes if "failed: the loss is not finite: lr " in note]
    assert len(told) == len(failed)
    assert [row["run"] for row in talk.tables[0]].count("the loss is not finite") == len(failed)
    assert f"the best of {8 - len(failed)} and" in talk.notes[-1]


def test_what_fails_alike_from_the_start_ends_the_search(plan):
    player = Player(lambda config: CnncliError("--data: no such folder"))
    with pytest.raises(CnncliError, match="first 3 trials failed alike: --data: no such folder"):
        tune(plan(trials=50), SilentReporter(), player)
    assert len(player.configs) == 3


def test_no_trial_that_ended_is_an_error(plan):
    player = Player(lambda config: CnncliError("oh"))
    with pytest.raises(CnncliError, match="study space: no trial has ended; the last error: oh"):
        tune(plan(trials=2), SilentReporter(), player)


def test_an_interrupted_trial_is_not_left_open(plan):
    settings = plan(trials=2)
    with pytest.raises(KeyboardInterrupt):
        tune(settings, SilentReporter(), Player(lambda config: KeyboardInterrupt()))
    (trial,) = open_study(settings).trials
    assert trial.state.name == "FAIL"


@pytest.mark.parametrize("code", [130, 143])
def test_a_signal_ends_the_search_and_not_the_trial_alone(plan, code):
    settings, player = plan(trials=5), Player(lambda config: CnncliError("", exit_code=code))
    with pytest.raises(CnncliError, match="stopped in trial 0; the same command goes on") as error:
        tune(settings, SilentReporter(), player)
    assert error.value.exit_code == code
    assert [trial.state.name for trial in open_study(settings).trials] == ["FAIL"]
    tune(settings, SilentReporter(), Player())


def test_the_same_settings_are_not_trained_twice(plan):
    talk, player = Talk(), Player()
    tune(plan({**SPACE, "search": {"lr": [0.1, 0.01]}}, trials=6), talk, player)
    assert sorted(config.lr for config in player.configs) == [0.01, 0.1]
    assert sum(": as trial " in note for note in talk.notes) == 4


def test_another_search_of_that_name_is_refused(plan):
    tune(plan(trials=1), SilentReporter(), Player())
    with pytest.raises(CnncliError, match=r"--study space: was begun with .*epochs: 6, now 7"):
        tune(plan(flags={"epochs": 7}, trials=1), SilentReporter(), Player())
    tune(plan(flags={"epochs": 7}, trials=1, study="longer"), SilentReporter(), Player())
    with pytest.raises(CnncliError, match=r"seed: not set, now 5"):  # it draws the splits
        tune(plan(flags={"seed": 5}, trials=1), SilentReporter(), Player())
    elsewhere = {"device": "cpu", "workers": 2, "checkpoint_every": 9, "log": "tensorboard"}
    tune(plan(flags=elsewhere, trials=1), SilentReporter(), Player())


def test_a_storage_is_shared(plan, tmp_path):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    for _ in range(2):
        tune(plan(storage=url, trials=2), SilentReporter(), Player())
    assert len(optuna.load_study(study_name="space", storage=url).trials) == 4


@pytest.mark.parametrize("url", ["sqlite:////nosuch/x.db", "nonsense://x", "postgresql://h/db"])
def test_a_storage_that_cannot_be_used_is_one_line(plan, url):
    with pytest.raises(CnncliError, match=f"--storage {url}: cannot be used: ") as error:
        tune(plan(storage=url), SilentReporter(), Player())
    assert "\n" not in str(error.value)


def test_values_are_those_of_the_space(plan):
    space = {
        "batch_size": {"low": 8, "high": 32, "step": 8},
        "dropout": {"low": 0, "high": 0.5, "step": 0.1},
        "model": ["cnn", "lenet5"],
    }
    player = Player()
    player_lr = Player.__call__

    class Fixed(Player):
        def __call__(self, config, reporter, **extra):
            return player_lr(self, config.model_copy(update={"lr": 0.5}), reporter, **extra)

    player = Fixed()
    tune(plan({**SPACE, "search": space}, trials=12, pruner="none"), SilentReporter(), player)
    assert {config.batch_size for config in player.configs} <= {8, 16, 24, 32}
    assert {config.dropout for config in player.configs} <= {0, 0.1, 0.2, 0.3, 0.4, 0.5}
    assert {config.model for config in player.configs} == {"cnn", "lenet5"}


MISTAKES = [
    ((), "--config"),
    (("-c", "nosuch.yaml"), "--config nosuch.yaml: No such file"),
    (("-c", "space.yaml", "--lr", "0.1"), "search: lr: is searched and has --lr too"),
    (("-c", "space.yaml", "--monitor", "val_los"), "--monitor val_los: one of"),
    (("-c", "space.yaml", "--study", "a/b"), "--study a/b: names a folder too"),
    (("-c", "typo.yaml"), "typo.yaml: lr -1"),
    (("-c", "typo2.yaml"), "lenet6: no such model"),
]


@pytest.mark.parametrize(("args", "text"), MISTAKES, ids=lambda value: str(value)[:40])
def test_mistakes_are_told_at_once(plan, args, text):
    plan()
    Path("typo.yaml").write_text("data: digits\nsearch: {lr: [0.1, -1]}\n")
    Path("typo2.yaml").write_text("data: digits\nsearch: {model: [cnn, lenet6]}\n")
    modules, said = run("tune", *args, exit_code=2)
    assert text in said
    assert said.strip().count("\n") == 0
    assert modules & (HEAVY | {"optuna"}) == set()


def test_without_optuna_one_line_says_so(plan, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(CnncliError, match=r"tune: needs Optuna .*pip install 'cnncli\[tune\]'"):
        plan()


def test_a_real_search(tmp_path, folder_data, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {"data": str(folder_data), "model": "lenet5", "epochs": 1, "search": {"lr": [0.001]}}
    Path("space.yaml").write_text(yaml.safe_dump(space))
    result = cli("tune", "-c", "space.yaml", "--trials", "1", "--device", "cpu")
    assert result.code == 0, result.err
    (found,) = Path("runs/tune/space").glob("trial_0000/*/best.safetensors")
    assert not (found.parent / "report.json").exists()
    Path("best.yaml").write_text(result.out)
    assert load_config("best.yaml", {}).lr == 0.001
