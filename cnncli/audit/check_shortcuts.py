"""Findings on shortcuts: classes that can be guessed from properties of their files alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.file_facts import FileFacts
from cnncli.audit.findings import Finding, FindingKind, one_by_one
from cnncli.audit.shortcuts import FAMILIES, Shortcut, find_shortcuts, value_of
from cnncli.data.samples import Samples
from cnncli.errors import shorten


@dataclass(frozen=True)
class ShortcutCheck:
    """The shortcuts of a data set.

    Attributes:
        shortcuts: All shortcuts, the one with the highest balanced accuracy first.
        without_shortcut: Names of the classes that no shortcut gives away.
    """

    shortcuts: tuple[Shortcut, ...]
    without_shortcut: tuple[str, ...]


def check_shortcuts(
    samples: Samples,
    files: Sequence[FileFacts],
    repeated: Sequence[int] = (),
    families: Sequence[str] = tuple(FAMILIES),
) -> tuple[ShortcutCheck, list[Finding]]:
    """Look for shortcuts among the readable images, of which one per group and class counts.

    Args:
        samples: The labelled images.
        files: Facts on the files of each of the N images.
        repeated: Indices of images to leave out, since each is a copy of an image that counts.
        families: Keys of ``FAMILIES``: the properties of files to guess the class from.

    Returns:
        The shortcuts, and a finding for each class (or pair of classes) that has one.
    """
    chosen = _independent(samples, files, set(repeated))
    targets = samples.targets[chosen]
    shortcuts = find_shortcuts([files[i] for i in chosen], targets, families=families)
    given_away = {s.target for s in shortcuts}
    given_away |= {s.others[0] for s in shortcuts if len(s.others) == 1}
    names = samples.class_names
    without_shortcut = tuple(name for target, name in enumerate(names) if target not in given_away)
    by_question: dict[tuple[int, tuple[int, ...]], list[Shortcut]] = {}
    for shortcut in shortcuts:
        by_question.setdefault((shortcut.target, shortcut.others), []).append(shortcut)
    findings = []
    for (target, _), found in by_question.items():
        strong = [s for s in found if s.strong]
        images = chosen[targets == target]
        text = _write_text(
            samples, strong or found, _describe_files(files, chosen, targets, found[0])
        )
        kind: FindingKind = "shortcut" if strong else "partial-shortcut"
        findings.append(Finding(kind, text, one_by_one(images.tolist())))
    return ShortcutCheck(tuple(shortcuts), without_shortcut), findings


def _independent(samples: Samples, files: Sequence[FileFacts], repeated: set[int]) -> Array:
    """Return the indices of the readable images, only one of each group and class.

    Images of one group would not be independent of each other.
    """
    chosen = [i for i, file in enumerate(files) if not file.problem and i not in repeated]
    if samples.groups is not None:
        first: dict[tuple[str, int], int] = {}
        for index in chosen:
            first.setdefault((str(samples.groups[index]), int(samples.targets[index])), index)
        chosen = sorted(first.values())
    return np.array(chosen, dtype=int)


def _write_text(samples: Samples, found: Sequence[Shortcut], looks_like: str) -> str:
    names, first = samples.class_names, found[0]
    whole = len(first.others) == len(names) - 1 and len(first.others) > 1
    rest = "the rest" if whole else shorten([names[o] for o in first.others], 3)
    ways = [f"by {s.family} alone ({s.hits} of {s.of}{_mistaken(s)})" for s in found]
    partly = "can be told" if first.strong else "can partly be told"
    return f"{names[first.target]} {partly} from {rest} {_enumerate(ways)}: {looks_like}"


def _enumerate(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _mistaken(shortcut: Shortcut) -> str:
    if not shortcut.misses:
        return ""
    return f", with {shortcut.misses} of {shortcut.of_others} others taken for it"


def _describe_files(
    files: Sequence[FileFacts], chosen: Array, targets: Array, shortcut: Shortcut
) -> str:
    """Return what the files of a class, and those of the other classes, are like.

    Only the properties that the shortcut uses are described.
    """
    own = [files[i] for i in chosen[targets == shortcut.target]]
    others = [files[i] for i in chosen[np.isin(targets, shortcut.others)]]
    describe = _DESCRIBE[shortcut.family]
    return f"{describe(own)}; the others {describe(others)}"


def _count_values(files: Sequence[FileFacts], names: Sequence[str]) -> str:
    counts = Counter(" ".join(_show(file, name) for name in names).strip() for file in files)
    return shorten([f"{n} {value}".strip() for value, n in counts.most_common()], 3)


def _show(file: FileFacts, name: str) -> str:
    value = value_of(file, name)
    if name == "camera":
        return str(value or "no camera")
    if name == "frame":
        return "no frame" if value == "none" else str(value)
    if name == "orientation":
        return "" if value == 1 else f"orientation {value}"
    return f"{value}-bit" if name == "bits" else str(value)


def _range(values: Sequence[float], form: str) -> str:
    low, high = min(values), max(values)
    return form.format(low) if low == high else f"{form.format(low)} to {form.format(high)}"


def _describe_sizes(files: Sequence[FileFacts]) -> str:
    widths = _range([file.width for file in files], "{}")
    return f"{widths} × {_range([file.height for file in files], '{}')} px"


def _describe_quality(files: Sequence[FileFacts]) -> str:
    values = [file.quality for file in files if file.quality]
    if not values:
        return "no JPEG"
    return f"JPEG with a mean quantisation of {_range(values, '{:.1f}')}"


_DESCRIBE: dict[str, Callable[[Sequence[FileFacts]], str]] = {
    "format and mode": lambda files: _count_values(files, ("format", "mode", "bits")),
    "size": _describe_sizes,
    "compression": _describe_quality,
    "frame": lambda files: _count_values(files, ("frame",)),
    "bits used": lambda files: _count_values(files, ("bits_used",)),
    "camera": lambda files: _count_values(files, ("camera", "orientation")),
}
