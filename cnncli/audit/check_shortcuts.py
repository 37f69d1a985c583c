"""Findings on shortcuts: which class its files give away, by what, and how it looks there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.file_facts import FileFacts
from cnncli.audit.findings import Finding, Severity
from cnncli.audit.shortcuts import FAMILIES, Shortcut, find_shortcuts
from cnncli.data.samples import Samples
from cnncli.errors import shorten


@dataclass(frozen=True)
class ShortcutCheck:
    """What came of it.

    Attributes:
        shortcuts: All, the surest first.
        not_told: Names of the classes whose files tell nothing of them.
    """

    shortcuts: tuple[Shortcut, ...]
    not_told: tuple[str, ...]


def look_for_shortcuts(
    samples: Samples,
    looks: Sequence[FileFacts],
    repeated: Sequence[int] = (),
    families: Sequence[str] = tuple(FAMILIES),
) -> tuple[ShortcutCheck, list[Finding]]:
    """Look for shortcuts among what can be read, one image per group.

    Args:
        samples: All of them.
        looks: One per sample.
        repeated: Copies of images that are there as well: they would count twice.
        families: Which properties to try.
    """
    chosen = _independent(samples, looks, set(repeated))
    targets = samples.targets[chosen]
    shortcuts = find_shortcuts([looks[i] for i in chosen], targets, families=families)
    told = {s.target for s in shortcuts} | {s.others[0] for s in shortcuts if len(s.others) == 1}
    names = samples.class_names
    not_told = tuple(name for target, name in enumerate(names) if target not in told)
    by_question: dict[tuple[int, tuple[int, ...]], list[Shortcut]] = {}
    for shortcut in shortcuts:
        by_question.setdefault((shortcut.target, shortcut.others), []).append(shortcut)
    findings = []
    for (target, _), found in by_question.items():
        strong = [s for s in found if s.strong]
        severity: Severity = "spoils" if strong else "note"
        images = chosen[targets == target]
        text = _say(samples, strong or found, _as_they_look(looks, chosen, targets, found[0]))
        kind = "shortcut" if strong else "partial-shortcut"
        findings.append(Finding(kind, severity, text, tuple((int(i),) for i in images)))
    return ShortcutCheck(tuple(shortcuts), not_told), findings


def _independent(samples: Samples, looks: Sequence[FileFacts], repeated: set[int]) -> Array:
    """Return the readable images, of each group the first of each class."""
    chosen = [i for i, look in enumerate(looks) if not look.problem and i not in repeated]
    if samples.groups is not None:
        first: dict[tuple[str, int], int] = {}
        for index in chosen:
            first.setdefault((str(samples.groups[index]), int(samples.targets[index])), index)
        chosen = sorted(first.values())
    return np.array(chosen, dtype=int)


def _say(samples: Samples, found: Sequence[Shortcut], looks_like: str) -> str:
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


def _as_they_look(
    looks: Sequence[FileFacts], chosen: Array, targets: Array, shortcut: Shortcut
) -> str:
    """Say what the files of a class and of the others are like, in what tells them apart."""
    own = [looks[i] for i in chosen[targets == shortcut.target]]
    others = [looks[i] for i in chosen[np.isin(targets, shortcut.others)]]
    describe = _DESCRIBE[shortcut.family]
    return f"{describe(own)}; the others {describe(others)}"


def _count_values(looks: Sequence[FileFacts], names: Sequence[str]) -> str:
    counts = Counter(" ".join(_show(look, name) for name in names).strip() for look in looks)
    return shorten([f"{n} {value}".strip() for value, n in counts.most_common()], 3)


def _show(look: FileFacts, name: str) -> str:
    value = getattr(look, name)
    if name == "camera":
        return value or "no camera"
    if name == "frame":
        return "no frame" if value == "none" else str(value)
    if name == "orientation":
        return "" if value == 1 else f"orientation {value}"
    return f"{value}-bit" if name == "bits" else str(value)


def _say_range(values: Sequence[float], form: str) -> str:
    low, high = min(values), max(values)
    return form.format(low) if low == high else f"{form.format(low)} to {form.format(high)}"


def _say_sizes(looks: Sequence[FileFacts]) -> str:
    widths = _say_range([look.width for look in looks], "{}")
    return f"{widths} × {_say_range([look.height for look in looks], '{}')} px"


def _say_quality(looks: Sequence[FileFacts]) -> str:
    values = [look.quality for look in looks if look.quality]
    if not values:
        return "no JPEG"
    return f"JPEG with a mean quantisation of {_say_range(values, '{:.1f}')}"


_DESCRIBE: dict[str, Callable[[Sequence[FileFacts]], str]] = {
    "format and mode": lambda looks: _count_values(looks, ("format", "mode", "bits")),
    "size": _say_sizes,
    "compression": _say_quality,
    "frame": lambda looks: _count_values(looks, ("frame",)),
    "camera": lambda looks: _count_values(looks, ("camera", "orientation")),
}
