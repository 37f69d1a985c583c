"""The last word on how a run's head begins: by its network, and by the processes that train it."""

from __future__ import annotations

import torch
from torch import nn

from cnncli.choices import ResizeMode
from cnncli.config import RunConfig
from cnncli.errors import CnncliError
from cnncli.images.preprocess import Preprocess
from cnncli.models.stages import network_head
from cnncli.reporting import Reporter
from cnncli.run.choose_head import choose_head, explain_epochs
from cnncli.training.device import Compute
from cnncli.training.head_features import is_linear_on_features


def settle_head(config: RunConfig, compute: Compute, reporter: Reporter) -> RunConfig:
    """Return the settings with ``head`` decided, and with ``freeze`` where a fit decides it.

    Args:
        config: The settings that the user gave.
        compute: Device and processes.
        reporter: Gets a line if something keeps the head from being fitted.

    Raises:
        CnncliError: If a fit is asked for where there can be none.
    """
    choice = choose_head(config)
    if choice.why:
        reporter.note(choice.why)
    if choice.start == "fit" and compute.world.size > 1:
        return refuse_fit(config, reporter, "several processes train together")
    return config.model_copy(update={"head": choice.start, "freeze": choice.freeze})


def refuse_fit(
    config: RunConfig,
    reporter: Reporter,
    why: str = "the head is no linear layer with a bias on one vector per image",
) -> RunConfig:
    """Return the settings with a head that is trained by epochs, and say why.

    Raises:
        CnncliError: If the user asked for a fit.
    """
    if config.head == "fit":
        raise CnncliError(f"--head fit: cannot be done here: {why}; use --head epochs")
    reporter.note(explain_epochs(why))
    return config.model_copy(update={"head": "epochs"})


def tell_squash(
    asked: RunConfig, chosen: ResizeMode, usual: ResizeMode, reporter: Reporter
) -> None:
    """Say how images come to size where a fit would have brought them to size otherwise.

    Args:
        asked: The settings that the user gave.
        chosen: The resize mode of the run.
        usual: The resize mode of its weights.
        reporter: Gets the line.
    """
    if asked.resize_mode is None and chosen != usual:
        reporter.note(
            f"resize mode {chosen}, since the head is not fitted; the weights expect "
            f"--resize-mode {usual}"
        )


def can_fit(network: nn.Module, model: str, preprocess: Preprocess) -> bool:
    """Return whether the head of a network can be fitted, tried on noise.

    Args:
        network: The network, with any weights.
        model: Its name in the registry.
        preprocess: How images become its input.
    """
    generator = torch.Generator().manual_seed(0)  # the run's own random numbers stay as they are
    noise = torch.randn(2, preprocess.channels, *preprocess.image_size, generator=generator)
    return is_linear_on_features(network, network_head(model, network), noise)
