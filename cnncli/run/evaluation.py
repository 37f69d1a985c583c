"""Images that a checkpoint has judged: what each step of an evaluation works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.data.splits import group_numbers
from cnncli.files import run_dir_of
from cnncli.reporting import Reporter
from cnncli.run.decision import Decision
from cnncli.run.report import Report
from cnncli.training.checkpoint import Checkpoint
from cnncli.training.distributed import World


@dataclass
class Evaluation:
    """N images with the probabilities that a checkpoint gave them.

    Every process of ``torchrun`` has all of them; only rank 0 writes files.

    Attributes:
        path: The checkpoint's file.
        checkpoint: The classifier, its classes and its preprocessing.
        samples: The N images.
        targets: (N,) class numbers.
        raw: (N, K) probabilities as the network gives them.
        decision: What is done with them; None for nothing.
        split: What the images are called in the report, such as ``test``.
        precision: The precision that was computed in.
        folder: Folder for the evaluation's files; None writes none.
        reporter: Gets remarks, warnings and progress.
        world: The processes that work together.
        folds: (N,) fold of each image, from 1, where a cross-validation has judged each by the
            network that did not see it; None otherwise.
        report: What ``report.json`` will hold; the steps fill it.
    """

    path: Path
    checkpoint: Checkpoint
    samples: Samples
    targets: Array
    raw: Array
    decision: Decision | None
    split: str
    precision: str
    folder: Path | None
    reporter: Reporter
    world: World
    folds: Array | None = None
    report: Report = field(default_factory=dict)

    @property
    def probabilities(self) -> Array:
        """The probabilities (N, K) after the decision's temperature."""
        return self._decided[0]

    @property
    def predictions(self) -> Array:
        """The class numbers (N,) that the decision's threshold gives, else the most probable."""
        return self._decided[1]

    @cached_property
    def _decided(self) -> tuple[Array, Array, Array]:
        decision = self.decision or Decision(self.checkpoint.class_names)
        return decision.decide(self.raw)

    @cached_property
    def groups(self) -> Array | None:
        """The number of each image's group (N,), from 0 without a gap; None without groups."""
        return group_numbers(self.samples)

    @property
    def run_dir(self) -> Path:
        """The folder of the run that the checkpoint is of."""
        return run_dir_of(self.path)
