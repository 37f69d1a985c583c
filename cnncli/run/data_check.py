"""What a run was warned of about its images before epoch 1, kept in its folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cnncli.audit.findings import Finding
from cnncli.errors import CnncliError
from cnncli.files import DATA_CHECK_FILE, MOST_OF_TABLE, check_regular, write_atomically

_FORMAT = 1


@dataclass(frozen=True)
class KeptFinding:
    """A finding of a check, without the images it is about.

    Attributes:
        severity: ``spoils`` if it makes a result wrong or too good, else ``note``.
        kind: Name of this kind of finding; ``docs/check-data.md`` explains each.
        text: One sentence: how many images, and what is the matter with them.
        images: Number of images that it is about; 0 where it is about none in particular.
    """

    severity: str
    kind: str
    text: str
    images: int = 0


@dataclass(frozen=True)
class DataCheck:
    """What was found in the images of a run.

    Attributes:
        findings: Those of the check that decodes no image, as ``train`` makes it.
        warnings: What else was warned of while the images were read.
    """

    findings: tuple[KeptFinding, ...] = ()
    warnings: tuple[str, ...] = ()


def keep_finding(finding: Finding) -> KeptFinding:
    """Return a finding without its images."""
    return KeptFinding(finding.severity, finding.kind, finding.text, len(finding.images))


def as_data_check(findings: Sequence[Finding], heard: Sequence[str]) -> DataCheck:
    """Return what is kept.

    Args:
        findings: Those of the check.
        heard: All that was warned of, the texts of the findings among it.
    """
    told = {finding.text for finding in findings}
    others = dict.fromkeys(text for text in heard if text not in told)
    return DataCheck(tuple(map(keep_finding, findings)), tuple(others))


def save_data_check(run_dir: Path, check: DataCheck) -> None:
    """Write ``data_check.json``."""
    text = json.dumps({"format": _FORMAT, **asdict(check)}, ensure_ascii=False, indent=2) + "\n"
    content = text.encode("utf-8", "replace")
    write_atomically(run_dir / DATA_CHECK_FILE, lambda part: part.write_bytes(content))


def load_data_check(run_dir: Path) -> DataCheck | None:
    """Return what a run's ``data_check.json`` says; None for a run that kept none.

    Raises:
        CnncliError: If the file is damaged.
    """
    path = run_dir / DATA_CHECK_FILE
    try:
        check_regular(path, most=MOST_OF_TABLE)
        content = json.loads(path.read_text("utf-8"))
        findings = tuple(
            KeptFinding(
                str(row["severity"]), str(row["kind"]), str(row["text"]), int(row["images"])
            )
            for row in content["findings"]
        )
        return DataCheck(findings, tuple(map(str, content["warnings"])))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CnncliError(f"{path}: not the {DATA_CHECK_FILE} of a run") from None
