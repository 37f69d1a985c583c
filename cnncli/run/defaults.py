"""Settings that the user left open, decided by the data, the model and the device.

Rules with numbers, each from measurements on several sets; none knows a data set's name.
"""

from __future__ import annotations

import math

from cnncli.choices import format_size, parse_size
from cnncli.config import ResolvedConfig, RunConfig
from cnncli.data.survey import ImageSurvey
from cnncli.models.registry import find_model
from cnncli.run.pretrained import Pretrained
from cnncli.training.device import Compute, count_cpus
from cnncli.training.optimizers.build import OPTIMIZERS


def fill_in(
    config: RunConfig,
    pretrained: Pretrained,
    *,
    look: ImageSurvey,
    in_channels: int,
    intensity: str,
    train_images: int,
    compute: Compute,
) -> ResolvedConfig:
    """Return the config with every open setting decided, ready to be run again.

    Args:
        config: As the user gave it.
        pretrained: The weights to start from, which decide size and channels.
        look: What the images are like.
        in_channels: Of the network.
        intensity: The windows chosen, as text.
        train_images: In the training split.
        compute: Device and precision.
    """
    expects = pretrained.expects
    has_weights = pretrained.source is not None
    size = format_size(expects.image_size) if expects else str(_side(config.model, look))
    size = config.image_size or size
    optimizer = OPTIMIZERS[config.optimizer]
    usual = 16 if train_images < 200 else 32
    batch = usual if config.batch_size in (None, "auto") else int(config.batch_size)
    step = min(train_images, batch * config.accumulate * compute.world.size)
    growth = _lr_growth(config, step, usual)
    lr = config.lr or _lr(config.model, has_weights) * optimizer.lr_factor * growth
    penalised = config.elastic_net is not None
    freeze = config.freeze or ("backbone" if has_weights and train_images <= 5_000 else "none")
    head_only = freeze == "backbone" and not config.unfreeze_at
    epochs = config.epochs or (50 if head_only else _epochs(train_images, size, has_weights))
    still = head_only and config.augment_views is None
    decided = {
        "image_size": size,
        "in_channels": in_channels,
        "intensity": intensity,
        "batch_size": usual,
        "epochs": epochs,
        "lr": lr,
        "weight_decay": 1e-4 if penalised else optimizer.weight_decay,
        "warmup": 0.3 if config.scheduler == "onecycle" else 0.15,
        "label_smoothing": 0.0,  # it costs calibration: an ECE of 0.09 in place of 0.02
        # Val loss jumps about while the learning rate is high: wait half a schedule.
        "patience": max(5, epochs // 2),
        "freeze": freeze,
        "lr_backbone": lr / 10 if has_weights and config.layer_decay is None else None,
        "bn": "frozen" if has_weights else "train",
        "augment": "none" if still else "light",
        "augment_views": 1,
        "workers": _workers(compute),
    }
    given = {key: value for key, value in config.model_dump().items() if value is not None}
    if config.batch_size == "auto":  # a GPU is asked later, when there is a network
        del given["batch_size"]
    # Percentiles were found, and the device was chosen: what they are stands in their place.
    actual = {
        # Of several processes each has a GPU of its own, also when the run goes on.
        "device": compute.device.type if compute.world.joined else str(compute.device),
        "precision": compute.precision,
        "intensity": intensity,
    }
    return ResolvedConfig(**{**config.model_dump(), **decided, **given, **actual})


def with_batch_size(
    config: ResolvedConfig, size: int, asked: RunConfig, *, processes: int, train_images: int
) -> ResolvedConfig:
    """Return the config with another than the usual batch size, and its learning rates.

    Args:
        config: Filled in.
        size: Images per batch, in each process.
        asked: As the user gave it: what it sets stays.
        processes: That train together.
        train_images: In the training split.
    """
    decided: dict[str, object] = {"batch_size": size}
    if asked.lr is None:
        usual = config.batch_size
        steps = (min(train_images, n * config.accumulate * processes) for n in (usual, size))
        before, after = (_lr_growth(config, step, usual) for step in steps)
        factor = after / before
        decided["lr"] = config.lr * factor
        if asked.lr_backbone is None and config.lr_backbone is not None:
            decided["lr_backbone"] = config.lr_backbone * factor
    return config.model_copy(update=decided)


def _lr_growth(config: RunConfig, images: int, usual: int) -> float:
    """Return the factor on the learning rate for so many images in a step, all processes together.

    It never shrinks: digits in batches of 4 were learnt best at the rate for 32.
    """
    return math.pow(max(1.0, images / usual), OPTIMIZERS[config.optimizer].batch_power)


def _lr(model: str, has_weights: bool) -> float:
    """Return AdamW's peak for the usual batch.

    Networks without BatchNorm bear less, and so do trained weights.
    """
    entry = find_model(model)
    if has_weights:
        return 1e-3
    if entry.weights:  # torchvision's, deeper than ours
        return 1e-3 if entry.batch_norm else 3e-4
    return 3e-3 if entry.batch_norm else 1e-3


def _side(model: str, look: ImageSurvey) -> int:
    """Return the side in pixels: the model's own, or by the images' shorter median side.

    Very small images are enlarged, so that the network has something to reduce; from 768 px on,
    what matters (a finding on an X-ray) is often finer than 112 px can show.
    """
    native = find_model(model).image_size
    side = min(look.sides)
    if native is not None:
        return native
    if side < 768:
        return min(112, max(24, round(side / 8) * 8))
    return 160


def _epochs(train_images: int, size: str, has_weights: bool) -> int:
    """Return how often to pass over the images: fewer and larger ones need more passes.

    840 images of 112 px get 24 epochs, 790 of 160 px 32, 1,259 of 24 px 10; never fewer than
    10 nor more than 100, or 30 where the network has learnt to see before.
    """
    side = max(parse_size(size))
    return min(30 if has_weights else 100, max(10, round((8_000 + 110 * side) / train_images)))


def _workers(compute: Compute) -> int:
    """On a CPU the network needs the cores itself."""
    return (
        0
        if compute.device.type == "cpu"
        else max(0, min(8, count_cpus() // compute.world.local_size - 1))
    )


def size_of(config: ResolvedConfig) -> tuple[int, int]:
    """Return the (height, width) of a config that has been filled in."""
    return parse_size(config.image_size)
