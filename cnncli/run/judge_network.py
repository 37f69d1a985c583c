"""How good a pretrained network is for the images of a run: a head on its frozen features.

The head is fitted and judged on folds inside train; val and test are not looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cnncli.choices import format_size, parse_size
from cnncli.config import FinetuneConfig, RunConfig, keys_of_kind
from cnncli.data.manifest import load_manifest
from cnncli.data.samples import Samples, select_samples
from cnncli.data.splits import TRAIN
from cnncli.errors import CnncliError, count_of
from cnncli.files import SPLITS_FILE, run_dir_of
from cnncli.models.build import build_network, count_parameters
from cnncli.models.pretrained.weights import load_weights
from cnncli.models.registry import find_model, short_name
from cnncli.models.stages import network_head
from cnncli.models.tables.papers import NOT_STATED, find_licence
from cnncli.models.tracing.summary import add_up, summarise
from cnncli.reporting import Reporter, SilentReporter
from cnncli.run.choose_head import choose_head
from cnncli.run.fit_head import draw_head_folds
from cnncli.run.fold import Fold
from cnncli.run.opened_images import OpenedImages
from cnncli.run.plan_folds import FoldPlan
from cnncli.run.prepare import prepare
from cnncli.run.prepared_run import PreparedRun
from cnncli.run.pretrained import Pretrained, find_pretrained
from cnncli.run.samples import gather_samples
from cnncli.run.settle_head import can_fit
from cnncli.run.threads import find_most
from cnncli.training.balance import class_weights
from cnncli.training.cores import count_cpus
from cnncli.training.device import Compute
from cnncli.training.head_features import compute_vectors
from cnncli.training.head_fit import Judgement, judge_strengths
from cnncli.training.threads import limited_blas

_MOST_IMAGES, _FEWEST_OF_MANY = 1_000, 500
# Images times classes, at most, down to 500 images: 1,000 images of 50 classes are fitted quickly.
_MOST_TARGETS = 50_000
# What a network is judged with: all else is at its default, so that its head can be fitted.
_JUDGED_WITH = (
    *(key for key in keys_of_kind("data") if key != "monitor"),
    *keys_of_kind("place"),
    *("model", "weights", "activation", "norm", "image_size", "in_channels", "intensity"),
    *("exact_decode", "balance"),
)


@dataclass(frozen=True)
class Candidate:
    """A network that was judged.

    Attributes:
        config: The settings of a run with it.
        parameters: Number of its parameters, with the head for the classes of the images.
        macs: Multiply-accumulates for one image; None where they could not be counted.
        image_size: The (height, width) of its input in pixels.
        judgement: The losses (N,) of all images that networks are judged on.
        seconds: Time that the judgement took.
        licence: The licence of its weights.
    """

    config: RunConfig
    parameters: int
    macs: int | None
    image_size: tuple[int, int]
    judgement: Judgement
    seconds: float
    licence: str

    def row(self) -> dict[str, object]:
        """Return the cells of the table."""
        return {
            "network": short_name(self.config.model),
            "weights": self.config.weights,
            "parameters": self.parameters,
            "macs": self.macs,
            "size": format_size(self.image_size),
            "loss": round(self.judgement.loss, 4),
            "accuracy": round(self.judgement.accuracy, 4),
            "seconds": round(self.seconds),
            "licence": self.licence,
        }


def tell_network(config: RunConfig) -> str:
    """Return a network and its weights in words."""
    return f"{short_name(config.model)} with --weights {config.weights}"


def check_weights(config: RunConfig) -> str:
    """Load weights into a network once, before time is spent on others; return their licence.

    What is not on this disk is downloaded.
    """
    choose_head(config)  # which refuses flags that do not go together
    pretrained, entry = find_pretrained(config), find_model(config.model)
    source, expects = pretrained.source, pretrained.expects
    assert source is not None
    side = entry.image_size or 64
    network = build_network(
        config.model,
        num_classes=2,
        in_channels=expects.in_channels if expects else 3,
        image_size=expects.image_size if expects else (side, side),
        activation=config.activation,
        norm=config.norm,
    )
    if config.image_size is not None:
        entry.check_image_size(parse_size(config.image_size))
    load_weights(network, source, entry, class_names=("0", "1"))
    return NOT_STATED if source.entry is None else find_licence(source.entry)


def take_part(config: RunConfig, fold: Fold | None) -> Fold:
    """Return the images of train that networks are judged on, at most 1,000, as a fold's run."""
    if fold is None:
        samples, splits = gather_samples(config, SilentReporter())
    else:
        samples, splits = fold.samples, fold.splits
    indices = np.flatnonzero(splits == TRAIN)
    most = max(_FEWEST_OF_MANY, _MOST_TARGETS // len(samples.class_names))
    count = min(len(indices), _MOST_IMAGES, most)
    chosen = np.unique(np.linspace(0, len(indices) - 1, count).astype(int))
    part = select_samples(samples, indices[chosen])
    all_train = np.full(len(part), TRAIN, np.int8)
    plan = FoldPlan(part, np.ones(len(part), np.int64), 1, part, [all_train])
    return Fold(Path(), plan, 1, OpenedImages())


def judge_network(
    config: RunConfig,
    licence: str,
    part: Fold,
    compute: Compute,
    reporter: Reporter,
    advance: Callable[[int, str], None],
) -> Candidate | None:
    """Judge a network; return None, and say so, where its head cannot be fitted."""
    start = time.perf_counter()
    pretrained = find_pretrained(config)
    run = prepare(_as_judged(config, pretrained), compute, SilentReporter(), fold=part)
    form = run.store.preprocess
    if not run.config.fits_head and not can_fit(run.network, run.config.model, form):
        reporter.warn(
            f"{tell_network(config)}: not judged, since its head is no linear layer with a bias on "
            "one vector per image"
        )
        return None
    _warn_of_seen(config, pretrained, part.samples, reporter)
    judgement = _judge_features(run, advance)
    return Candidate(
        config,
        count_parameters(run.network),
        _count_macs(run),
        form.image_size,
        judgement,
        time.perf_counter() - start,
        licence,
    )


def _as_judged(config: RunConfig, pretrained: Pretrained) -> RunConfig:
    """Return the settings that a network is judged with: images as its run would have them."""
    mode = pretrained.resize_mode if choose_head(config).start == "fit" else "squash"
    kept = {key: getattr(config, key) for key in _JUDGED_WITH}
    kept["resize_mode"] = config.resize_mode or mode
    return FinetuneConfig(**kept, freeze="backbone")


def _judge_features(run: PreparedRun, advance: Callable[[int, str], None]) -> Judgement:
    """Judge heads on the features of a run's frozen network, on folds of its images."""
    numbers = np.arange(len(run.samples))
    folds = draw_head_folds(run, numbers)
    if folds is None:
        raise CnncliError(
            "--model: train has no class of two images (or groups), so that there are no folds to "
            "judge networks on; name one network"
        )
    given = run.config.threads
    torch.set_num_threads(find_most(run) if given == "auto" else int(given))
    run.network.to(run.compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    classifier = run.checkpoint.classifier(run.network).to(run.compute.device)
    path, loader = network_head(run.config.model, run.network), run.loader(TRAIN)
    compute = run.compute.for_evaluation()
    views = compute_vectors(classifier, path, loader, compute, advance=advance)
    read = np.array([number for number in run.indices(TRAIN).tolist() if number not in loader.bad])
    targets, num_classes = run.samples.targets[read], len(run.samples.class_names)
    weights = None
    if run.config.balance != "none":
        weights = np.array(class_weights(targets, num_classes))[targets]
    with limited_blas():
        found = judge_strengths(views, targets, num_classes, folds[read], weights)
    losses = np.full(len(numbers), np.nan)  # so that the losses of all networks are in one order
    losses[read] = found.losses
    return replace(found, losses=losses)


def _count_macs(run: PreparedRun) -> int | None:
    form = run.store.preprocess
    try:
        return add_up(summarise(run.network, form.image_size, form.channels)).macs
    except (RuntimeError, ValueError, AssertionError):  # a network that cannot be traced
        return None


def _warn_of_seen(
    config: RunConfig, pretrained: Pretrained, samples: Samples, reporter: Reporter
) -> None:
    """Warn of weights that were trained on images that networks are judged on."""
    assert pretrained.source is not None
    try:
        manifest = load_manifest(run_dir_of(pretrained.source.path) / SPLITS_FILE)
    except CnncliError:  # a table of that name that is no run's
        return
    if manifest is None:
        return
    seen = manifest.find_splits(manifest.look_up(samples, threads=count_cpus())) == TRAIN
    if seen.any():
        reporter.warn(
            f"{tell_network(config)}: trained on {int(seen.sum()):,} of the "
            f"{count_of(len(samples), 'image')} that networks are judged on: its loss here is too "
            "good, and the choice may be wrong"
        )
