"""``cnncli visualize embedding``: images as points in the network's feature space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.choices.spelling import find_choice
from cnncli.data.samples import Samples, select_samples
from cnncli.data.splits import TRAIN
from cnncli.data.store import ImageStore
from cnncli.errors import CnncliError, did_you_mean
from cnncli.explain.embedding import (
    Map,
    check_features,
    draw_map,
    find_neighbours,
    score_neighbours,
)
from cnncli.models.stages import network_head
from cnncli.plots.embedding import MOST_CLASSES, save_embedding, save_neighbours
from cnncli.recipes.visualize.features import (
    Extractor,
    Features,
    bound_samples,
    build_extractor,
    compute_all,
)
from cnncli.recipes.visualize.photos import choose_samples, read_photo
from cnncli.recipes.visualize.settings import View, VisualizeSettings, open_subject
from cnncli.reporting import Reporter
from cnncli.run.subject import Subject

METHODS = ("t-sne", "pca")
_VOTES = 5  # neighbours that vote for a class
_NEAREST = 8  # images that --neighbours shows


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw a map of the images by their features, or those nearest to one image.

    Raises:
        CnncliError: If there is no such run, network, layer, method or image, or too few images.
    """
    method = settings.method or METHODS[0]
    method = find_choice(method, METHODS) or method
    if method not in METHODS:
        near = did_you_mean(method, METHODS) or f"; there are {' and '.join(METHODS)}"
        raise CnncliError(f"--method {method}: embedding has no such method{near}")
    subject = open_subject(settings, reporter)
    if settings.data is None and subject.checkpoint is None:
        raise CnncliError("--data: missing; name the images that are to become points")
    extract = build_extractor(subject, settings.layer)
    if settings.neighbours is not None:
        return _show_neighbours(extract, settings, settings.neighbours, reporter)
    samples = choose_samples(settings, subject, reporter)
    found = compute_all(extract, bound_samples(samples, settings, reporter), reporter)
    check_features(found.values)
    targets = found.samples.targets
    drawn = draw_map(found.values, method, settings.seed)
    score, votes = score_neighbours(found.values, targets, _VOTES)
    if score is None:
        reporter.note("no class has two images: neighbours cannot name a class")
    else:
        counted = int((np.bincount(targets)[targets] > 1).sum())
        reporter.note(
            f"{_count_votes(votes)} in feature space {'names' if votes == 1 else 'name'} the class "
            f"of {score:.1%} of the {counted} images (each left out in turn)"
        )
    wrong = _find_wrong(found, subject.class_names, reporter)
    present = len(np.unique(targets))
    if present > MOST_CLASSES:
        reporter.note(f"{present} classes: the {MOST_CLASSES} largest in colour, the others grey")
    return _assemble(found, subject, settings, drawn, (score, votes), wrong)


def _assemble(
    found: Features,
    subject: Subject,
    settings: VisualizeSettings,
    drawn: Map,
    vote: tuple[float | None, int],
    wrong: Array,
) -> View:
    """Return the map as a picture and as numbers."""
    score, votes = vote
    targets = found.samples.targets
    rows = [
        {"path": path, "label": label, "prediction": prediction, "x": float(x), "y": float(y)}
        for path, label, prediction, (x, y) in zip(
            *_name_all(found, subject), drawn.points, strict=True
        )
    ]
    where = (
        f"before {network_head(subject.model, subject.network)}"
        if settings.layer is None
        else f"of {settings.layer}"
    )
    weights = "" if subject.is_trained else " with random weights"
    title = (
        f"{found.values.shape[1]} features {where} of {subject.model}{weights}, "
        f"{len(targets)} images"
    )
    if score is not None:
        title += f"\n{_count_votes(votes)} right: {score:.1%}"
    return View(
        draw=partial(
            save_embedding,
            points=drawn.points,
            targets=targets,
            class_names=found.samples.class_names,
            wrong=wrong,
            axes_names=_name_axes(drawn),
            title=title,
        ),
        rows=rows,
        columns=("path", "label", "prediction", "x", "y"),
        array=found.values,
        document={
            "method": find_choice(settings.method or METHODS[0], METHODS),
            "layer": settings.layer,
            "features": found.values.shape[1],
            "images": len(targets),
            "perplexity": drawn.perplexity,
            "variance": list(drawn.variance),
            "neighbours": votes,
            "neighbour_accuracy": score,
            "points": rows,
        },
    )


