"""Images that a checkpoint has judged: what each step of an evaluation works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.files import run_dir_of
from cnncli.reporting import Reporter
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
        probabilities: (N, K).
        split: What the images are called in the report, such as ``test``.
        precision: The precision that was computed in.
        folder: Folder for the evaluation's files; None writes none.
        reporter: Gets remarks, warnings and progress.
        world: The processes that work together.
        report: What ``report.json`` will hold; the steps fill it.
    """

    path: Path
    checkpoint: Checkpoint
    samples: Samples
    targets: Array
    probabilities: Array
    split: str
    precision: str
    folder: Path | None
    reporter: Reporter
    world: World
    report: Report = field(default_factory=dict)

    @property
    def run_dir(self) -> Path:
        """The folder of the run that the checkpoint is of."""
        return run_dir_of(self.path)
