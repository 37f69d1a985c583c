"""Transfer learning's part of a run: weights to start from, and what of them is trained when."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from cnncli.config import RunConfig
from cnncli.models.pretrained.weights import (
    WeightsPreprocess,
    WeightsSource,
    load_weights,
    look_up_source,
    weights_normalisation,
    weights_preprocess,
)
from cnncli.models.registry import find_model
from cnncli.models.stem import Normalisation
from cnncli.reporting import Reporter


@dataclass(frozen=True)
class Pretrained:
    """Weights a run starts from, and the images they expect.

    Attributes:
        source: None where the network starts from scratch.
        expects: What images they expect, as far as it is known.
    """

    source: WeightsSource | None
    expects: WeightsPreprocess | None

    def normalisation(self, model: str, in_channels: int) -> Normalisation | None:
        """Return the mean and std to train with; None where the data's own are right."""
        return weights_normalisation(self.source, find_model(model), in_channels)

    def load(
        self,
        network: nn.Module,
        model: str,
        normalisation: Normalisation | None,
        reporter: Reporter,
    ) -> None:
        """Fill a network and tell what was loaded, adapted, dropped and missing."""
        if self.source is not None:
            entry = find_model(model)
            report = load_weights(network, self.source, entry, normalisation=normalisation)
            reporter.note(report.line())


def find_pretrained(config: RunConfig) -> Pretrained:
    """Find what ``--weights`` names; a torchvision file that is not on disk is got later.

    Raises:
        CnncliError: If there are no such weights.
    """
    entry = find_model(config.model)
    source = look_up_source(config.weights, entry)
    return Pretrained(source, weights_preprocess(source, entry))
