"""``cnncli visualize embedding``: images as points in the network's feature space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.data.samples import Samples, select_samples
from cnncli.data.splits import TRAIN
from cnncli.data.store import ImageStore, map_in_threads
from cnncli.errors import CnncliError, did_you_mean
from cnncli.explain.embedding import (
    Map,
    check_features,
    compute_features,
    draw_map,
    find_neighbours,
    score_neighbours,
)
from cnncli.explain.layers import find_layer
from cnncli.explain.units import Grid, find_grid
from cnncli.images.header import ImageError
from cnncli.models.head import main_logits
from cnncli.models.stages import network_head
from cnncli.models.tracing.trace import trace_network
from cnncli.plots.embedding import MOST_CLASSES, save_embedding, save_neighbours
from cnncli.recipes.visualize.photos import choose_samples, read_photo
from cnncli.recipes.visualize.settings import View, VisualizeSettings
from cnncli.reporting import Reporter
from cnncli.run.subject import Subject, load_subject
from cnncli.training.device import count_cpus

METHODS = ("t-sne", "pca")
_MOST = 2000  # images
_BATCH = 32
_VOTES = 5  # neighbours that vote for a class
_NEAREST = 8  # images that --neighbours shows


@dataclass(frozen=True)
class _Extractor:
    """Computes the features of images.

    Attributes:
        subject: The network.
        head: Path of its last layer.
        layer: The layer whose output is taken; None takes the input of the head.
        grid: Where the channels of ``layer`` lie.
    """

    subject: Subject
    head: str
    layer: str | None
    grid: Grid | None

    def __call__(self, pixels: Array) -> tuple[Array, Array]:
        """Return features (N, D) and predictions (N,) of images (N, h, w, C)."""
        images = self.subject.classifier().normalise(torch.from_numpy(pixels))
        features, output = compute_features(
            self.subject.network, images, self.head, self.layer, self.grid
        )
        return features, main_logits(output).argmax(dim=1).numpy()


@dataclass(frozen=True)
class _Features:
    """What was computed of the images that could be read.

    Attributes:
        samples: N images.
        values: (N, D) features.
        predictions: (N,) indices into the network's classes.
    """

    samples: Samples
    values: Array
    predictions: Array


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw a map of the images by their features, or those nearest to one image.

    Raises:
        CnncliError: If there is no such run, network, layer, method or image, or too few images.
    """
    method = settings.method or METHODS[0]
    if method not in METHODS:
        near = did_you_mean(method, METHODS) or f"; there are {' and '.join(METHODS)}"
        raise CnncliError(f"--method {method}: embedding has no such method{near}")
    subject = load_subject(
        settings.target,
        reporter,
        weights=settings.weights,
        image_size=settings.image_size,
        seed=settings.seed,
    )
    if settings.data is None and subject.checkpoint is None:
        raise CnncliError("--data: missing; name the images that are to become points")
    extract = _build_extractor(subject, settings.layer)
    if settings.neighbours is not None:
        return _show_neighbours(extract, settings, settings.neighbours, reporter)
    samples = choose_samples(settings, subject, reporter)
    found = _compute(extract, _bound(samples, settings, reporter), reporter)
    check_features(found.values)
    targets = found.samples.targets
    drawn = draw_map(found.values, method, settings.seed)
    score, votes = score_neighbours(found.values, targets, _VOTES)
    reporter.note(
        f"{votes} nearest neighbours in feature space name the class of {score:.1%} of the "
        f"{len(targets)} images (each left out in turn)"
    )
    wrong = _find_wrong(found, subject.class_names, reporter)
    present = len(np.unique(targets))
    if present > MOST_CLASSES:
        reporter.note(f"{present} classes: the {MOST_CLASSES} largest in colour, the others grey")
    rows = [
        {"path": path, "label": label, "prediction": prediction, "x": float(x), "y": float(y)}
        for path, label, prediction, (x, y) in zip(
            *_name_all(found, subject), drawn.points, strict=True
        )
    ]
    where = f"before {extract.head}" if settings.layer is None else f"of {settings.layer}"
    weights = "" if subject.is_trained else " with random weights"
    title = (
        f"{found.values.shape[1]} features {where} of {subject.model}{weights}, "
        f"{len(targets)} images\n{votes} nearest neighbours right: {score:.1%}"
    )
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
            "method": method,
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


