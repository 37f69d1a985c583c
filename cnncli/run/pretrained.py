"""The pretrained weights that a run starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from cnncli.choices import ResizeMode
from cnncli.config import ResolvedConfig, RunConfig
from cnncli.models.pretrained.weights import (
    WeightsPreprocess,
    WeightsSource,
    load_weights,
    look_up_source,
    weights_normalisation,
    weights_preprocess,
)
from cnncli.models.registry import find_model
from cnncli.models.stages import network_head
from cnncli.models.stem import Normalisation
from cnncli.reporting import Reporter


@dataclass(frozen=True)
class Pretrained:
    """The weights that a run starts from, and the images they were trained on.

    Attributes:
        source: Where the weights are; None for a network that starts from random weights.
        expects: The preprocessing the weights were trained with; None if it is not known.
    """

    source: WeightsSource | None
    expects: WeightsPreprocess | None

    @property
    def linear_head(self) -> bool:
        """Whether the weights are those of a run whose head has no activation behind it."""
        options = self.source.meta.get("options") if self.source is not None else None
        return bool(options and options.get("linear_head"))

    @property
    def resize_mode(self) -> ResizeMode:
        """How the images of the weights came to size: as in the run they are of, or by a crop."""
        if self.expects is None or self.source is None:
            return "squash"
        if pre := self.source.meta.get("preprocess"):
            mode: ResizeMode = pre.get("resize_mode", "squash")
            return mode
        return "crop"

    def normalisation(self, model: str, in_channels: int) -> Normalisation | None:
        """Return the mean and std to normalise with; None if those of the training images are."""
        return weights_normalisation(self.source, find_model(model), in_channels)

    def load(
        self,
        network: nn.Module,
        config: ResolvedConfig,
        class_names: Sequence[str],
        normalisation: Normalisation | None,
        reporter: Reporter,
    ) -> None:
        """Load the weights into a network, and report what was adapted, dropped and missing.

        Where the head is fitted, nothing of the file's head remains, whatever its classes are.
        """
        if self.source is not None:
            report = load_weights(
                network,
                self.source,
                find_model(config.model),
                class_names=class_names,
                normalisation=normalisation,
            )
            head = network_head(config.model, network)
            if config.fits_head and f"{head}.weight" in report.loaded:
                report = replace(report, head="the head is fitted anew")
            reporter.note(report.line())


def find_pretrained(config: RunConfig) -> Pretrained:
    """Return the weights that ``--weights`` names; a torchvision file is downloaded later.

    Raises:
        CnncliError: If there are no such weights.
    """
    entry = find_model(config.model)
    source = look_up_source(config.weights, entry)
    return Pretrained(source, weights_preprocess(source, entry))
