"""``cnncli visualize gradients``: the size of the gradient in each layer."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from cnncli.choices.spelling import find_choice
from cnncli.errors import CnncliError, did_you_mean
from cnncli.explain.gradients import LayerGradient, measure_gradients
from cnncli.models.registry import short_name
from cnncli.plots.gradients import save_gradients
from cnncli.recipes.visualize.photos import Photo, as_batch, choose_photos
from cnncli.recipes.visualize.settings import View, VisualizeSettings, open_subject
from cnncli.reporting import Reporter
from cnncli.run.subject import Subject

_IMAGES = 16
_METHODS = ("eval", "train")
_COLUMNS = ("layer", "weights", "weight_rms", "gradient_rms", "gradient_rms_cut")


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw the gradient of the loss over the depth, with the network's shortcuts and without.

    Raises:
        CnncliError: If there is no such run, network or method, or nothing has weights.
    """
    method = settings.method or _METHODS[0]
    method = find_choice(method, _METHODS) or method
    if method not in _METHODS:
        near = did_you_mean(method, _METHODS) or f"; there are {' and '.join(_METHODS)}"
        raise CnncliError(f"--method {method}: no such method{near}")
    subject = open_subject(settings, reporter)
    images, targets, looked = _choose_batch(settings, subject, reporter)
    network = subject.network
    results = []
    for cut in (False, True):
        # Dropout draws; in training mode norms would remember the batch.
        torch.manual_seed(settings.seed)
        network.train(method == "train")
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        results.append(measure_gradients(network, images, targets, cut=cut))
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
    (loss, rows, shortcuts), (cut_loss, cut_rows, _) = results
    if not rows:
        raise CnncliError(f"{subject.model}: has no layer with weights")
    curves = {"as it is": [row.gradient for row in rows]}
    without = {row.layer: row.gradient for row in cut_rows}
    if shortcuts:
        label = f"its {shortcuts} shortcuts cut" if shortcuts > 1 else "its shortcut cut"
        curves[label] = [without.get(row.layer) for row in rows]
    title = f"{short_name(subject.model)}, {looked}, {method} mode"
    listed = [_describe(row, without.get(row.layer) if shortcuts else None) for row in rows]
    return View(
        draw=partial(
            save_gradients,
            layers=[row.layer for row in rows],
            curves=curves,
            title=title,
            note="" if shortcuts else "no sum of two ways through the network: no shortcut to cut",
        ),
        rows=listed,
        columns=_COLUMNS,
        array=np.array([list(map(_or_nan, curve)) for curve in curves.values()]),
        document={
            "method": method,
            "images": len(images),
            "shortcuts": shortcuts,
            "loss": loss,
            "loss_cut": cut_loss if shortcuts else None,
            "layers": listed,
        },
    )


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _describe(row: LayerGradient, cut: float | None) -> dict[str, object]:
    return {
        "layer": row.layer,
        "weights": row.weights,
        "weight_rms": row.weight,
        "gradient_rms": row.gradient,
        "gradient_rms_cut": cut,
    }


def _choose_batch(
    settings: VisualizeSettings, subject: Subject, reporter: Reporter
) -> tuple[torch.Tensor, torch.Tensor, str]:
    """Return the images (N, C, H, W), their targets (N,), and what both are in a few words."""
    generator = torch.Generator().manual_seed(settings.seed)
    count = settings.count or _IMAGES
    if subject.checkpoint is None and settings.data is None and not settings.images:
        reporter.note(
            f"no images: noise and random classes of seed {settings.seed}; --data gives real ones"
        )
        size = (count, subject.preprocess.channels, *subject.preprocess.image_size)
        images = torch.randn(size, generator=generator)
        return images, _draw_targets(subject, count, generator), f"{count} images of noise"
    photos = choose_photos(settings, subject, reporter, count=count)
    images = subject.classifier().normalise(as_batch(photos)).contiguous()
    looked = f"{len(photos)} image{'s'[: len(photos) > 1]}"
    targets = _find_targets(photos, subject)
    if targets is None:
        reporter.note(
            "the images have no label that is a class of the network: random classes of seed "
            f"{settings.seed}"
        )
        looked += ", random classes"
        targets = _draw_targets(subject, len(photos), generator)
    return images, targets, looked


def _draw_targets(subject: Subject, count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(len(subject.class_names), (count,), generator=generator)


def _find_targets(photos: list[Photo], subject: Subject) -> torch.Tensor | None:
    """Return the classes of labelled images (N,); None where one of them has no such class."""
    places = {name: place for place, name in enumerate(subject.class_names)}
    found = [places.get(photo.label) if photo.label is not None else None for photo in photos]
    known = [place for place in found if place is not None]
    return torch.tensor(known) if len(known) == len(photos) else None
