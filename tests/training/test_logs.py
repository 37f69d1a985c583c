"""Logs beside metrics.csv: TensorBoard's read back for real, MLflow and W&B against a double."""

import csv
import json
import struct
import sys
from types import ModuleType, SimpleNamespace

import pytest

from cnncli.choices import LogName
from cnncli.errors import CnncliError
from cnncli.training import logs
from cnncli.training.history import COLUMNS
from cnncli.training.logs import check_log, open_log

ROWS = [dict.fromkeys(COLUMNS, 0.5) | {"epoch": e, "val_loss": 1 / e, "lr": 1e-3} for e in (1, 2)]
CONFIG = {"lr": 1e-3, "dropout": None, "augment": [{"hflip": {"p": 0.5}}]}
NUMBERS = [{k: v for k, v in row.items() if k not in ("epoch", "stage")} for row in ROWS]


def iterate_values(folder):
    """Yield (step, value) of all event files in a folder.

    TFRecord: length (8 bytes), its CRC (4), an Event as protobuf, its CRC (4).
    """
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    for path in folder.glob("events.out.tfevents.*"):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack("<Q", data[place : place + 8])
            event = event_pb2.Event.FromString(data[place + 12 : place + 12 + length])
            place += 16 + length
            yield from ((event.step, value) for value in event.summary.value)


def read_events(folder):
    """Return {(name, step): value} and the texts of all event files in a folder."""
    values, texts = {}, {}
    for step, value in iterate_values(folder):
        if value.HasField("simple_value"):
            values[value.tag, step] = value.simple_value
        else:
            texts[value.tag] = value.tensor.string_val[0].decode()
    return values, texts


def count_points(folder):
    return sum(value.HasField("simple_value") for _, value in iterate_values(folder))


def test_tensorboard_gets_the_numbers_of_metrics_csv(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra cnncli[tensorboard] is not installed")
    for row in ROWS:  # resumed in between, within a second
        log = open_log("tensorboard", tmp_path, CONFIG)
        log.log(row)
        log.close()
    assert log.place == str(tmp_path / "tensorboard")
    values, texts = read_events(tmp_path / "tensorboard")
    expected = {(n, e): v for e, row in enumerate(NUMBERS, 1) for n, v in row.items()}
    assert values == pytest.approx(expected, rel=1e-6)  # they are float32
    (text,) = texts.values()
    assert "    lr: 0.001\n" in text
    assert '    augment: [{"hflip": {"p": 0.5}}]' in text


class FakeMlflow:
    """MLflow's client, as far as it is used."""

    runs: dict

    def __init__(self, tracking_uri):
        self.uri = tracking_uri

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name, artifact_location):
        return {"cnncli": "1"}[name]

    def create_run(self, experiment, run_name):
        run_id = f"id{len(self.runs)}"
        self.runs[run_id] = {"name": run_name, "uri": self.uri, "params": {}, "rows": {}}
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def log_param(self, run_id, key, value):
        self.runs[run_id]["params"][key] = value

    def log_metric(self, run_id, key, value, step):
        self.runs[run_id]["rows"].setdefault(step, {})[key] = value

    def update_run(self, run_id, status):
        self.runs[run_id]["status"] = status

    set_terminated = update_run


@pytest.fixture
def mlflow_runs(monkeypatch):
    tracking = ModuleType("mlflow.tracking")
    tracking.MlflowClient = FakeMlflow
    monkeypatch.setattr(FakeMlflow, "runs", {}, raising=False)
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", tracking)
    monkeypatch.setattr(logs, "find_spec", lambda name: name)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return FakeMlflow.runs


def test_mlflow_gets_the_numbers_of_metrics_csv(tmp_path, mlflow_runs):
    for row in ROWS:
        log = open_log("mlflow", tmp_path, CONFIG)
        assert mlflow_runs["id0"]["status"] == "RUNNING"
        log.log(row)
        log.close(failed=row["epoch"] == 1)
        assert mlflow_runs["id0"]["status"] == ("FAILED" if row["epoch"] == 1 else "FINISHED")
    (run,) = mlflow_runs.values()  # resumed: the same one
    assert run["rows"] == dict(enumerate(NUMBERS, 1))
    assert run["name"] == tmp_path.name
    assert run["uri"] == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert json.loads(run["params"]["augment"]) == CONFIG["augment"]


