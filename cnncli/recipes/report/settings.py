"""What ``cnncli report`` is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from cnncli.choices import SplitChoice
from cnncli.choices.subgroups import SubgroupColumn
from cnncli.data.samples import CsvColumns


@dataclass(frozen=True)
class ReportSettings:
    """What to write.

    Attributes:
        run: Path of a run folder, of that of a cross-validation or of a checkpoint; None for the
            newest that is finished.
        data: Images to judge the run on, as ``train`` takes them; None for those of the run.
        split: The split to judge; None for test, or val if the run has no test split.
        columns: Names of the columns of a CSV file.
        group_regex: Finds the group in a file's name; None for the groups of the run.
        subgroups: Columns or properties of files to show the figures of each part of.
        device: The device as torch names it, or ``auto``.
        output: The page; None for ``report.html`` in the run's folder.
        images: Number of pictures in the page; None for as many as keep it below 5 MB.
        with_images: Whether the page holds pictures.
        with_names: Whether the page holds the names of files and groups.
        end: When the page is to be there, by ``time.monotonic``. What there is no time for is left
            out, heat maps first; the first pictures are drawn in any case.
        latest: When it has to be there, by the same clock: as ``end``, for those pictures too.
    """

    run: str | None = None
    data: str | None = None
    split: SplitChoice | None = None
    columns: CsvColumns = field(default_factory=CsvColumns)
    group_regex: str | None = None
    subgroups: tuple[SubgroupColumn, ...] = ()
    device: str = "auto"
    output: Path | None = None
    images: int | None = None
    with_images: bool = True
    with_names: bool = True
    end: float = math.inf
    latest: float = math.inf

    @property
    def is_own(self) -> bool:
        """Whether the images are those that the run's own report is of."""
        return self.data is None and self.split is None

    @property
    def in_haste(self) -> bool:
        """Whether there is a time by which the page is to be there."""
        return self.end < math.inf

    @property
    def names_groups(self) -> bool:
        """Whether the user says which images belong together."""
        return self.columns.group is not None or self.group_regex is not None
