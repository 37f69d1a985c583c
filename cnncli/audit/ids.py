"""Ids in front of file names: images of one patient, series or object."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from cnncli.arrays import Array
from cnncli.data.samples import text_array

# An id has a digit: a class name in front of a number would put a whole class into one group.
_LEADING = re.compile(r"^([A-Za-z]*\d[A-Za-z0-9]*)[_-]")
# A million ids take 300 MB; files of one patient stand next to each other.
_LOOKED_AT = 100_000
_RUNS = re.compile(r"[A-Za-z]+|\d+")


@dataclass(frozen=True)
class Ids:
    """Ids that file names share.

    Attributes:
        pattern: Regular expression that finds them, as ``--group-regex`` takes it.
        groups: (N,) texts: the id, or the whole path where a name has none.
    """

    pattern: str
    groups: Array


def find_ids(paths: Array, targets: Array) -> Ids | None:
    """Find the id that most file names of a class begin with; None where none stands twice.

    ``00000061_012.png`` and ``00000061_015.png`` look like one patient. Ids have one form
    throughout: of names as they come from everywhere, a few always begin with a number. A prefix
    that a whole class shares is no id.
    """
    names = [str(path).rsplit("/", 1)[-1] for path in paths]
    found = [match[1] if (match := _LEADING.match(name)) else "" for name in names]
    forms = [_RUNS.sub(lambda run: "9" if run[0].isdigit() else "a", text) for text in found]
    classes = targets.tolist()
    in_class = Counter(classes)
    of_form = Counter((c, form) for c, form in zip(classes, forms, strict=True) if form)
    usual = {(c, form) for (c, form), n in of_form.items() if 2 * n >= in_class[c]}
    if not usual:
        return None
    form = max(sorted({f for _, f in usual}), key=lambda f: sum(of_form[c, f] for c in in_class))
    ids = [
        text if f == form and (c, f) in usual else ""
        for text, f, c in zip(found, forms, classes, strict=True)
    ]
    times = Counter(text for text in ids if text)
    kinds = {target: set[str]() for target in in_class}
    for target, text in zip(classes, ids, strict=True):
        kinds[target].add(text)
    shared = {next(iter(k)) for t, k in kinds.items() if len(k) == 1 and in_class[t] > 1}
    if all(n < 2 or text in shared for text, n in times.items()):
        return None
    groups = [i if i and i not in shared else str(p) for i, p in zip(ids, paths, strict=True)]
    return Ids(_write_pattern([text for text in ids if text]), text_array(groups))


def propose_groups(paths: Array, targets: Array) -> str | None:
    """Return a warning if file names share ids (the first 100,000 are looked at), else None."""
    ids = find_ids(paths[:_LOOKED_AT], targets[:_LOOKED_AT])
    if ids is None:
        return None
    times = Counter(str(group) for group in ids.groups)
    shared = [text for text, n in times.items() if n > 1]
    return (
        f"{len(shared)} ids stand in front of several file names (such as {shared[0]!r}): if they "
        f"are patients or series, keep each in one split with --group-regex '{ids.pattern}'"
    )


def _write_pattern(ids: list[str]) -> str:
    """Return a regular expression for ids of one form."""
    lengths = [{len(run) for run in runs} for runs in zip(*map(_RUNS.findall, ids), strict=True)]
    parts = []
    for run, sizes in zip(_RUNS.findall(ids[0]), lengths, strict=True):
        letters = r"\d" if run.isdigit() else "[A-Za-z]"
        parts.append(f"{letters}{{{min(sizes)}}}" if len(sizes) == 1 else f"{letters}+")
    return f"^({''.join(parts)})[_-]"
