"""Settings that the user left open, decided by the data, the model and the device.

The numbers in these rules are from measurements on several data sets.
"""

from __future__ import annotations

import math

from cnncli.choices import format_size, parse_size
from cnncli.config import ResolvedConfig, RunConfig
from cnncli.data.survey import ImageSurvey
from cnncli.models.registry import find_model
from cnncli.run.pretrained import Pretrained
from cnncli.training.cores import count_cpus
from cnncli.training.device import Compute
from cnncli.training.optimizers.build import OPTIMIZERS

# The head's fit, and the epochs after it.
VIEWS = 4
_EPOCHS_AFTER_FIT, _PATIENCE_AFTER_FIT = 6, 4
_LR_AFTER_FIT = 3e-5


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
    """Return the config with every open setting decided; run again, it gives the same run.

    Args:
        config: The settings that the user gave.
        pretrained: The weights to start from; they decide the image size.
        look: Sizes and formats of the images.
        in_channels: Number of input channels of the network.
        intensity: The intensity ranges that were chosen, as text.
        train_images: Number of images in the training split.
        compute: Device, precision and processes.
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
    fits = config.head == "fit"
    usual_lr = _LR_AFTER_FIT if fits else _lr(config.model, has_weights)
    lr = config.lr or usual_lr * optimizer.lr_factor * growth
    penalised = config.elastic_net is not None
    freeze = config.freeze or ("backbone" if has_weights and train_images <= 5_000 else "none")
    head_only = freeze == "backbone" and not config.unfreeze_at
    if fits:
        epochs = 0 if head_only else config.epochs or _EPOCHS_AFTER_FIT
    else:
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
        "label_smoothing": 0.0,  # smoothing spoils calibration: an ECE of 0.09, not 0.02
        # Val loss is noisy while the learning rate is high: wait for half of the schedule.
        "patience": _PATIENCE_AFTER_FIT if fits else max(5, epochs // 2),
        "freeze": freeze,
        "lr_backbone": lr / 10 if has_weights and config.layer_decay is None and not fits else None,
        "bn": "frozen" if has_weights else "train",
        "augment": "none" if still else "light",
        "augment_views": VIEWS if fits else 1,
        "head": "epochs",
        "resize_mode": pretrained.resize_mode if fits else "squash",
        "workers": _workers(compute),
    }
    given = {key: value for key, value in config.model_dump().items() if value is not None}
    if config.batch_size == "auto":  # it is found later, when there is a network
        del given["batch_size"]
    # Written as what was chosen: numbers for percentiles, a device for "auto".
    actual: dict[str, object] = {
        # Each of several processes takes its own GPU, also when the run is resumed.
        "device": compute.device.type if compute.world.joined else str(compute.device),
        "precision": compute.precision,
        "intensity": intensity,
    }
    if fits and head_only:
        actual["epochs"] = 0  # whatever was given: after its fit the head is at its best
    return ResolvedConfig(**{**config.model_dump(), **decided, **given, **actual})


def with_batch_size(
    config: ResolvedConfig, size: int, asked: RunConfig, *, processes: int, train_images: int
) -> ResolvedConfig:
    """Return the config with another batch size, and with learning rates that fit to it.

    Args:
        config: The config with every setting decided, for the usual batch size.
        size: Number of images per batch in each process.
        asked: The settings that the user gave; learning rates among them stay.
        processes: Number of processes that train together.
        train_images: Number of images in the training split.
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
    """Return the factor on the learning rate for steps of another size; it is never below 1.

    Digits in batches of 4 were learnt best at the learning rate for 32.

    Args:
        config: Its optimizer decides how the learning rate grows.
        images: Number of images in a step, in all processes together.
        usual: Number of images in the usual batch.
    """
    return math.pow(max(1.0, images / usual), OPTIMIZERS[config.optimizer].batch_power)


def _lr(model: str, has_weights: bool) -> float:
    """Return the peak learning rate of AdamW for the usual batch.

    Networks without BatchNorm and pretrained networks need a lower one.
    """
    entry = find_model(model)
    if has_weights:
        return 1e-3
    if entry.weights:  # torchvision's networks, which are deeper than cnncli's own
        return 1e-3 if entry.batch_norm else 3e-4
    return 3e-3 if entry.batch_norm else 1e-3


def _side(model: str, look: ImageSurvey) -> int:
    """Return the side of the square input in pixels: the model's own, or one by the images.

    The shorter median side, rounded to a multiple of 8, at most 112; very small images are enlarged
    to 24, so that the network can reduce them several times. From 768 pixels on it is 160, since
    details that matter, such as a finding on an X-ray, are often too fine for 112.
    """
    native = find_model(model).image_size
    side = min(look.sides)
    if native is not None:
        return native
    if side < 768:
        return min(112, max(24, round(side / 8) * 8))
    return 160


def _epochs(train_images: int, size: str, has_weights: bool) -> int:
    """Return the number of epochs: fewer images, and larger ones, need more epochs.

    840 images of 112 px get 24 epochs, 790 of 160 px 32, 1,259 of 24 px 10. There are at least 10
    epochs, and at most 100, or 30 for pretrained weights.
    """
    side = max(parse_size(size))
    return min(30 if has_weights else 100, max(10, round((8_000 + 110 * side) / train_images)))


def _workers(compute: Compute) -> int:
    """Return the number of loader processes; 0 on a CPU, where the network needs the cores."""
    return (
        0
        if compute.device.type == "cpu"
        else max(0, min(8, count_cpus() // compute.world.local_size - 1))
    )


def size_of(config: ResolvedConfig) -> tuple[int, int]:
    """Return the image size of a config as (height, width) in pixels."""
    return parse_size(config.image_size)