def _build_extractor(subject: Subject, layer: str | None) -> _Extractor:
    head = network_head(subject.model, subject.network)
    if layer is None:
        return _Extractor(subject, head, None, None)
    find_layer(subject.network, layer)
    pre = subject.preprocess
    record = trace_network(subject.network, pre.image_size, pre.channels)[layer]
    if record.field is None or record.output_shape is None:
        raise CnncliError(f"--layer {layer}: has no output that depends on the image")
    return _Extractor(subject, head, layer, find_grid(record.field, record.output_shape))


def _bound(samples: Samples, settings: VisualizeSettings, reporter: Reporter) -> Samples:
    """Return a random part of the samples that is not too large, in their order."""
    most = settings.count or _MOST
    if len(samples) <= most:
        return samples
    reporter.note(f"{most} of {len(samples)} images, drawn at random; --images N takes others")
    drawn = np.random.default_rng(settings.seed).permutation(len(samples))[:most]
    return select_samples(samples, np.sort(drawn))


def _compute(extract: _Extractor, samples: Samples, reporter: Reporter) -> _Features:
    """Return the features of the images that can be read.

    Raises:
        CnncliError: If none can be read.
    """
    store = ImageStore(samples.source, extract.subject.preprocess)

    def read(index: int) -> Array | str:
        try:
            return store[index]
        except (ImageError, OSError) as error:
            return str(error)

    batch: list[Array] = []
    features, predictions, kept = [], [], []

    def flush() -> None:
        values, answers = extract(np.stack(batch))
        features.append(values)
        predictions.append(answers)
        batch.clear()

    with reporter.progress("features", len(samples)) as advance:
        for index, image in enumerate(map_in_threads(read, range(len(samples)), count_cpus())):
            if isinstance(image, str):
                reporter.warn(f"{samples.paths[index]}: {image}; left out")
            else:
                batch.append(image)
                kept.append(index)
            if len(batch) == _BATCH:
                flush()
            advance(1)
    if batch:
        flush()
    if not kept:
        raise CnncliError("--data: none of its images can be read; cnncli check-data names them")
    left = samples if len(kept) == len(samples) else select_samples(samples, np.array(kept))
    return _Features(left, np.concatenate(features), np.concatenate(predictions))


def _name_all(found: _Features, subject: Subject) -> tuple[list[str], list[str], list[str]]:
    """Return paths, labels and predictions."""
    samples = found.samples
    labels = [samples.class_names[target] for target in samples.targets]
    return [*map(str, samples.paths)], labels, [subject.class_names[p] for p in found.predictions]


def _find_wrong(found: _Features, known: tuple[str, ...], reporter: Reporter) -> Array:
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
    extract: _Extractor, settings: VisualizeSettings, given: str, reporter: Reporter
) -> View:
    """Draw the training images whose features are nearest to those of an image."""
    subject = extract.subject
    query = read_photo(given, subject.preprocess)
    samples = _choose_training_images(settings, subject, reporter)
    found = _compute(extract, _bound(samples, settings, reporter), reporter)
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
            note=f"the nearest of {len(paths)} images; cosine similarity of their features",
        ),
        rows=rows,
        columns=("rank", "path", "label", "similarity"),
        array=similarity,
        document={"image": given, "prediction": answer, "neighbours": rows},
    )


def _choose_training_images(
    settings: VisualizeSettings, subject: Subject, reporter: Reporter
) -> Samples:
    """Return the training images; all images of data without splits."""
    if subject.checkpoint is not None or settings.split is not None:
        chosen = replace(settings, split=settings.split or SPLITS[TRAIN])
        return choose_samples(chosen, subject, reporter)
    samples = choose_samples(replace(settings, split="all"), subject, reporter)
    train = np.flatnonzero(samples.splits == TRAIN)
    return select_samples(samples, train) if len(train) else samples
