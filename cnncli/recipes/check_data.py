"""Check data: what in a set of labelled images would spoil a result, before one is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cnncli.arrays import Array
from cnncli.audit.cache import find_cache_folder
from cnncli.audit.check_classes import check_classes
from cnncli.audit.check_copies import check_copies
from cnncli.audit.check_files import check_files
from cnncli.audit.check_groups import check_groups
from cnncli.audit.check_shortcuts import ShortcutCheck, look_for_shortcuts
from cnncli.audit.duplicates import Duplicates, find_duplicates
from cnncli.audit.facts import Facts, gather_facts
from cnncli.audit.findings import Finding
from cnncli.audit.summary import count_classes, summarise_files
from cnncli.config import RunConfig
from cnncli.data.find_samples import find_samples
from cnncli.data.samples import SEPARATOR, CsvColumns, Samples
from cnncli.data.splits import read_groups
from cnncli.errors import CnncliError
from cnncli.reporting import Reporter
from cnncli.run.samples import give_splits
from cnncli.training.device import count_cpus


@dataclass(frozen=True)
class DataReport:
    """What was found.

    Attributes:
        data: As it was given.
        samples: The labelled images.
        splits: (N,) indices into SPLITS, ``NO_SPLIT`` where there is none.
        facts: What was seen of each image.
        findings: Those that spoil a result first.
        shortcuts: Which classes their files tell, and which not.
    """

    data: str
    samples: Samples
    splits: Array
    facts: Facts
    findings: tuple[Finding, ...]
    shortcuts: ShortcutCheck

    @property
    def spoiled(self) -> bool:
        """Whether a result would be wrong, or too good."""
        return any(finding.severity == "spoils" for finding in self.findings)

    def paths(self, indices: tuple[int, ...]) -> list[str]:
        """Return the paths of images, relative to the data."""
        return [str(self.samples.paths[index]) for index in indices]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        names = self.samples.class_names
        shortcuts = [
            asdict(s) | {"target": names[s.target], "others": [names[o] for o in s.others]}
            for s in self.shortcuts.shortcuts
        ]
        return {
            "data": self.data,
            "files": summarise_files(self.facts.looks),
            "classes": count_classes(self.samples, self.splits),
            "spoiled": self.spoiled,
            "findings": [self._finding(finding) for finding in self.findings],
            "shortcuts": shortcuts,
            "told_by_nothing": list(self.shortcuts.not_told),
        }

    def _finding(self, finding: Finding) -> dict[str, Any]:
        looks = self.facts.looks
        reasons = {
            path: looks[index].problem
            for index, path in zip(finding.images, self.paths(finding.images), strict=True)
            if looks[index].problem
        }
        return {
            "severity": finding.severity,
            "kind": finding.kind,
            "text": finding.text,
            "groups": [self.paths(group) for group in finding.groups],
            "drop": self.paths(finding.drop),
        } | ({"reasons": reasons} if reasons else {})

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield a row per finding and image (one row for a finding without images)."""
        for finding in self.findings:
            row: dict[str, object] = {"severity": finding.severity, "kind": finding.kind}
            drop = set(finding.drop)
            for number, group in enumerate(finding.groups, start=1):
                for index in group:
                    yield row | {
                        "group": number,
                        "path": str(self.samples.paths[index]),
                        "drop": "yes" if index in drop else "no",
                        "text": self.facts.looks[index].problem or finding.text,
                    }
            if not finding.groups:
                yield row | {"text": finding.text}


def check_data(config: RunConfig, reporter: Reporter, *, cache: bool) -> DataReport:
    """Look a data set over.

    Args:
        config: Its data, columns, groups and splits count.
        reporter: Told how far it is.
        cache: Whether files that have not changed since the last time need no second look.

    Raises:
        CnncliError: If there are no labelled images.
    """
    columns = CsvColumns(config.image_col, config.label_col, config.split_col, config.group_col)
    samples = give_splits(find_samples(config.data, columns), config)
    threads = count_cpus()
    if config.group_regex is not None:
        samples = replace(samples, groups=read_groups(samples.paths, config.group_regex))
    for remark in samples.remarks:
        reporter.note(remark)
    folder = find_cache_folder() if cache else None
    with reporter.progress("looking at images", len(samples)) as advance:
        facts = gather_facts(samples, threads=threads, cache_folder=folder, advance=advance)
    with reporter.progress("comparing", len(samples)) as advance:
        duplicates = find_duplicates(facts, threads=threads, advance=advance)
    if duplicates.left_out:
        reporter.note(
            f"{duplicates.left_out:,} pairs that look a little alike were not compared: there are "
            "too many, and likelier ones came first"
        )
    repeated = [index for group in duplicates.groups for index in group.members[1:]]
    shortcuts, told = look_for_shortcuts(samples, facts.looks, repeated)
    found = [*_check_all(samples, facts, duplicates), *told]
    found.sort(key=lambda finding: finding.severity != "spoils")
    return DataReport(config.data, samples, samples.splits, facts, tuple(found), shortcuts)


def _check_all(samples: Samples, facts: Facts, duplicates: Duplicates) -> Iterator[Finding]:
    """Yield findings, the simplest ones to see and to mend first."""
    splits, looks = samples.splits, facts.looks
    yield from (Finding("layout", "note", note) for note in samples.notes)
    yield from check_files(samples.paths, looks)
    areas = [look.width * look.height for look in looks]
    yield from check_copies(samples, splits, duplicates.groups, areas)
    yield from check_groups(samples, splits)
    yield from check_classes(samples, splits)


def save_fix_list(path: str, report: DataReport) -> int:
    """Write the files to leave out, one path a line; return how many.

    Raises:
        CnncliError: If the file cannot be written, or a name has a line break in it.
    """
    drop = sorted({index for finding in report.findings for index in finding.drop})
    lines = report.paths(tuple(drop))
    if report.samples.files > 1:
        lines = [file for line in lines for file in line.split(SEPARATOR)]
    broken = [line for line in lines if "\n" in line]
    if broken:
        raise CnncliError(f"--fix-list {path}: a line cannot hold the name {broken[0]!r}")
    try:
        Path(path).expanduser().write_text("".join(f"{line}\n" for line in lines), "utf-8")
    except OSError as error:
        raise CnncliError(f"--fix-list {path}: cannot be written ({error.strerror})") from None
    return len(lines)
