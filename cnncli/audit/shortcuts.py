"""Shortcuts: how well a class can be guessed from properties of its files, without the picture.

Where the images of one class come from a source of their own, format or size of the files gives
the class away. Such a source also leaves traces in the pictures (sharpness, margins, compression),
and a network learns these traces instead of what the pictures show.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.file_facts import FileFacts

# Properties that belong together: the name of the family, and the attributes of ``FileFacts``
# (or ``aspect``, width divided by height, or ``bits_used``) that it consists of.
FAMILIES: dict[str, tuple[str, ...]] = {
    "format and mode": ("format", "mode", "bits", "alpha"),
    "size": ("width", "height", "aspect"),
    "compression": ("quality",),
    "frame": ("frame",),
    "bits used": ("bits_used",),
    "camera": ("camera", "orientation"),
}
# Properties whose values have no order; all others are numbers.
_CATEGORIES = frozenset(
    ("format", "mode", "bits", "alpha", "frame", "bits_used", "camera", "orientation")
)
# Of each such property, only so many of the most frequent values are used.
_MOST_CATEGORIES = 30

# Balanced accuracy from which a class has a shortcut, and from which it has a partial one.
STRONG, WEAK = 0.8, 0.65
# A shortcut must be less probable by chance than this, for all questions of a data set together.
_SIGNIFICANCE = 0.01
# A class with fewer files than this is left out.
_FEWEST = 6
# Folds of the cross-validation, and depth of the decision tree.
_FOLDS, _DEPTH = 5, 3
# With more classes than this, each is asked against all others together, not pair by pair.
_MOST_PAIRED = 12


@dataclass(frozen=True)
class Shortcut:
    """A class that can be guessed from one family of properties of its files.

    All guesses are about files that were held out from training the decision tree.

    Attributes:
        family: The family of properties, a key of ``FAMILIES``.
        target: Index of the class.
        others: Indices of the classes that it is told apart from.
        hits: Number of files of the class that were guessed right.
        of: Number of files of the class.
        misses: Number of files of the other classes that were taken for the class.
        of_others: Number of files of the other classes.
        balanced_accuracy: Mean of the fractions of right guesses on the class and on the others,
            0–1; 0.5 is chance.
        p_value: Probability of so many hits or more by chance, times the number of questions that
            were asked of the data set (Bonferroni's correction), at most 1.
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
        """Whether the guesses are good enough to spoil a result."""
        return self.balanced_accuracy >= STRONG


def find_shortcuts(
    files: Sequence[FileFacts], targets: Array, *, families: Sequence[str] = tuple(FAMILIES)
) -> list[Shortcut]:
    """Guess classes from properties of files with a small decision tree, cross-validated.

    Classes are compared pair by pair. A class that can be told apart from every other one becomes
    one shortcut, and pairs with such a class are not reported for the other class of the pair:
    that one is told apart only because the first is unusual. With more than twelve classes, each
    is compared with all others together instead.

    Args:
        files: Facts on N readable images that are independent of each other: one per group.
        targets: (N,) class indices.
        families: Keys of ``FAMILIES`` to guess from.

    Returns:
        The shortcuts that are not chance, the one with the highest balanced accuracy first.
    """
    classes = np.flatnonzero(np.bincount(targets) >= _FEWEST).tolist()
    if len(classes) < 2:
        return []
    features = {name: make_features(files, FAMILIES[name]) for name in families}
    features = {name: columns for name, columns in features.items() if columns.shape[1]}
    pairwise = len(classes) <= _MOST_PAIRED
    questions = list(_ask(classes, pairwise=pairwise))
    tests = len(questions) * len(features)
    found = []
    for name, columns in features.items():
        answers = [
            shortcut
            for target, others in questions
            if (shortcut := _try(name, columns, targets, target, others, tests)) is not None
        ]
        found += _join(answers, columns, targets, classes, tests) if pairwise else answers
    return sorted(found, key=lambda s: (-s.balanced_accuracy, s.target, s.family))


def _ask(classes: Sequence[int], *, pairwise: bool) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield each question: a class, and the classes to tell it apart from."""
    if pairwise:
        yield from ((one, (other,)) for one, other in combinations(classes, 2))
    else:
        yield from ((one, tuple(c for c in classes if c != one)) for one in classes)


def _join(
    found: Sequence[Shortcut], columns: Array, targets: Array, classes: Sequence[int], tests: int
) -> list[Shortcut]:
    """Replace the pairs of a class that can be told apart from every other by one shortcut.

    Args:
        found: The shortcuts of pairs of classes, all of one family.
        columns: (N, F) features of the family.
        targets: (N,) class indices.
        classes: Indices of the classes that were compared.
        tests: Number of questions, for the p-value.
    """
    if len(classes) == 2:
        return list(found)
    pairs = {(s.target, *s.others): s for s in found}
    joined: list[Shortcut] = []
    for target in classes:
        others = tuple(c for c in classes if c != target)
        own = [pairs.get((min(target, o), max(target, o))) for o in others]
        if all(own):
            whole = _try(found[0].family, columns, targets, target, others, tests)
            joined += [whole] if whole is not None else []
    whole_classes = {s.target for s in joined}
    rest = [s for s in found if not {s.target, *s.others} & whole_classes]
    return [*joined, *rest]


def make_features(files: Sequence[FileFacts], names: Sequence[str]) -> Array:
    """Return (N, F) features for the decision tree.

    A number is one column, and each value of a category is a column of 0 and 1. Constant columns
    are left out, as are the values of a category after the thirty most frequent ones.

    Args:
        files: Facts on the files of N images.
        names: The properties to use, as in ``FAMILIES``.
    """
    columns: list[Array] = []
    for name in names:
        values = [value_of(file, name) for file in files]
        if name in _CATEGORIES:
            kinds, counts = np.unique([str(v) for v in values], return_counts=True)
            chosen = kinds[np.argsort(-counts, kind="stable")][:_MOST_CATEGORIES]
            columns += [np.array([str(v) == kind for v in values], float) for kind in chosen]
        else:
            columns.append(np.array(values, dtype=float))
    columns = [column for column in columns if np.ptp(column) > 0]
    return np.stack(columns, axis=1) if columns else np.zeros((len(files), 0))


def value_of(file: FileFacts, name: str) -> object:
    """Return a property of a file: an attribute, or one that is computed from them."""
    if name == "bits_used":
        return "12 bits or fewer" if file.depth == "uint16" and file.high < 4096 else "all bits"
    return file.width / max(file.height, 1) if name == "aspect" else getattr(file, name)


def _try(
    family: str,
    columns: Array,
    targets: Array,
    target: int,
    others: tuple[int, ...],
    tests: int,
) -> Shortcut | None:
    """Return the shortcut that tells a class apart from others, if there is one.

    It is None where the guesses are hardly better than chance, or may be chance.

    Args:
        family: The family of properties, a key of ``FAMILIES``.
        columns: (N, F) features of the family.
        targets: (N,) class indices.
        target: The class.
        others: The classes to tell it apart from.
        tests: Number of questions, by which the p-value is multiplied.
    """
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
    """Return (N,) bool: for each file, the guess of a decision tree that was fitted without it.

    Args:
        features: (N, F) properties of the files.
        wanted: (N,) bool, the right answers.
    """
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
    """Return the probability of so many hits or more if the guesses were random.

    Args:
        hits: Number of files of the class that were guessed to be of it.
        of: Number of files of the class.
        misses: Number of files of other classes that were guessed to be of the class.
        of_others: Number of files of other classes.

    Source: Fisher's exact test, one-sided (the tail of the hypergeometric distribution).
    """
    from scipy.stats import hypergeom  # type: ignore[import-untyped]

    guessed, total = hits + misses, of + of_others
    return float(hypergeom.sf(hits - 1, total, of, guessed))
