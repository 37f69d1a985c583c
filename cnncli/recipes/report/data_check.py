"""What the page says of the check of the images, and where the images went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.data.split_file import SplitFile
from cnncli.errors import CnncliError, count_of
from cnncli.page.sections import DataSection, is_spoiled, tell_verdict
from cnncli.recipes.report.full_check import SECONDS, Check, TooSlowError, check_fully
from cnncli.reporting import Reporter
from cnncli.run.data_check import KeptFinding, keep_finding, load_data_check

Row = Mapping[str, Any]
_MORE = "cnncli check-data looks at the pixels too, and names the images"
_TOO_SLOW = (
    f"Its check takes more than {SECONDS:.0f} seconds here. It keeps what it has found out: once "
    "check-data has been run to its end, cnncli report shows its verdict."
)


def describe_check(
    run_dir: Path,
    *,
    with_names: bool,
    check: Check | None = None,
    reporter: Reporter | None = None,
) -> DataSection:
    """Return what the run was warned of about its images.

    Args:
        run_dir: The run's folder.
        with_names: Whether texts may stand in the page that may name files.
        check: The check of all pixels, if there is time for it; None goes by what the run kept.
        reporter: Gets its progress.
    """
    kept = _describe_kept(run_dir, with_names=with_names)
    try:
        if check is None or reporter is None:
            return kept
        found = check_fully(run_dir, check, reporter)
    except TooSlowError:
        return replace(kept, how=f"{kept.how} {_TOO_SLOW}")
    if found is None:
        return kept
    findings = _sort_findings(map(keep_finding, found), with_names=with_names)
    return DataSection(
        tell_verdict(findings),
        is_spoiled(findings),
        "This is the check of cnncli check-data, which names the images, on the images of the run "
        "as they are today.",
        findings,
        kept.warnings,
        _tell_hidden(findings, kept.hidden_warnings, with_names=with_names),
        kept.hidden_warnings,
    )


def _describe_kept(run_dir: Path, *, with_names: bool) -> DataSection:
    """Return what the run has kept of the check that ``train`` makes."""
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
    findings = _sort_findings(check.findings, with_names=with_names)
    hidden = 0 if with_names else len(check.warnings)
    return DataSection(
        tell_verdict(findings),
        is_spoiled(findings),
        "This is the quick check that train makes: of whole files and their headers, and of no "
        f"pixel. {_MORE}.",
        findings,
        check.warnings if with_names else (),
        _tell_hidden(findings, hidden, with_names=with_names),
        hidden,
    )


def _sort_findings(found: Iterable[KeptFinding], *, with_names: bool) -> list[Row]:
    """Return findings as rows, those that spoil a result first."""
    rows = [asdict(one) | ({} if with_names else {"text": ""}) for one in found]
    return sorted(rows, key=lambda row: row["severity"] != "spoils")


def _tell_hidden(findings: Sequence[Row], warnings: int, *, with_names: bool) -> str:
    """Return what is left out so that no file is named; empty if nothing is."""
    if with_names or not (findings or warnings):
        return ""
    told = "The sentences are left out, since they may name files (--no-names)."
    return told + f" {count_of(warnings, 'other warning')} too." * bool(warnings)


def count_copies(splits: SplitFile) -> int | None:
    """Return how many images of a run have the same bytes as one before; None if not known."""
    if not len(splits.hashes) or (splits.hashes == "").any():
        return None
    return len(splits.hashes) - len(np.unique(splits.hashes))
