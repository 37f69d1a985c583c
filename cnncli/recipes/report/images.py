"""The images of the page: their names, their pictures and their heat maps."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from cnncli.arrays import Array
from cnncli.errors import count_of
from cnncli.page.judged import Judged, choose_featured, common_root, order_of_interest
from cnncli.recipes.report.answers import Answers
from cnncli.recipes.report.heat import SECONDS, draw_heat
from cnncli.recipes.report.judging import HEAT_MAPS
from cnncli.recipes.report.material import Material
from cnncli.recipes.report.pictures import draw_pictures
from cnncli.recipes.report.settings import ReportSettings
from cnncli.reporting import Reporter

# Seconds in which the page is put together when its pictures are drawn, and the share of the time
# before that which heat maps may take.
_SECONDS_TO_END, _SHARE_OF_HEAT = 0.3, 0.7
# Less time is not worth the first heat map.
_LEAST_OF_HEAT = 0.25
# Seconds for the first pictures, where there are none left.
_LEAST_OF_PICTURES = 1.0


def name_images(settings: ReportSettings, answers: Answers) -> Judged:
    """Return the images with their names, or with numbers in the place of these."""
    groups = answers.groups
    names, root = list(answers.paths), common_root(answers.files, answers.paths)
    if not settings.with_names:
        names, root = [f"image {number + 1}" for number in range(len(names))], None
        number = {name: str(place + 1) for place, name in enumerate(dict.fromkeys(groups or ()))}
        groups = None if groups is None else [number[name] for name in groups]
    return Judged(
        names=names,
        root=root,
        targets=answers.targets,
        probabilities=answers.probabilities,
        class_names=answers.class_names,
        predicted=answers.predicted,
        groups=groups,
    )


def draw_images(
    judged: Judged,
    listed: Array,
    room: int,
    settings: ReportSettings,
    material: Material,
    reporter: Reporter,
) -> tuple[Judged, list[str]]:
    """Return the images with pictures and heat maps, where the page has any.

    Returns:
        The images, and what there was no time for.
    """
    samples = None if material.answers is None else material.answers.samples
    if samples is None or not settings.with_images:
        return judged, []
    order = order_of_interest(judged.targets, judged.probabilities)
    order = order[np.isin(order, listed)]
    chosen = choose_featured(judged.targets, judged.probabilities)
    if settings.images is not None:
        chosen = [index for index in chosen if index in set(order[: settings.images].tolist())]
    seconds = settings.end - _SECONDS_TO_END - time.monotonic()
    seconds = min(SECONDS, _SHARE_OF_HEAT * seconds)
    heat, told = dict[int, str](), dict[int, str]()
    lacks = [HEAT_MAPS] if seconds < _LEAST_OF_HEAT else []
    if not lacks:
        find = material.find_judging()
        heat, told = draw_heat(find, samples, chosen, reporter, seconds=seconds)
        folds = None if material.answers is None else material.answers.folds
        if folds is not None:
            told = {i: f"{text} (network of fold {folds[i]})" for i, text in told.items()}
    room -= sum(map(len, heat.values()))
    preprocess = material.checkpoint.preprocess
    end = max(settings.end - _SECONDS_TO_END, time.monotonic() + _LEAST_OF_PICTURES)
    end = min(end, settings.latest - _SECONDS_TO_END)
    pictures, left = draw_pictures(
        samples, order, preprocess, reporter, most=settings.images, room=room, end=end
    )
    lacks += [f"pictures of {count_of(left, 'image')}"] if left else []
    return replace(judged, pictures=pictures, heat=heat, told=told), lacks
