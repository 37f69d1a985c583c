"""How images come to size for pretrained weights: in which mode, and whether larger than these saw.

Weights expect images as they were trained on. Which part of an image that is, and how large, is
tried on folds of train.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from cnncli.choices import ResizeMode, format_size
from cnncli.config import RunConfig
from cnncli.data.store import fits_in_memory
from cnncli.data.survey import ImageSurvey
from cnncli.images.preprocess import Preprocess
from cnncli.models.pretrained.weights import WeightsPreprocess
from cnncli.models.registry import find_model
from cnncli.reporting import Reporter
from cnncli.run.choose_preprocess import as_weights_do
from cnncli.run.judge_forms import judge_forms
from cnncli.run.opened_images import OpenedImages
from cnncli.run.prepared_run import PreparedRun
from cnncli.run.pretrained import Pretrained
from cnncli.run.threads import measure_early
from cnncli.training.head_fit import Judgement

# The larger side, as a multiple of that of the weights: 288 pixels for 224, as several networks of
# torchvision and timm are evaluated that were trained on 224. Most halve the side five times.
_LARGER, _STEP = 9 / 7, 32
# By how many standard errors another mode must be better than that of the weights. The larger size
# need only be better: it shows more of the same part of an image.
_ERRORS = 2.0


def settle_form(
    run: PreparedRun,
    asked: RunConfig,
    pretrained: Pretrained,
    survey: ImageSurvey,
    images: OpenedImages,
    reporter: Reporter,
) -> PreparedRun:
    """Return the run with its images brought to size in the way that folds of train favour.

    Args:
        run: The run, its images as the weights expect them.
        asked: The settings that the user gave: what they name is not tried.
        pretrained: The weights that the run starts from.
        survey: What the images are like.
        images: Reads the images again, where another way is better.
        reporter: Gets lines about what was tried.
    """
    expects = pretrained.expects
    if not run.config.fits_head or expects is None:
        return run
    judged: dict[Preprocess, Judgement] = {}
    form = run.store.preprocess
    if asked.resize_mode is None:
        run = measure_early(run)
        modes: dict[str, Preprocess] = {
            mode: as_weights_do(form, mode, expects)
            for mode in (run.config.resize_mode, *get_args(ResizeMode))
        }
        best = judge_forms(run, modes, judged, reporter, "resize mode", errors=_ERRORS)
        form = modes[best]
        run = _apply(run, form, images, reporter)
    larger = None if asked.image_size is not None else _enlarge(run, expects)
    if larger is not None and _pays(larger, run, survey):
        run = run if run.threads.number else measure_early(run)
        sizes = {format_size(way.image_size): way for way in (form, larger)}
        best = judge_forms(run, sizes, judged, reporter, "image size", errors=0)
        run = _apply(run, sizes[best], images, reporter)
    return run


def _enlarge(run: PreparedRun, expects: WeightsPreprocess) -> Preprocess | None:
    """Return the run's preprocessing at a larger size; None where none is to be tried.

    A run's own weights keep the size that was chosen for it, and some networks take one size only.
    """
    form = run.store.preprocess
    if expects.resize_size is None or find_model(run.config.model).square:
        return None
    side = round(_LARGER * min(form.image_size) / _STEP) * _STEP
    larger = replace(form, height=side, width=side, resize_size=None)
    return as_weights_do(larger, form.resize_mode, expects)


def _pays(larger: Preprocess, run: PreparedRun, survey: ImageSurvey) -> bool:
    """Return whether a larger size may be better at a fair price.

    Images that are smaller would only be blown up, and where the larger ones do not fit in memory,
    they would be read anew in every epoch.
    """
    is_seen = min(survey.sides) >= (larger.resize_size or larger.height)
    return is_seen and fits_in_memory(len(run.samples), larger)


def _apply(
    run: PreparedRun, form: Preprocess, images: OpenedImages, reporter: Reporter
) -> PreparedRun:
    """Return the run with its images in a form."""
    if form == run.store.preprocess:
        return run
    store, digests, _ = images.open(run.samples, form, reporter)
    update = {"resize_mode": form.resize_mode, "image_size": format_size(form.image_size)}
    config = run.config.model_copy(update=update)
    return replace(run, config=config, store=store, digests=digests)
