"""Settings that the user left open, decided by the data, the model and the device.

Rules with numbers, each from measurements on several sets; none knows a data set's name.
"""

from __future__ import annotations

from cnncli.choices import parse_size
from cnncli.config import ResolvedConfig, RunConfig
from cnncli.data.store import Look
from cnncli.models.registry import find_model
from cnncli.training.device import Compute, count_cpus


def fill_in(
    config: RunConfig, *, look: Look, train_images: int, compute: Compute
) -> ResolvedConfig:
    """Return the config with every open setting decided, ready to be run again.

    Args:
        config: As the user gave it.
        look: What the images are like.
        train_images: In the training split.
        compute: Device and precision.
    """
    image_size = config.image_size or str(_side(config.model, look))
    epochs = config.epochs or _epochs(train_images, max(parse_size(image_size)))

    def given(value: float | None, default: float) -> float:
        return default if value is None else value

    return ResolvedConfig(
        **{
            **config.model_dump(),
            "image_size": image_size,
            "in_channels": config.in_channels or look.channels,
            "batch_size": config.batch_size or (16 if train_images < 200 else 32),
            "epochs": epochs,
            "lr": config.lr or 3e-3,
            "weight_decay": given(config.weight_decay, 0.05),
            "label_smoothing": given(config.label_smoothing, 0.1),
            # Val loss jumps about while the learning rate is high: wait half a schedule.
            "patience": config.patience or max(5, epochs // 2),
            "device": str(compute.device),
            "precision": compute.precision,
            "workers": given(config.workers, _workers(compute)),
        }
    )


def _side(model: str, look: Look) -> int:
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


def _epochs(train_images: int, side: int) -> int:
    """Return how often to pass over the images: fewer and larger ones need more passes.

    840 images of 112 px get 24 epochs, 790 of 160 px 32, 1,259 of 24 px 10; never fewer than
    10 nor more than 100.
    """
    return min(100, max(10, round((8_000 + 110 * side) / train_images)))


def _workers(compute: Compute) -> int:
    """On a CPU the network needs the cores itself."""
    return 0 if compute.device.type == "cpu" else min(8, count_cpus() - 1)


def size_of(config: ResolvedConfig) -> tuple[int, int]:
    """Return the (height, width) of a config that has been filled in."""
    return parse_size(config.image_size)
