"""The job of ``check-data``: find what in a set of labelled images would spoil a result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from cnncli.arrays import Array
from cnncli.audit.cache import find_cache_folder
from cnncli.audit.check_classes import check_classes
from cnncli.audit.check_copies import check_copies
from cnncli.audit.check_files import check_files
from cnncli.audit.check_groups import check_groups
from cnncli.audit.check_levels import check_levels, show_depths
from cnncli.audit.check_shortcuts import ShortcutCheck, check_shortcuts
from cnncli.audit.collect import CollectedFacts, collect_facts
from cnncli.audit.duplicates import Duplicates, find_duplicates
from cnncli.audit.findings import COPY_KINDS, Finding
from cnncli.audit.move_out import check_apart, move_out
from cnncli.audit.shortcuts import FAMILIES
from cnncli.audit.summary import count_classes, summarise_files
from cnncli.config import RunConfig
from cnncli.data.exclude import EXCLUDE, save_list
from cnncli.data.find_samples import find_samples, is_named_set
from cnncli.data.layout import find_base
from cnncli.data.samples import NO_CLASS, SEPARATOR, CsvColumns, FileSource, Samples
from cnncli.data.splits import parse_groups
from cnncli.data.table_columns import choose_table
from cnncli.errors import CnncliError, count_of
from cnncli.files import expand_path
from cnncli.reporting import Reporter
from cnncli.run.samples import give_splits
from cnncli.training.cores import count_cpus

# So many files of one picture are named.
_MOST_COPIES = 3


@dataclass(frozen=True)
class DataReport:
    """What was found in a data set of N images.

    Attributes:
        data: The data set, as the user named it.
        samples: The labelled images.
        splits: (N,) indices into SPLITS, ``NO_SPLIT`` for an image without a split.
        facts: Facts on the files of each image.
        findings: All findings, those that spoil a result first.
        shortcuts: The classes that can be guessed from their files, and those that cannot.
    """

    data: str
    samples: Samples
    splits: Array
    facts: CollectedFacts
    findings: tuple[Finding, ...]
    shortcuts: ShortcutCheck

    @property
    def spoiled(self) -> bool:
        """Whether a result on these data would be wrong, or better than it should be."""
        return any(finding.severity == "spoils" for finding in self.findings)

    def paths(self, indices: tuple[int, ...]) -> list[str]:
        """Return the paths of images by their numbers, relative to the root of the data set."""
        return [str(self.samples.paths[index]) for index in indices]

    def copies(self, finding: Finding) -> list[str]:
        """Return a line for each picture of a finding on copies: its files, joined by = or ≈.

        The sign = stands between files with the same pixels, ≈ between near copies.
        """
        if finding.kind not in COPY_KINDS:
            return []
        files, lines = self.facts.files, []
        for group in finding.groups:
            shown = self.paths(group[:_MOST_COPIES])
            line = shown[0]
            for before, index, path in zip(group, group[1:], shown[1:], strict=False):
                same = files[before].pixel_hash == files[index].pixel_hash
                line += f" {'=' if same else '≈'} {path}"
            more = len(group) - len(shown)
            lines.append(f"{line} and {more} more" if more else line)
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return the whole report as plain values, as ``--format json`` prints it."""
        names = self.samples.class_names
        shortcuts = [
            asdict(s) | {"target": names[s.target], "others": [names[o] for o in s.others]}
            for s in self.shortcuts.shortcuts
        ]
        return {
            "data": self.data,
            "files": summarise_files(self.facts.files),
            "classes": count_classes(self.samples, self.splits),
            "spoiled": self.spoiled,
            "findings": [self._finding(finding) for finding in self.findings],
            "shortcuts": shortcuts,
            "told_by_nothing": list(self.shortcuts.without_shortcut),
        }

    def _finding(self, finding: Finding) -> dict[str, Any]:
        """Return a finding as plain values, with the reason for each file that cannot be read."""
        files = self.facts.files
        reasons = {
            path: files[index].problem
            for index, path in zip(finding.images, self.paths(finding.images), strict=True)
            if files[index].problem
        }
        return {
            "severity": finding.severity,
            "kind": finding.kind,
            "text": finding.text,
            "groups": [self.paths(group) for group in finding.groups],
            "drop": self.paths(finding.drop),
        } | ({"reasons": reasons} if reasons else {})

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield the rows that ``--format csv`` prints.

        There is one row for each image of a finding, or one row for a finding without images.
        """
        for finding in self.findings:
            row: dict[str, object] = {"severity": finding.severity, "kind": finding.kind}
            drop = set(finding.drop)
            for number, group in enumerate(finding.groups, start=1):
                for index in group:
                    yield row | {
                        "group": number,
                        "path": str(self.samples.paths[index]),
                        "drop": "yes" if index in drop else "no",
                        "text": self.facts.files[index].problem or finding.text,
                    }
            if not finding.groups:
                yield row | {"text": finding.text}


def check_data(config: RunConfig, reporter: Reporter, *, cache: bool) -> DataReport:
    """Check a data set.

    Args:
        config: The settings, of which those of data, columns, groups and splits are used.
        reporter: Where notes and progress are shown.
        cache: Whether to use what is known of unchanged files from an earlier check, and to keep
            what is found out.

    Raises:
        CnncliError: If there are no labelled images.
    """
    found = find_samples(config.data, _columns(config), flat=True)
    samples = give_splits(found, config)
    threads = count_cpus()
    if config.group_regex is not None:
        samples = replace(samples, groups=parse_groups(samples.paths, config.group_regex))
    for remark in samples.remarks:
        reporter.note(remark)
    for note in samples.notes:  # the others are of the data, and this one of a flag
        if note.startswith(f"{EXCLUDE} "):
            reporter.warn(note)
    folder = find_cache_folder() if cache else None
    with reporter.progress("looking at images", len(samples)) as advance:
        facts = collect_facts(samples, threads=threads, cache_folder=folder, advance=advance)
    with reporter.progress("comparing", len(samples)) as advance:
        duplicates = find_duplicates(facts, threads=threads, advance=advance)
    if duplicates.left_out:
        reporter.note(
            count_of(
                duplicates.left_out,
                "pair that looks a little alike was",
                "pairs that look a little alike were",
            )
            + " not compared: there are too many, and likelier ones came first"
        )
    repeated = [index for group in duplicates.groups for index in group.members[1:]]
    families = [name for name in FAMILIES if name != "bits used" or show_depths(facts.files)]
    shortcuts, given_away = check_shortcuts(samples, facts.files, repeated, families)
    findings = [*_check_all(samples, facts, duplicates), *given_away]
    findings.sort(key=lambda finding: finding.severity != "spoils")
    return DataReport(config.data, samples, samples.splits, facts, tuple(findings), shortcuts)


def _check_all(
    samples: Samples, facts: CollectedFacts, duplicates: Duplicates
) -> Iterator[Finding]:
    """Yield the findings of all checks but that for shortcuts, the simplest to mend first."""
    splits, files = samples.splits, facts.files
    yield from (Finding("layout", note) for note in samples.notes)
    yield from check_files(samples.paths, files)
    yield from check_levels(samples.paths, files)
    areas = [file.width * file.height for file in files]
    yield from check_copies(samples, splits, duplicates.groups, areas)
    yield from check_groups(samples, splits, files)
    if samples.class_names != (NO_CLASS,):
        yield from check_classes(samples, splits)


def list_drops(report: DataReport) -> list[str]:
    """Return the paths of the files to leave out, as the data set names them."""
    drop = sorted({index for finding in report.findings for index in finding.drop})
    lines = report.paths(tuple(drop))
    if report.samples.files > 1:
        lines = [file for line in lines for file in line.split(SEPARATOR)]
    return lines


def save_fix_list(path: str, report: DataReport) -> int:
    """Write the paths of the files to leave out, one per line, and return their number.

    Args:
        path: The file to write.
        report: What was found.

    Raises:
        CnncliError: If the file cannot be written, or if a path has a line break in it.
    """
    lines = list_drops(report)
    save_list(path, lines, "--fix-list")
    return len(lines)


def check_move(config: RunConfig, move_to: str) -> None:
    """Refuse a ``--move-to`` that cannot be followed, before the images are looked at.

    Args:
        config: The settings of the check.
        move_to: The folder that files are to be moved into.

    Raises:
        CnncliError: If the data are not a folder of class folders, since a table or a file of
            splits would then name files that are gone, or if the two folders are not apart.
    """
    where = f"--move-to {move_to}"
    if not move_to.strip():
        raise CnncliError("--move-to: is empty; name a folder")
    if config.splits is not None:
        raise CnncliError(f"{where}: --splits {config.splits} would name files that are gone")
    root, columns = expand_path(config.data), _columns(config)
    is_set = is_named_set(config.data) and not root.exists()
    if root.is_dir():
        check_apart(root, expand_path(move_to), where)
        tables = [choose_table(root / base, columns).table for base in ("", find_base(root))]
        table = next((table for table in tables if table is not None), None)
    else:
        table = root if root.is_file() else None
    if is_set or table is not None:
        raise _no_folders(where, config.data if is_set else str(table))


def _columns(config: RunConfig) -> CsvColumns:
    return CsvColumns(config.image_col, config.label_col, config.split_col, config.group_col)


def _no_folders(where: str, data: str) -> CnncliError:
    return CnncliError(
        f"{where}: moves files out of a folder of images alone, and {data} is none; "
        "--fix-list FILE lists what to leave out"
    )


def move_drops(move_to: str, report: DataReport) -> int:
    """Move the files to leave out into a folder, with their class folders, and return their number.

    Args:
        move_to: The folder to move them into; it is made where there is something to move.
        report: What was found.

    Raises:
        CnncliError: If the data are no folder of class folders, or if a file cannot be moved.
    """
    where, source = f"--move-to {move_to}", report.samples.source
    if not isinstance(source, FileSource):  # a folder with one .npz, or in MNIST's form
        raise _no_folders(where, report.data)
    names = list_drops(report)
    move_out(source.root, names, expand_path(move_to), where)
    return len(names)
