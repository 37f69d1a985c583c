"""Where the rows of ``metrics.csv`` go besides: TensorBoard, MLflow or Weights & Biases.

Each is an extra of the package, imported when it is used, and works without a network unless the
user has named a server or logged in. The names and numbers are those of ``metrics.csv``.
"""

from __future__ import annotations

import json
import logging
import math
import os
import uuid
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from cnncli.errors import CnncliError
from cnncli.training.history import Row

PROJECT = "cnncli"  # as MLflow's experiment and W&B's project are called
# The module of each, which is also the extra that installs it.
_MODULES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}


class Sink(Protocol):
    """One library's way to keep a run.

    Attributes:
        place: Where the user finds it: a folder or a URL.
    """

    place: str

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        """Keep the finite numbers of an epoch."""

    def close(self, *, failed: bool) -> None:
        """Write what is not yet written."""


def check_log(name: str) -> None:
    """Tell before the training whether a log can be written.

    Args:
        name: ``tensorboard``, ``mlflow`` or ``wandb``.

    Raises:
        CnncliError: If its library is not installed.
    """
    if find_spec(_MODULES[name]) is None:
        raise CnncliError(f"--log {name}: needs {_MODULES[name]}: pip install 'cnncli[{name}]'")


class Log:
    """A log that never ends a training: after its first failure it says so and keeps silent.

    Attributes:
        place: Where the user finds it: a folder or a URL.
    """

    def __init__(self, name: str, sink: Sink, warn: Callable[[str], object]) -> None:
        self.place = sink.place
        self._name = name
        self._sink: Sink | None = sink
        self._warn = warn

    def log(self, row: Row) -> None:
        """Keep a row of ``metrics.csv``; its epoch is the step."""
        values = {k: float(v) for k, v in row.items() if k != "epoch" and math.isfinite(v)}
        self._try(lambda sink: sink.write(values, int(row["epoch"])))

    def close(self, *, failed: bool = False) -> None:
        """End the log; a second time does nothing.

        Args:
            failed: Whether the run ended by an error, where the library keeps that.
        """
        self._try(lambda sink: sink.close(failed=failed))
        self._sink = None

    def _try(self, use: Callable[[Sink], None]) -> None:
        if self._sink is None:
            return
        try:
            use(self._sink)
        except Exception as error:  # a server that went away, a full disk: the training goes on
            self._sink = None
            self._warn(f"--log {self._name}: stopped: {_reason(error)}; metrics.csv goes on")


def open_log(
    name: str,
    run_dir: Path,
    config: Mapping[str, Any],
    warn: Callable[[str], object] = warnings.warn,
) -> Log:
    """Open a log of a run; opened again for the same folder, it goes on where it ended.

    Args:
        name: ``tensorboard``, ``mlflow`` or ``wandb``.
        run_dir: The run's folder, which exists.
        config: The run's settings, kept beside the numbers.
        warn: Told when the log fails while the run goes on.

    Raises:
        CnncliError: If the library is not installed or cannot begin.
    """
    check_log(name)
    try:
        sink = _SINKS[name](run_dir, config)
    except Exception as error:  # each library has errors of its own
        raise CnncliError(f"--log {name}: cannot be opened: {_reason(error)}") from error
    return Log(name, sink, warn)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _plain(value: object) -> str | float | None:
    """Return a setting as every library can keep it: lists and steps as text."""
    return value if isinstance(value, str | int | float | None) else json.dumps(value)


def _run_id(run_dir: Path, name: str, make: Callable[[], str]) -> str:
    """Return the id under which a library knows the run: the one of before it was resumed."""
    path = run_dir / f"{name}_run_id.txt"
    if not path.exists():
        path.write_text(make() + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


class _TensorBoard:
    """Event files in ``RUN/tensorboard``, for ``tensorboard --logdir runs``.

    By tensorboardX, which needs protobuf alone; torch's own writer needs tensorboard, and that
    brings a web server and gRPC.
    """

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        from tensorboardX import SummaryWriter

        self.place = str(run_dir / "tensorboard")
        # Its own names have seconds alone, and a run that is resumed at once would write over.
        self._writer = SummaryWriter(self.place, filename_suffix=f".{uuid.uuid4().hex[:8]}")
        lines = (f"    {key}: {_plain(value)}" for key, value in config.items())  # as code
        self._writer.add_text("config", "\n".join(lines), 0)

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def close(self, *, failed: bool) -> None:
        self._writer.close()


class _MLflow:
    """An MLflow run: on the server of ``MLFLOW_TRACKING_URI``, else in ``RUN/mlflow.db``."""

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of each table it makes
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        self.place = uri or f"sqlite:///{run_dir.resolve() / 'mlflow.db'}"
        self._client = MlflowClient(tracking_uri=self.place)
        self._run_id = _run_id(run_dir, "mlflow", lambda: self._create(run_dir, uri, config))
        self._client.update_run(self._run_id, status="RUNNING")

    def _create(self, run_dir: Path, uri: str | None, config: Mapping[str, Any]) -> str:
        experiment = self._client.get_experiment_by_name(PROJECT)
        files = None if uri else (run_dir.resolve() / "mlflow_artifacts").as_uri()
        number = (
            self._client.create_experiment(PROJECT, artifact_location=files)
            if experiment is None
            else experiment.experiment_id
        )
        run_id = str(self._client.create_run(number, run_name=run_dir.name).info.run_id)
        for key, value in config.items():
            self._client.log_param(run_id, key, _plain(value))
        return run_id

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run_id, name, value, step=epoch)

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self._run_id, "FAILED" if failed else "FINISHED")


class _Wandb:
    """A W&B run in ``RUN/wandb``; sent to the server where the user is logged in.

    ``WANDB_MODE`` has the last word; ``wandb sync`` sends later what was kept offline.
    """

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        mode = os.environ.get("WANDB_MODE")
        if mode is None:
            known = wandb.login(prompt=False, verify=False)
            mode = "online" if known else "offline"
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run_dir.name,
            id=_run_id(run_dir, "wandb", lambda: uuid.uuid4().hex[:8]),
            resume="allow" if mode == "online" else None,
            dir=run_dir,
            config={key: _plain(value) for key, value in config.items()},
            mode=mode,
            # stdout is the command's answer; W&B would copy and wrap it.
            settings=wandb.Settings(silent=True, console="off"),
        )
        self.place = str(self._run.url if mode == "online" else run_dir / "wandb")

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(values), step=epoch)

    def close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


_SINKS: dict[str, Callable[[Path, Mapping[str, Any]], Sink]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
    "wandb": _Wandb,
}