def test_mlflow_goes_where_the_user_says(tmp_path, mlflow_runs, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.org")
    assert open_log("mlflow", tmp_path, CONFIG).place == "http://example.org"
    assert mlflow_runs["id0"]["uri"] == "http://example.org"


@pytest.fixture
def wandb(monkeypatch):
    """Return a double of W&B; its ``calls`` are the arguments of init, its ``rows`` the logs."""
    double = ModuleType("wandb")
    double.calls, double.rows, double.known, double.ended = [], {}, False, []
    double.Settings = lambda **settings: settings
    double.login = lambda prompt, verify: double.known

    def init(**arguments):
        double.calls.append(arguments)
        return SimpleNamespace(
            log=lambda values, step: double.rows.update({step: values}),
            finish=lambda exit_code: double.ended.append(exit_code),
            url="https://example.org/run",
        )

    double.init = init
    monkeypatch.setitem(sys.modules, "wandb", double)
    monkeypatch.setattr(logs, "find_spec", lambda name: name)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return double


def test_wandb_gets_the_numbers_of_metrics_csv(tmp_path, wandb):
    for row in ROWS:
        log = open_log("wandb", tmp_path, CONFIG)
        log.log(row)
        log.close(failed=row["epoch"] == 1)
    assert wandb.rows == dict(enumerate(NUMBERS, 1))
    assert wandb.ended == [1, 0]
    first, second = wandb.calls
    assert first["id"] == second["id"]
    assert first["config"] == CONFIG | {"augment": json.dumps(CONFIG["augment"])}
    assert first["dir"] == tmp_path
    assert first["mode"] == "offline"
    assert log.place == str(tmp_path / "wandb")


def test_wandb_is_online_for_who_is_logged_in_or_says_so(tmp_path, wandb, monkeypatch):
    wandb.known = True
    assert open_log("wandb", tmp_path, CONFIG).place == "https://example.org/run"
    assert wandb.calls[-1]["mode"] == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    open_log("wandb", tmp_path, CONFIG)
    assert wandb.calls[-1]["mode"] == "offline"


def test_what_is_not_finite_is_left_out(tmp_path, wandb):
    open_log("wandb", tmp_path, {}).log(ROWS[0] | {"train_loss": float("nan")})
    assert wandb.rows[1] == {k: v for k, v in NUMBERS[0].items() if k != "train_loss"}


def test_a_log_that_fails_does_not_end_the_training(tmp_path, wandb):
    warnings = []
    log = open_log("wandb", tmp_path, CONFIG, warnings.append)

    def init(values, step):
        raise ConnectionError("the server is gone\nfor long")

    log._sink._run.log = init
    for row in ROWS:
        log.log(row)
    log.close()
    assert warnings == ["--log wandb: stopped: the server is gone; metrics.csv goes on"]


def test_a_log_that_cannot_begin_is_one_line(tmp_path, wandb):
    def init(**arguments):
        raise RuntimeError("no space\nat all")

    wandb.init = init
    with pytest.raises(CnncliError, match=r"^--log wandb: cannot be opened: no space$"):
        open_log("wandb", tmp_path, CONFIG)


@pytest.mark.parametrize("name", LogName.__args__)
def test_a_missing_library_is_one_line(monkeypatch, name):
    monkeypatch.setattr(logs, "find_spec", lambda module: None)
    with pytest.raises(
        CnncliError, match=rf"^--log {name}: needs .*pip install 'cnncli\[{name}\]'"
    ):
        check_log(name)


def test_every_log_has_a_sink():
    assert set(LogName.__args__) == set(logs._SINKS) == set(logs._MODULES)


def test_a_run_and_its_resume_log_the_rows_of_metrics_csv(tmp_path, folder_data):
    pytest.importorskip("tensorboardX", reason="the extra cnncli[tensorboard] is not installed")
    from cnncli.config import RunConfig
    from cnncli.recipes.train import resume_run, train_run
    from cnncli.reporting import SilentReporter

    class BrokenOffError(Exception):
        pass

    def break_off(row):
        raise BrokenOffError

    settings = {"data": str(folder_data), "model": "lenet5", "device": "cpu", "precision": "fp32"}
    config = RunConfig(**settings, epochs=2, log="tensorboard", output=str(tmp_path))
    notes = []
    reporter = SilentReporter()
    reporter.note = notes.append
    with pytest.raises(BrokenOffError):
        train_run(config, reporter, break_off)
    (run,) = tmp_path.iterdir()
    assert f"--log tensorboard: {run / 'tensorboard'}" in notes
    assert {epoch for _, epoch in read_events(run / "tensorboard")[0]} == {1}
    resume_run(run, reporter)
    assert count_points(run / "tensorboard") == 2 * (len(COLUMNS) - 2)  # each number once
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    expected = {
        (name, int(row["epoch"])): float(value)
        for row in rows
        for name, value in row.items()
        if name not in ("epoch", "stage")
    }
    assert len(rows) == 2
    assert read_events(run / "tensorboard")[0] == pytest.approx(expected, rel=1e-5)


def test_a_log_that_cannot_be_written_is_told_before_the_images_are_read(cli, monkeypatch):
    monkeypatch.setattr(logs, "find_spec", lambda module: None)
    said = cli("train", "--data", "nowhere", "--log", "mlflow")
    assert said.code == 2
    assert said.error == "--log mlflow: needs mlflow: pip install 'cnncli[mlflow]'"


def test_a_run_that_fails_says_so_in_its_log(tmp_path, folder_data, wandb):
    from helpers import train

    with pytest.raises(CnncliError, match="not finite"):
        train(tmp_path, data=str(folder_data), epochs=2, log="wandb", lr=1e30, clip_grad=0)
    assert wandb.ended == [1]
    train(tmp_path / "fine", data=str(folder_data), log="wandb")
    assert wandb.ended == [1, 0]
    assert set(wandb.rows) == {1}
