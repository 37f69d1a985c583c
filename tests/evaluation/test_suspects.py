"""Suspect labels against formulas written out, and against the library cleanlab."""

import numpy as np
import pytest

from cnncli.evaluation.suspects import (
    count_wrong_labels,
    find_suspects,
    find_unknown_classes,
    is_no_better_than_one_class,
)


def draw(images=600, classes=4, flipped=0.08, sharpness=3.0, seed=0):
    """Return labels of which some are wrong, probabilities, and which labels are wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=images)
    logits = rng.normal(size=(images, classes))
    logits[np.arange(images), truth] += sharpness
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    wrong = rng.random(images) < flipped
    targets = np.where(wrong, (truth + rng.integers(1, classes, size=images)) % classes, truth)
    return targets, probabilities, wrong


def slow_count(targets, probabilities):
    """The estimate as the paper has it, an image at a time."""
    classes = range(probabilities.shape[1])
    pairs = list(zip(targets.tolist(), probabilities.tolist(), strict=True))
    mean = [np.mean([row[k] for target, row in pairs if target == k]) for k in classes]
    joint = {(i, j): 0 for i in classes for j in classes}
    for target, row in pairs:
        confident = [k for k in classes if row[k] >= mean[k]]
        if confident:
            joint[target, max(confident, key=lambda k: row[k])] += 1
    total = 0.0
    for i in classes:
        number = sum(target == i for target, _ in pairs)
        total += number * (1 - joint[i, i] / sum(joint[i, j] for j in classes))
    return total


@pytest.mark.parametrize("seed", range(3))
def test_suspects_are_those_of_the_paper(seed):
    targets, probabilities, wrong = draw(seed=seed)
    count = slow_count(targets, probabilities)
    assert count_wrong_labels(targets, probabilities) == pytest.approx(count)
    margins = [
        (row[target] - max(np.delete(row, target)), number, int(row.argmax()))
        for number, (target, row) in enumerate(zip(targets, probabilities, strict=True))
    ]
    expected = sorted(margin for margin in margins if margin[0] < 0)[: round(count)]
    suspects = find_suspects(targets, probabilities)
    assert suspects.indices.tolist() == [number for _, number, _ in expected]
    assert suspects.proposed.tolist() == [best for _, _, best in expected]
    assert suspects.margins == pytest.approx([margin for margin, _, _ in expected])
    first = suspects.indices[: wrong.sum()]
    assert wrong[first].mean() > 0.75


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_cleanlab_estimates_as_many_and_has_them_in_the_same_order(seed, classes):
    """cleanlab rounds each cell of the joint, and takes a likeliest class that is not confident."""
    told = "cleanlab is not installed: pip install cleanlab"
    count = pytest.importorskip("cleanlab.count", reason=told)
    rank = pytest.importorskip("cleanlab.rank", reason=told)
    targets, probabilities, _ = draw(classes=classes, seed=seed)
    suspects = find_suspects(targets, probabilities)
    theirs = count.num_label_issues(
        targets, probabilities, estimation_method="off_diagonal_calibrated"
    )
    assert count_wrong_labels(targets, probabilities) == pytest.approx(theirs, abs=classes)
    scores = rank.get_normalized_margin_for_each_label(targets, probabilities)
    order = np.argsort(scores, kind="stable")[: len(suspects.indices)]
    assert suspects.indices.tolist() == order.tolist()
    # It has margins from 0 to 1.
    assert suspects.margins == pytest.approx(2 * scores[order] - 1)


def test_a_clean_set_has_no_suspects():
    targets = np.repeat(np.arange(3), 5)
    assert len(find_suspects(targets, np.eye(3)[targets]).indices) == 0


def test_images_that_say_nothing_are_no_suspects():
    """Each class has the same probability in all images: all are confident, none has a margin."""
    targets = np.array([0, 0, 1, 1])
    assert len(find_suspects(targets, np.full((4, 2), 0.5)).indices) == 0


def test_a_class_without_a_label_is_never_proposed():
    targets = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.1, 0.0, 0.9], [0.9, 0.1, 0], [0.1, 0.9, 0], [0.8, 0.2, 0]])
    suspects = find_suspects(targets, probabilities)
    assert suspects.indices.tolist() == [3]
    assert suspects.proposed.tolist() == [0]


@pytest.mark.parametrize("seed", range(3))
def test_a_network_that_guesses_is_told(seed):
    rng = np.random.default_rng(seed)
    targets = rng.choice(3, size=300, p=[0.6, 0.3, 0.1])
    guess = rng.dirichlet([6, 3, 1], size=300)
    assert is_no_better_than_one_class(targets, guess.argmax(axis=1))
    assert is_no_better_than_one_class(targets, np.zeros(300, int))
    _, good, _ = draw(classes=3, images=300, seed=seed)
    truth = good.argmax(axis=1)
    assert not is_no_better_than_one_class(truth, truth)


def test_classes_that_are_not_told_apart_are_named():
    """Classes 2 and 3 are told from 0 and 1, if not from each other; class 4 has one image."""
    rng = np.random.default_rng(0)
    targets = np.append(np.repeat(np.arange(4), 100), 4)
    logits = rng.normal(scale=0.5, size=(401, 5))
    logits[np.arange(200), targets[:200]] += 3
    logits[200:400, 2:4] += 2
    logits[200:400] = logits[200:400][rng.permutation(200)]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert find_unknown_classes(targets, probabilities).tolist() == [4]
    # By a constant probability nothing is told from anything.
    flat = np.full((401, 5), 0.2)
    assert find_unknown_classes(targets, flat).tolist() == [0, 1, 2, 3, 4]
    one = probabilities.copy()
    one[:, 0] = rng.permutation(one[:, 0])
    assert 0 in find_unknown_classes(targets, one)
