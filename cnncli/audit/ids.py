"""Ids that file names begin with: images of one patient, series or object may share one."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from cnncli.arrays import Array
from cnncli.data.samples import text_array
from cnncli.errors import count_of

# An id has a digit. Otherwise the class name in ``cat_001.png`` would count as an id, and the
# whole class as one group.
_LEADING = re.compile(r"^([A-Za-z]*\d[A-Za-z0-9]*)[_-]")
# Only so many names are looked at before training: a million ids take 300 MB of memory, and
# images of one patient are close to each other in the order of the names.
_MOST_NAMES = 100_000
# The letters and the digits of an id, run by run.
_RUNS = re.compile(r"[A-Za-z]+|\d+")


@dataclass(frozen=True)
class Ids:
    """Ids that several file names begin with.

    Attributes:
        pattern: Regular expression that finds the ids in file names, for ``--group-regex``.
        groups: (N,) texts: the id of each image, or its whole path if its name has no id.
    """

    pattern: str
    groups: Array


def detect_ids(paths: Array, targets: Array) -> Ids | None:
    """Return the ids that file names begin with, or None if no two names share one.

    ``00000061_012.png`` and ``00000061_015.png`` look like images of one patient.

    - All ids have the same form (letters and digits in the same order). Only a form that at least
      half of the names of some class have counts, since in any collection of images a few names
      happen to begin with a number.
    - A prefix that all names of a class share is not an id.

    Args:
        paths: (N,) paths of the images.
        targets: (N,) class indices.
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
    """Return a warning that proposes a ``--group-regex`` if file names share ids, else None.

    Args:
        paths: (N,) paths of the images, of which the first 100,000 are looked at.
        targets: (N,) class indices.
    """
    ids = detect_ids(paths[:_MOST_NAMES], targets[:_MOST_NAMES])
    if ids is None:
        return None
    times = Counter(str(group) for group in ids.groups)
    shared = [text for text, n in times.items() if n > 1]
    return (
        f"{count_of(len(shared), 'id begins', 'ids each begin')} the names of several files (such "
        f"as {shared[0]!r}): if ids are patients or series, keep the images of each in one split "
        f"with --group-regex '{ids.pattern}'"
    )


def _write_pattern(ids: list[str]) -> str:
    """Return a regular expression that matches ids of one form at the start of a file name."""
    lengths = [{len(run) for run in runs} for runs in zip(*map(_RUNS.findall, ids), strict=True)]
    parts = []
    for run, sizes in zip(_RUNS.findall(ids[0]), lengths, strict=True):
        letters = r"\d" if run.isdigit() else "[A-Za-z]"
        parts.append(f"{letters}{{{min(sizes)}}}" if len(sizes) == 1 else f"{letters}+")
    return f"^({''.join(parts)})[_-]"
