"""The state of a training run: saved after every epoch, and restored when the run is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from cnncli.errors import CnncliError, count_of
from cnncli.files import CONFIG_FILE, LAST_FILE
from cnncli.images.preprocess import Preprocess
from cnncli.models.freeze_plan import FreezePlan
from cnncli.reporting import Reporter
from cnncli.training.distributed import World
from cnncli.training.epoch_inputs import EpochInputs
from cnncli.training.history import EarlyStopping, History
from cnncli.training.loop import NotFiniteError, Trainer
from cnncli.training.progress import Progress
from cnncli.training.schedule import Plateau
from cnncli.training.state import State, load_state, random_state, restore_random_state, save_state
from cnncli.training.stopping import StopRequest
from cnncli.training.thread_count import ThreadCount

# Number of times that a run may go back because its loss is not finite.
_MOST_ROLLBACKS = 3


@dataclass
class Session:
    """The state of a training run, and everything that changes while it runs.

    Attributes:
        run_dir: The run's folder.
        network: The whole network that is trained.
        inputs: What an epoch trains and validates.
        plan: What is frozen in which epoch.
        trainer: Takes the steps; it holds the optimizer and its state.
        history: The rows of ``metrics.csv``.
        early_stopping: The best epoch so far, and how long ago it was.
        stop_request: The time limit, and the signals received.
        preprocess: How images are preprocessed; a resumed run must do the same.
        threads: The number of torch's threads.
        plateau: Lowers the learning rate when val gets no better; None for other schedulers.
        settings: The settings by which the run trains; a resumed run must have the same.
        images: What of its images must be the same in a resumed run.
        epoch: Number of epochs completed.
        progress: How far the interrupted epoch was when the run was resumed; None outside one.
        rollbacks: How often the run went back because the loss was not finite.
    """

    run_dir: Path
    network: nn.Module
    inputs: EpochInputs
    plan: FreezePlan
    trainer: Trainer
    history: History
    early_stopping: EarlyStopping
    stop_request: StopRequest
    preprocess: Preprocess
    threads: ThreadCount
    plateau: Plateau | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    progress: Progress | None = None
    rollbacks: int = 0

    @property
    def world(self) -> World:
        """The processes that train together."""
        return self.trainer.compute.world

    @property
    def weights(self) -> nn.Module:
        """The network to evaluate and save: the moving average if there is one."""
        average = self.trainer.average
        return self.network if average is None else average.module

    def save(self, progress: Progress | None = None) -> None:
        """Write ``last.pt``, from which the run can be resumed.

        Args:
            progress: How far the epoch is, when saving within one; None at an epoch's end.

        Raises:
            CnncliError: If the file cannot be written; the one from before is unchanged.
        """
        if progress is not None:
            progress.pool(self.world)
        state: State = {
            "settings": dict(self.settings),
            "images": dict(self.images),
            "epoch": self.epoch,
            "progress": None if progress is None else vars(progress),
            "network": self.network.state_dict(),
            "trainer": self.trainer.state_dict(),
            "rows": self.history.rows,
            "stopping": self.early_stopping.state_dict(),
            "plateau": None if self.plateau is None else self.plateau.state_dict(),
            "preprocess": self.preprocess.to_dict(),
            "seconds": self.stop_request.time_limit.clock(),
            "lead": self.stop_request.time_limit.lead,
            "rollbacks": self.rollbacks,
            "unreadable": dict(self.inputs.unreadable),
            # The random states of the other processes; save_state adds that of this one.
            "ranks": self.world.gather(random_state())[1:],
        }
        if self.world.is_first:
            save_state(self.run_dir / LAST_FILE, state)
        self.world.barrier()

    def write_history(self) -> None:
        """Write ``metrics.csv``; only rank 0 does."""
        if self.world.is_first:
            self.history.write()

    def restore(self, state: State) -> None:
        """Continue from what :meth:`save` wrote.

        Raises:
            CnncliError: If the images have changed, or the number of processes is another.
        """
        processes = 1 + len(state["ranks"])
        if processes != self.world.size:
            raise CnncliError(
                f"--resume {self.run_dir}: {count_of(processes, 'process')} trained it, and this "
                "is "
                f"{self.world.size}; it goes on with {processes}: torchrun --nproc-per-node "
                f"{processes} -m cnncli train --resume {self.run_dir}"
            )
        if Preprocess.from_dict(state["preprocess"]) != self.preprocess:
            raise CnncliError(
                f"--resume {self.run_dir}: the images are not what they were (their mean and "
                "deviation differ); a run goes on with the same images only"
            )
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:  # an edited config.yaml, in a run without its settings
            raise CnncliError(
                f"--resume {self.run_dir}: {LAST_FILE} is of another network than the one that "
                f"{CONFIG_FILE} describes; a run goes on with the settings it was begun with"
            ) from error
        self.trainer.load_state_dict(state["trainer"])
        self.epoch, self.rollbacks = state["epoch"], state["rollbacks"]
        self.history.rows = list(state["rows"])
        self.early_stopping.load_state_dict(state["stopping"])
        if self.plateau is not None:
            self.plateau.load_state_dict(state["plateau"])
        self.progress = None if state["progress"] is None else Progress(**state["progress"])
        restore_random_state([state["random"], *state["ranks"]][self.world.rank])
        self.write_history()
        # The saved sums are those of all processes together: rank 0 keeps them.
        if self.progress is not None and not self.world.is_first:
            self.progress.loss_sum.zero_()
            self.progress.correct.zero_()

    def roll_back(self, error: NotFiniteError, reporter: Reporter) -> None:
        """Go back to what was saved last, with half the learning rate.

        Args:
            error: The error of the loss that is not finite.
            reporter: Gets a warning.

        Raises:
            NotFiniteError: If the run has gone back three times already; it is ``error``.
        """
        if self.rollbacks == _MOST_ROLLBACKS:
            raise error
        rollbacks, factor = self.rollbacks + 1, self.trainer.lr_factor / 2
        self.restore(load_state(self.run_dir / LAST_FILE))
        self.world.barrier()  # no process saves again before all have read the file
        self.rollbacks, self.trainer.lr_factor = rollbacks, factor
        reporter.warn(
            f"the loss was not finite: back to {self.place()}, every learning rate times "
            f"{factor:g} ({rollbacks} of {_MOST_ROLLBACKS})"
        )

    def raise_if_signalled(self, place: str) -> None:
        """End the run if a signal has come, with the command that resumes it.

        Args:
            place: How far the run is, for the message.

        Raises:
            Stopped: If a signal has come.
        """
        self.stop_request.raise_if_signalled(place, self.resume_command)

    @property
    def resume_command(self) -> str:
        """The command that resumes the run."""
        size = self.world.size
        command = "cnncli" if size == 1 else f"torchrun --nproc-per-node {size} -m cnncli"
        return f"{command} train --resume {self.run_dir}"

    def place(self) -> str:
        """Return how far the run is, as a text."""
        if self.progress is not None and self.progress.batches:
            return f"epoch {self.progress.epoch}, batch {self.progress.batches}"
        return f"the end of epoch {self.epoch}" if self.epoch else "the beginning"
