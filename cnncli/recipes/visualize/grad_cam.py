"""``cnncli visualize grad-cam``: which places of an image speak for a class, and whether so."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.explain.deletion import PASSES
from cnncli.images.placement import place_map
from cnncli.models.registry import short_name
from cnncli.plots.heat_map import HeatRow, save_heat_maps
from cnncli.recipes.visualize.explainer import METHODS, OCCLUSION, Explained, Explainer
from cnncli.recipes.visualize.photos import choose_photos
from cnncli.recipes.visualize.settings import View, VisualizeSettings, open_answering
from cnncli.reporting import Reporter
from cnncli.run.subject import Subject
from cnncli.training.device import keep_freed_memory

_COUNT = 3  # images of the data


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw heat maps of a class over images, each with the test of whether it says anything.

    Raises:
        CnncliError: If there is no such run, network, image, class, method or layer.
    """
    subject = open_answering(settings, reporter)
    explainer = Explainer(subject, settings)
    photos = choose_photos(settings, subject, reporter, count=settings.count or _COUNT)
    keep_freed_memory()
    found: list[Explained] = []
    with reporter.progress("testing", len(photos) * PASSES) as advance:
        for photo in photos:
            found.append(explainer.explain(photo, advance))
            reporter.note(f"{photo.name}: {_name(subject, found[-1])}: {found[-1].says()}")
    rows = [
        {"image": one.photo.name, "row": y, "column": x, "value": float(one.heat[y, x])}
        for one in found
        for y, x in np.ndindex(*one.heat.shape)
    ]
    method = explainer.method or METHODS[0]
    layer = explainer.layer.name if explainer.layer else None
    if settings.method is None and method != METHODS[0]:
        reporter.note(f"method: {method}, because {layer} gives tokens; --method names another")
    return View(
        draw=partial(_draw, subject=subject, found=found, method=method, layer=layer),
        rows=rows,
        columns=("image", "row", "column", "value"),
        array=_stack([_place(one) for one in found]),
        document={
            "model": subject.model,
            "method": method,
            "layer": layer,
            "images": [_document(subject, one) for one in found],
        },
    )


def _name(subject: Subject, one: Explained) -> str:
    index, probability = one.explained
    return f"{subject.class_names[index]} {probability:.2f}"


def _place(one: Explained) -> Array:
    """Return the heat at the image's own size; NaN where the network does not see it."""
    return place_map(one.heat, one.photo.seen, one.photo.picture.shape[:2], one.covered)


def _stack(maps: Sequence[Array]) -> Array:
    """Return one map as it is, and several as (N, H, W) with NaN beyond the smaller ones."""
    if len(maps) == 1:
        return maps[0]
    size = np.max([values.shape for values in maps], axis=0)
    stacked = np.full((len(maps), *size), np.nan, np.float32)
    for whole, values in zip(stacked, maps, strict=True):
        whole[: values.shape[0], : values.shape[1]] = values
    return stacked


def _document(subject: Subject, one: Explained) -> dict[str, Any]:
    test, seen = one.test, one.photo.seen
    return {
        "image": one.photo.name,
        "true_class": one.photo.label,
        "predicted_class": subject.class_names[one.predicted[0]],
        "predicted_probability": one.predicted[1],
        "class": subject.class_names[one.explained[0]],
        "probability": one.explained[1],
        "map": one.heat.tolist(),
        "seen": {"top": seen.top, "left": seen.left, "height": seen.height, "width": seen.width},
        "deletion_fractions": None if test is None else test.fractions.tolist(),
        "deletion_curve": None if test is None else test.curve.tolist(),
        "deletion_area": None if test is None else test.area,
        "shifted_areas": None if test is None else test.shifted_areas,
        "share_beaten": None if test is None else test.share_beaten,
        "verdict": one.verdict,
        "shuffled_head_correlation": one.correlation,
        "shuffled_head_correlations": list(one.correlations),
    }


def _draw(
    path: Path, subject: Subject, found: Sequence[Explained], method: str, layer: str | None
) -> None:
    rows = [_row(subject, one, method) for one in found]
    told = f"{method} of {short_name(subject.model)}"
    told += "" if subject.is_trained else " with random weights"
    if layer is not None:
        told += f", layer {layer}"
    save_heat_maps(path, rows, told)


def _row(subject: Subject, one: Explained, method: str) -> HeatRow:
    predicted, probability = one.predicted
    line = f"predicted {subject.class_names[predicted]} {probability:.2f}"
    if one.explained[0] != predicted:
        line += f"; explained {_name(subject, one)}"
    if one.photo.label is not None:
        line += f"; true class {one.photo.label}"
    lines = [one.photo.name, line, one.says()]
    if one.test is not None:
        lines.append(one.says_shuffled())
    return HeatRow(
        lines=lines,
        picture=one.photo.picture,
        heat=_place(one),
        scale="fall of the probability" if method == OCCLUSION else "heat",
        curve=None if one.test is None else one.test.curve,
        shifted=None if one.test is None else one.test.shifted,
    )
