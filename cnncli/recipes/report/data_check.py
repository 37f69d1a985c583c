"""What the page says of the check of the images, and where the images went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.data.split_file import SplitFile
from cnncli.errors import CnncliError, count_of
from cnncli.page.sections import DataSection, tell_verdict
from cnncli.run.data_check import load_data_check

Row = Mapping[str, Any]
_MORE = "cnncli check-data looks at the pixels too, and names the images"


def describe_check(run_dir: Path, *, with_names: bool) -> DataSection:
    """Return what the run was warned of about its images.

    Args:
        run_dir: The run's folder.
        with_names: Whether texts may stand in the page that may name files.
    """
    try:
        check = load_data_check(run_dir)
    except CnncliError as error:
        why = str(error) if with_names else "its file is damaged"
        return DataSection("The verdict on the images cannot be read.", False, f"{why}; {_MORE}.")
    if check is None:
        return DataSection(
            "The run has kept no verdict on its images.",
            False,
            f"It is of a version before 2026-11-26; {_MORE}.",
        )
    findings = [asdict(finding) for finding in check.findings]
    warnings, hidden = list(check.warnings), ""
    if not with_names and (findings or warnings):
        findings = [{**row, "text": ""} for row in findings]
        hidden = "The sentences are left out, since they may name files (--no-names)."
        hidden += f" {count_of(len(warnings), 'other warning')} too." * bool(warnings)
        warnings = []
    return DataSection(
        tell_verdict(findings),
        any(row["severity"] == "spoils" for row in findings),
        "This is the quick check that train makes: of whole files and their headers, and of no "
        f"pixel. {_MORE}.",
        sorted(findings, key=lambda row: row["severity"] != "spoils"),
        warnings,
        hidden,
    )


def count_copies(splits: SplitFile) -> int | None:
    """Return how many images of a run have the same bytes as one before; None if not known."""
    if not len(splits.hashes) or (splits.hashes == "").any():
        return None
    return len(splits.hashes) - len(np.unique(splits.hashes))
