"""Build networks of timm, an optional dependency."""

from __future__ import annotations

from typing import Any

from torch import nn

from cnncli.errors import CnncliError, did_you_mean
from cnncli.models.registry import TIMM


def build_timm(
    name: str, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> nn.Module:
    """Build an untrained network of timm.

    Args:
        name: ``timm:`` and the name of the network in timm.
        num_classes: K.
        in_channels: C.
        image_size: (H, W) in pixels; networks that take only one size are built for this size.

    Raises:
        CnncliError: If timm is not installed, has no such network or refuses the size.
    """
    timm = import_timm(name)
    own = name.removeprefix(TIMM)
    architecture = own.split(".")[0]
    if not timm.is_model(architecture):
        near = did_you_mean(architecture, timm.list_models())
        raise CnncliError(f"--model {name}: timm {timm.__version__} has no such model{near}")
    options: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_channels}
    config = timm.get_pretrained_cfg(own)
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    try:
        network = timm.create_model(own, pretrained=False, **options)
    except (AssertionError, ValueError, RuntimeError) as error:
        raise CnncliError(f"--model {name}: {str(error).splitlines()[0]}") from None
    assert isinstance(network, nn.Module)
    return network


def import_timm(name: str) -> Any:
    """Import timm.

    Args:
        name: Name of the model that needs it, for the message.

    Raises:
        CnncliError: If timm is not installed, with the command that installs it.
    """
    try:
        import timm
    except ImportError as error:
        raise CnncliError(
            f"--model {name}: needs timm ({error}): pip install 'cnncli[timm]'"
        ) from None
    return timm
