"""What an evaluation is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cnncli.augmentation.notation import Tta
from cnncli.choices import Aggregate, OnBadImage, Precision, SplitChoice
from cnncli.choices.decision import DecisionFlags
from cnncli.choices.subgroups import SubgroupColumn
from cnncli.data.samples import CsvColumns
from cnncli.run.mistakes import DRAWN


@dataclass(frozen=True)
class EvaluateSettings:
    """What to evaluate.

    Attributes:
        data: The images, as ``train`` takes them; None for the data of the run.
        checkpoint: Path of a run folder or a checkpoint; None for the newest finished run.
        split: The split to evaluate; None for test, or val if the run has no test split.
        columns: Names of the columns of a CSV file.
        group_regex: Finds the group of an image in its file's name; None for no such groups.
        subgroups: What the figures are given for each part of; empty for nothing.
        by_group: How a group's probabilities are combined, to report by group too; None does not.
        device: The device as torch names it, or ``auto``.
        precision: The precision to compute in; None for exact float32.
        output: Folder for report.json, predictions.csv and confusion_matrix.{csv,png}; None writes
            no files.
        on_bad_image: ``error`` refuses images that cannot be read, ``skip`` leaves them out.
        tta: Views of each image, over which the probabilities are averaged; None for the image
            alone.
        mistakes: Number of the surest mistakes that the report lists, at most; 0 for no list.
        mistakes_drawn: Number of the surest mistakes that are drawn, at most.
        mistakes_grid: File in which the surest mistakes are drawn; None draws none.
        csv_safe: Whether no cell of a CSV may be a formula for a spreadsheet.
        decide: Threshold, temperature and abstaining.
    """

    data: str | None = None
    checkpoint: str | None = None
    split: SplitChoice | None = None
    columns: CsvColumns = field(default_factory=CsvColumns)
    group_regex: str | None = None
    subgroups: tuple[SubgroupColumn, ...] = ()
    by_group: Aggregate | None = None
    device: str = "auto"
    precision: Precision | None = None
    output: str | None = None
    on_bad_image: OnBadImage = "error"
    tta: Tta | None = None
    mistakes: int = 0
    mistakes_drawn: int = DRAWN
    mistakes_grid: Path | None = None
    csv_safe: bool = False
    decide: DecisionFlags = field(default_factory=DecisionFlags)
