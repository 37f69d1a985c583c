"""The flags by which ``predict`` writes a file in the form of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cnncli.errors import CnncliError

if TYPE_CHECKING:
    from pathlib import Path

    from cnncli.data.submission import Sample

SAMPLE = "--sample-submission"
TO_FILE = "the rows go to stdout; write them with > FILE.csv"


def read_submission(
    sample: str | None,
    output: str | None,
    id_col: str | None,
    inputs: Sequence[str],
    others: Mapping[str, object],
) -> tuple[Sample, Path] | None:
    """Return a sample submission and the file to write; None if neither is asked for.

    Args:
        sample: Path of the sample, as it was given.
        output: Path of the file to write, as it was given.
        id_col: Name of the column of ids, of the sample or of a table among the inputs.
        inputs: The images, as they were given.
        others: Flags that say how rows go to stdout, and whether they were given.
    """
    if sample is None:
        if output is not None:
            raise CnncliError(
                f"--output {output}: {TO_FILE}; a file is written in the form of a {SAMPLE}"
            )
        return None
    from cnncli.data.submission import read_sample
    from cnncli.files import check_output_file, expand_path

    if output is None:
        raise CnncliError(f"{SAMPLE} {sample}: name the file to write with --output FILE.csv")
    for flag, given in others.items():
        if given:
            raise CnncliError(f"{flag}: has no effect with {SAMPLE}; leave one of them out")
    path, target = expand_path(sample), check_output_file(output)
    if path.exists() and target.exists() and path.samefile(target):
        raise CnncliError(f"--output {output}: would write over the sample; name another file")
    has_table = any(given.lower().endswith((".csv", ".tsv")) for given in inputs)
    return read_sample(path, SAMPLE, id_col, may_lack_it=has_table), target