def _count_votes(votes: int) -> str:
    return f"{votes} nearest neighbours" if votes > 1 else "the nearest neighbour"


def _name_all(found: Features, subject: Subject) -> tuple[list[str], list[str], list[str]]:
    """Return paths, labels and predictions."""
    samples = found.samples
    labels = [samples.class_names[target] for target in samples.targets]
    return [*map(str, samples.paths)], labels, [subject.class_names[p] for p in found.predictions]


def _find_wrong(found: Features, known: tuple[str, ...], reporter: Reporter) -> Array:
    """Return (N,) whether a prediction is wrong; labels the network does not know are not."""
    names = found.samples.class_names
    strange = [names[t] for t in np.unique(found.samples.targets) if names[t] not in known]
    if strange:
        reporter.note(
            f"{', '.join(strange[:3])}{' …' if len(strange) > 3 else ''}: no class of the network; "
            "predictions of such images are not marked as wrong"
        )
    answers = [known[p] for p in found.predictions]
    labels = [names[t] for t in found.samples.targets]
    return np.array([a != b and b in known for a, b in zip(answers, labels, strict=True)])


def _name_axes(drawn: Map) -> tuple[str, str]:
    if drawn.variance:
        first, second = (
            f"principal component {n} ({part:.1%} of the variance)"
            for n, part in enumerate(drawn.variance, 1)
        )
        return first, second
    return f"t-SNE, perplexity {drawn.perplexity:.3g}; axes have no unit", ""


def _show_neighbours(
    extract: Extractor, settings: VisualizeSettings, given: str, reporter: Reporter
) -> View:
    """Draw the training images whose features are nearest to those of an image."""
    subject = extract.subject
    query = read_photo(given, subject.preprocess, "--neighbours")
    samples, kind = _choose_training_images(settings, subject, reporter)
    found = compute_all(extract, bound_samples(samples, settings, reporter), reporter)
    values, answers = extract(query.pixels[None])
    order, similarity = find_neighbours(found.values, values[0], _NEAREST)
    paths, labels, _ = _name_all(found, subject)
    rows: list[Mapping[str, Any]] = [
        {"rank": rank, "path": paths[n], "label": labels[n], "similarity": round(float(cosine), 6)}
        for rank, (n, cosine) in enumerate(zip(order, similarity, strict=True), 1)
    ]
    store = ImageStore(found.samples.source, subject.preprocess)
    answer = subject.class_names[int(answers[0])]
    titles = [f"{PurePath(given).name}\npredicted: {answer}"]
    titles += [f"{row['label']}\n{row['similarity']:.3f}" for row in rows]
    return View(
        draw=partial(
            save_neighbours,
            query=query.pixels,
            images=[store[int(n)] for n in order],
            titles=titles,
            note=f"the nearest of {len(paths)} {kind}; cosine similarity of their features",
        ),
        rows=rows,
        columns=("rank", "path", "label", "similarity"),
        array=similarity,
        document={"image": given, "prediction": answer, "neighbours": rows},
    )


def _choose_training_images(
    settings: VisualizeSettings, subject: Subject, reporter: Reporter
) -> tuple[Samples, str]:
    """Return the training images, or all images of data without splits, and what to call them."""
    train = SPLITS[TRAIN]
    if subject.checkpoint is not None or settings.split is not None:
        split = settings.split or train
        samples = choose_samples(replace(settings, split=split), subject, reporter)
        return samples, "training images" if split == train else "images"
    samples = choose_samples(replace(settings, split="all"), subject, reporter)
    chosen = np.flatnonzero(samples.splits == TRAIN)
    if not len(chosen):
        return samples, "images"
    return select_samples(samples, chosen), "training images"
