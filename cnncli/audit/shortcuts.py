"""Shortcuts: how well a class can be guessed from the file alone, without its picture.

Where one class came from a source of its own, its files tell it, and so do the traces that the
source left in the pictures (sharpness, margins, compression). A network finds them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.file_facts import FileFacts

# What belongs together: name in the answer, and the attributes of a FileFacts.
FAMILIES: dict[str, tuple[str, ...]] = {
    "format and mode": ("format", "mode", "bits", "alpha"),
    "size": ("width", "height", "aspect"),
    "compression": ("quality",),
    "frame": ("frame",),
    "camera": ("camera", "orientation"),
}
_CATEGORIES = frozenset(("format", "mode", "bits", "alpha", "frame", "camera", "orientation"))
_MOST_CATEGORIES = 30

# Balanced accuracy from which a class counts as told by its files, and as partly told.
STRONG, WEAK = 0.8, 0.65
_SIGNIFICANCE = 0.01  # for all questions of a data set together
_FEWEST = 6  # files of a class
_FOLDS, _DEPTH = 5, 3
# More pairs of classes are not asked one by one.
_MOST_PAIRED = 12


@dataclass(frozen=True)
class Shortcut:
    """A class that its files tell.

    Attributes:
        family: Key of ``FAMILIES``.
        target: The class.
        others: The classes it is told from.
        hits: Files of the class that were guessed right, when held out.
        of: Files of the class.
        misses: Files of the others that were taken for it.
        of_others: Files of the others.
        balanced_accuracy: Mean of both rates of right answers; 0.5 is chance.
        p_value: Of so many hits by chance, times the number of questions asked.
    """

    family: str
    target: int
    others: tuple[int, ...]
    hits: int
    of: int
    misses: int
    of_others: int
    balanced_accuracy: float
    p_value: float

    @property
    def strong(self) -> bool:
        """Whether the class is as good as told."""
        return self.balanced_accuracy >= STRONG


def find_shortcuts(
    looks: Sequence[FileFacts], targets: Array, *, families: Sequence[str] = tuple(FAMILIES)
) -> list[Shortcut]:
    """Guess classes from file properties by a small tree, cross-validated.

    A class is told where it is told from each other class, pair by pair; else a class that merely
    is not the odd one would count. With many classes each is asked against all others only.

    Args:
        looks: Of readable samples that are independent of each other: one per group.
        targets: (N,) classes.
        families: Which properties to try.

    Returns:
        The shortcuts that are not chance, the surest first.
    """
    classes = np.flatnonzero(np.bincount(targets) >= _FEWEST).tolist()
    if len(classes) < 2:
        return []
    features = {name: make_features(looks, FAMILIES[name]) for name in families}
    features = {name: columns for name, columns in features.items() if columns.shape[1]}
    pairwise = len(classes) <= _MOST_PAIRED
    questions = list(_ask(classes, pairwise=pairwise))
    tests = len(questions) * len(features)
    found = []
    for name, columns in features.items():
        told = [
            shortcut
            for target, others in questions
            if (shortcut := _try(name, columns, targets, target, others, tests)) is not None
        ]
        found += _join(told, columns, targets, classes, tests) if pairwise else told
    return sorted(found, key=lambda s: (-s.balanced_accuracy, s.target, s.family))


def _ask(classes: Sequence[int], *, pairwise: bool) -> Iterator[tuple[int, tuple[int, ...]]]:
    if pairwise:
        yield from ((one, (other,)) for one, other in combinations(classes, 2))
    else:
        yield from ((one, tuple(c for c in classes if c != one)) for one in classes)


def _join(
    told: Sequence[Shortcut], columns: Array, targets: Array, classes: Sequence[int], tests: int
) -> list[Shortcut]:
    """Put the pairs of a class that is told from every other together."""
    if len(classes) == 2:
        return list(told)
    pairs = {(s.target, *s.others): s for s in told}
    joined: list[Shortcut] = []
    for target in classes:
        others = tuple(c for c in classes if c != target)
        own = [pairs.get((min(target, o), max(target, o))) for o in others]
        if all(own):
            whole = _try(told[0].family, columns, targets, target, others, tests)
            joined += [whole] if whole is not None else []
    whole_classes = {s.target for s in joined}
    rest = [s for s in told if not {s.target, *s.others} & whole_classes]
    return [*joined, *rest]


def make_features(looks: Sequence[FileFacts], names: Sequence[str]) -> Array:
    """Return (N, F) numbers: sizes as they are, categories one column each; none that is constant.

    Categories beyond the thirty most frequent share no column.
    """
    columns: list[Array] = []
    for name in names:
        values = [_value(look, name) for look in looks]
        if name in _CATEGORIES:
            kinds, counts = np.unique([str(v) for v in values], return_counts=True)
            chosen = kinds[np.argsort(-counts, kind="stable")][:_MOST_CATEGORIES]
            columns += [np.array([str(v) == kind for v in values], float) for kind in chosen]
        else:
            columns.append(np.array(values, dtype=float))
    columns = [column for column in columns if np.ptp(column) > 0]
    return np.stack(columns, axis=1) if columns else np.zeros((len(looks), 0))


def _value(look: FileFacts, name: str) -> object:
    return look.width / max(look.height, 1) if name == "aspect" else getattr(look, name)


def _try(
    family: str,
    columns: Array,
    targets: Array,
    target: int,
    others: tuple[int, ...],
    tests: int,
) -> Shortcut | None:
    """Ask one question; None where the answer may be chance, or helps little."""
    chosen = np.isin(targets, (target, *others))
    features, wanted = columns[chosen], targets[chosen] == target
    if not np.ptp(features, axis=0).any():
        return None
    guessed = guess(features, wanted)
    hits, of = int(guessed[wanted].sum()), int(wanted.sum())
    misses, of_others = int(guessed[~wanted].sum()), int((~wanted).sum())
    balanced = (hits / of + 1 - misses / of_others) / 2
    if balanced < WEAK:
        return None
    p_value = min(1.0, tests * chance_of(hits, of, misses, of_others))
    if p_value > _SIGNIFICANCE:
        return None
    return Shortcut(family, target, others, hits, of, misses, of_others, balanced, p_value)


def guess(features: Array, wanted: Array) -> Array:
    """Return (N,) of bool: what a small tree says of each file that it has not seen."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    folds = min(_FOLDS, int(wanted.sum()), int((~wanted).sum()))
    tree = DecisionTreeClassifier(
        max_depth=_DEPTH, min_samples_leaf=2, class_weight="balanced", random_state=0
    )
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(cross_val_predict(tree, features, wanted, cv=split), dtype=bool)


def chance_of(hits: int, of: int, misses: int, of_others: int) -> float:
    """Return the probability of so many hits or more if the guesses fell on files at random.

    Source: Fisher's exact test, one-sided (the hypergeometric tail).
    """
    from scipy.stats import hypergeom  # type: ignore[import-untyped]

    guessed, total = hits + misses, of + of_others
    return float(hypergeom.sf(hits - 1, total, of, guessed))
