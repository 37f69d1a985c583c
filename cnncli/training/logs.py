"""``--log``: the rows of ``metrics.csv``, sent to TensorBoard, MLflow or Weights & Biases too.

Each of them is an extra of the package and is imported when it is used. None of them needs a
network unless the user has named a server or logged in.
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
from cnncli.files import write_atomically
from cnncli.training.history import Row

PROJECT = "cnncli"  # name of the experiment in MLflow and of the project in W&B
# The module that each log needs; the extra that installs it has the name of the log.
_MODULES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}


class Sink(Protocol):
    """Writes the numbers of a run by one of the libraries.

    Attributes:
        place: The folder or URL where the user finds the log.
    """

    place: str

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        """Write the numbers of an epoch, all of them finite, by column."""

    def close(self, *, failed: bool) -> None:
        """Write what is still buffered.

        Args:
            failed: Whether the run ended by an error.
        """


def check_log(name: str) -> None:
    """Refuse a log that cannot be written, before the training begins.

    Args:
        name: ``tensorboard``, ``mlflow`` or ``wandb``.

    Raises:
        CnncliError: If its library is not installed.
    """
    if find_spec(_MODULES[name]) is None:
        raise CnncliError(f"--log {name}: needs {_MODULES[name]}: pip install 'cnncli[{name}]'")


class Log:
    """A log whose failure does not end the training: it warns once and writes nothing more.

    Attributes:
        place: The folder or URL where the user finds the log.
    """

    def __init__(self, name: str, sink: Sink, warn: Callable[[str], object]) -> None:
        """Take a library's sink.

        Args:
            name: ``tensorboard``, ``mlflow`` or ``wandb``, for the warning.
            sink: Writes the numbers.
            warn: Called with a line of text if the log fails.
        """
        self.place = sink.place
        self._name = name
        self._sink: Sink | None = sink
        self._warn = warn

    def log(self, row: Row) -> None:
        """Write the finite numbers of a row of ``metrics.csv``, with the epoch as the step."""
        numbers = {k: v for k, v in row.items() if k not in ("epoch", "stage")}
        values = {k: float(v) for k, v in numbers.items() if math.isfinite(v)}
        self._try(lambda sink: sink.write(values, int(row["epoch"])))

    def close(self, *, failed: bool = False) -> None:
        """End the log; a second call does nothing.

        Args:
            failed: Whether the run ended by an error.
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
    """Open the log of a run; if the folder has one already, it is continued.

    Args:
        name: ``tensorboard``, ``mlflow`` or ``wandb``.
        run_dir: The run's folder, which exists.
        config: The run's settings, which are written into the log.
        warn: Called with a line of text if the log fails later.

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
    """Return a setting in a form that every library can store: lists and dicts as JSON text."""
    return value if isinstance(value, str | int | float | None) else json.dumps(value)


def _run_id(run_dir: Path, name: str, make: Callable[[], str]) -> str:
    """Return a library's id of the run: the one in the run folder, or a new one from ``make``."""
    path = run_dir / f"{name}_run_id.txt"
    if not path.exists():
        text = make() + "\n"
        write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
    return path.read_text(encoding="utf-8").strip()


class _TensorBoard:
    """Event files in ``RUN/tensorboard``, for ``tensorboard --logdir runs``.

    They are written by tensorboardX, which only needs protobuf; torch's own writer needs
    tensorboard, which installs a web server and gRPC.
    """

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        from tensorboardX import SummaryWriter

        self.place = str(run_dir / "tensorboard")
        # File names are unique to the second only: a run that is resumed within one would
        # overwrite its file.
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

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it logs each table that it creates
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
    """A W&B run in ``RUN/wandb``, which is also sent to the server if the user is logged in.

    The environment variable ``WANDB_MODE`` overrides that; ``wandb sync`` sends an offline run.
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
