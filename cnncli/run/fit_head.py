"""The first stage of a fine-tuning: the head, fitted to features of the images and of views."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from cnncli.arrays import Array
from cnncli.augmentation.notation import Pipeline, list_mirrors, parse_augment
from cnncli.data.folds import draw_fold_numbers
from cnncli.data.splits import TRAIN, group_numbers
from cnncli.errors import count_of
from cnncli.models.build import Classifier
from cnncli.models.stages import network_head
from cnncli.reporting import Reporter
from cnncli.run.prepared_run import PreparedRun
from cnncli.training.balance import class_weights
from cnncli.training.epoch_inputs import EpochInputs
from cnncli.training.head_features import compute_vectors, put_head
from cnncli.training.head_fit import (
    FOLDS,
    Judgement,
    cross_entropy,
    fit_head,
    is_better,
    judge_strengths,
)
from cnncli.training.kept_features import digest_layers
from cnncli.training.threads import limited_blas

# A random part of each image, at least half of it, enlarged to the whole size.
_VIEW = "crop 0.5:1 ratio=0.9:1.1 p=1"
# Numbers that the folds are judged on, and that the fit takes, at most: rows times D times K.
_MOST_JUDGED, _MOST_FITTED = 1e8, 1e9
_DEFAULT_STRENGTH = 1.0  # where no class has two images (or groups) to make folds of


@dataclass(frozen=True)
class FittedHead:
    """What the fit gave, for its row of ``metrics.csv``.

    Attributes:
        loss: Mean cross-entropy of the training images in nats.
        accuracy: Fraction of the training images that are classified correctly.
        images: Number of images that the backbone ran on, views included.
        seconds: Time it took.
    """

    loss: float
    accuracy: float
    images: int
    seconds: float


def fit_run_head(run: PreparedRun, inputs: EpochInputs, reporter: Reporter) -> FittedHead:
    """Fit the head to the training images, and put it into the run's network.

    The same images and settings give the same head.

    Args:
        run: The images and settings.
        inputs: What the epochs will train; its classifier is on the run's device, and its image
            loaders learn which images cannot be read.
        reporter: Gets progress, and a line that says what was tried and what won.

    Raises:
        CnncliError: If no image can be read.
    """
    start = time.perf_counter()
    path = network_head(run.config.model, run.network)
    compute = _share_views if run.shared else _compute_views
    views, indices = compute(run, inputs, path, reporter)
    targets = run.samples.targets[indices]
    num_classes = len(run.samples.class_names)
    weights = None
    if run.config.balance != "none":
        weights = np.array(class_weights(targets, num_classes))[targets]
    with limited_blas():
        chosen, judged = _choose(run, views, indices, weights)
        strength = _DEFAULT_STRENGTH if judged is None else judged.strength
        fitted = thin(views[:chosen], num_classes, _MOST_FITTED)
        head = fit_head(fitted, targets, num_classes, strength, weights)
    put_head(run.network, path, head)
    logits = head.logits(views[0].astype(np.float64))
    seconds = time.perf_counter() - start
    used = f"each with {count_of(chosen - 1, 'random crop')}" if chosen > 1 else "without crops"
    told = "" if judged is None else f", {judged.describe()}"
    reporter.note(
        f"head fitted to features of {count_of(len(targets), 'training image')}, {used}: "
        f"strength {strength:.3g}{told} ({seconds:.1f} s)"
    )
    correct = float((logits.argmax(axis=1) == targets).mean())
    loss = float(cross_entropy(logits, targets).mean())
    return FittedHead(loss, correct, views.shape[0] * views.shape[1], seconds)


def _share_views(
    run: PreparedRun, inputs: EpochInputs, path: str, reporter: Reporter
) -> tuple[Array, Array]:
    """Return what `_compute_views` does, from features of all images that the folds share."""
    kept = run.shared
    assert kept is not None
    numbers, config = run.indices(None), run.config
    layers = digest_layers(run.network, (path,), numbers)
    form = (layers, run.store.preprocess, config.batch_size, config.seed)
    key = ("head", *form, config.augment_views, str(_view_steps(run)))
    (views, _), _ = kept.take(key, lambda: _compute_views(run, inputs, path, reporter, None))
    indices = run.indices(TRAIN)
    return views[:, np.searchsorted(numbers, indices)], indices


def _compute_views(
    run: PreparedRun,
    inputs: EpochInputs,
    path: str,
    reporter: Reporter,
    split: int | None = TRAIN,
) -> tuple[Array, Array]:
    """Return the features (1 + V, N, D) of the images and of V views of each, and their numbers.

    The numbers (N,) are those of the images that can be read, among all samples.

    Args:
        run: The images and settings.
        inputs: What the epochs will train.
        path: Path of the head in the network.
        reporter: Gets progress.
        split: Index into SPLITS of the images to take; None for those of all splits.
    """
    views = run.config.augment_views
    plain, cropped = run.loader(split), run.loader(split, augment=_view_steps(run))
    compute, classifier = run.compute.for_evaluation(), inputs.classifier
    assert isinstance(classifier, Classifier)
    with (
        closing(plain),
        closing(cropped),
        reporter.progress("features", (1 + views) * plain.count) as advance,
    ):
        while True:
            first = compute_vectors(classifier, path, plain, compute, advance=advance)
            cropped.leave_out(plain.bad)
            others = compute_vectors(
                classifier,
                path,
                cropped,
                compute,
                epochs=tuple(range(1, views + 1)),
                advance=advance,
            )
            if not plain.leave_out(cropped.bad):
                break  # all views are of the same images
    inputs.image_loaders[0].bad.update(plain.bad)
    indices = [index for index in run.indices(split).tolist() if index not in plain.bad]
    return np.concatenate([first, others]), np.array(indices)


def _view_steps(run: PreparedRun) -> Pipeline:
    """Return the steps that make a view: a crop, mirrored only where the epochs mirror too."""
    augment = run.config.augment
    mirrors = "" if augment == "none" else list_mirrors(augment)
    flips = "".join(f"; {axis}flip" for axis in "hv" if axis in mirrors)
    steps = parse_augment(_VIEW + flips)
    assert steps != "none"
    return steps


def _choose(
    run: PreparedRun, views: Array, indices: Array, weights: Array | None
) -> tuple[int, Judgement | None]:
    """Return how many views to fit to, and how good the best strength was with them on folds.

    The crops are left out where the heads without them are clearly better.
    """
    folds = draw_head_folds(run, indices)
    if folds is None:
        return len(views), None
    targets, num_classes = run.samples.targets[indices], len(run.samples.class_names)
    kept = choose_judged(views, num_classes)
    part = None if weights is None else weights[kept]
    with_crops, alone = (
        judge_strengths(shown[:, kept], targets[kept], num_classes, folds[kept], part)
        for shown in (thin(views, num_classes, _MOST_JUDGED), views[:1])
    )
    if is_better(alone, with_crops, errors=1):
        return 1, alone
    return len(views), with_crops


def draw_head_folds(run: PreparedRun, indices: Array) -> Array | None:
    """Return the fold of each training image, from 1; None if there are too few for folds.

    A group of images is in one fold.

    Args:
        run: The images and settings.
        indices: (N,) numbers of the images among all samples.
    """
    targets, groups = run.samples.targets[indices], group_numbers(run.samples)
    units = targets
    if groups is not None:
        groups = groups[indices]
        units = np.unique(np.stack([targets, groups]), axis=1)[0]
    count = min(FOLDS, int(np.bincount(units).max()))
    if count < 2 or len(np.unique(targets)) < 2:
        return None
    return draw_fold_numbers(targets, groups, count, run.config.seed)


def choose_judged(views: Array, num_classes: int) -> Array:
    """Return the numbers of the images to judge on: evenly spread ones of very many."""
    _, count, width = views.shape
    most = max(500, int(_MOST_JUDGED / (width * num_classes)))
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def thin(views: Array, num_classes: int, most: float) -> Array:
    """Return as many of the views, from the first on, as a fit of bearable length takes."""
    count = max(1, int(most / max(1, views[0].size * num_classes)))
    return views[:count]
