"""Transfer learning's part of a run: weights to start from, and what of them is trained when."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from cnncli.config import ResolvedConfig, RunConfig
from cnncli.models.freeze import (
    HEAD,
    Frozen,
    Unfreezing,
    describe,
    freeze,
    lr_scales,
    read_policy,
    read_unfreezing,
    stage_of,
    train_mode,
)
from cnncli.models.pretrained.weights import (
    Source,
    WeightsPreprocess,
    find_source,
    load_weights,
    weights_normalisation,
    weights_preprocess,
)
from cnncli.models.registry import find_model
from cnncli.models.stages import network_stages
from cnncli.models.stem import Normalisation
from cnncli.reporting import Reporter


@dataclass(frozen=True)
class Pretrained:
    """Weights a run starts from, and the images they expect.

    Attributes:
        source: None where the network starts from scratch.
        expects: What images they expect, as far as it is known.
    """

    source: Source | None
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
    source = find_source(config.weights, entry)
    return Pretrained(source, weights_preprocess(source, entry))


class FreezePlan:
    """What is frozen in which epoch, and the learning rate of each stage.

    Attributes:
        stages: Stage name to paths, the stem first.
        frozen: What is frozen now.
        scales: Each stage's learning rate as a factor on the head's.
    """

    def __init__(self, network: nn.Module, config: ResolvedConfig) -> None:
        self.network = network
        self.stages = {s.name: s.paths for s in network_stages(config.model, network)}
        self.unfreezing: Unfreezing = read_unfreezing(config.freeze, config.unfreeze_at)
        # Every policy is read now: a typo in the one for epoch 30 is told before epoch 1.
        self._policies = {
            policy: read_policy(policy, network, self.stages) for _, policy in self.unfreezing.steps
        }
        backbone = None if config.lr_backbone is None else config.lr_backbone / config.lr
        self.scales = lr_scales(self.stages, backbone=backbone, layer_decay=config.layer_decay)
        self.freeze_norms = config.bn == "frozen"
        self.frozen = Frozen()
        self.begin(1)

    def begin(self, epoch: int) -> bool:
        """Put an epoch's policy in force; return whether it differs from the one before."""
        frozen = self._policies[self.unfreezing.at(epoch)]
        changed = frozen != self.frozen
        self.frozen = frozen
        freeze(self.network, frozen)
        return changed

    def train_mode(self) -> None:
        """Put the network in train mode, and what is frozen in eval mode as a whole."""
        train_mode(self.network, self.frozen, freeze_norms=self.freeze_norms)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, object]]:
        """Group all parameters, frozen ones too: those get no gradient, and so no step.

        Matrices and kernels decay, norms and biases do not; each stage has its ``lr_scale``.
        """
        groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            key = (stage_of(name, self.stages), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
        return [
            {
                "params": parameters,
                "weight_decay": weight_decay if decays else 0.0,
                "lr_scale": self.scales[stage],
            }
            for (stage, decays), parameters in groups.items()
        ]

    def table(self, lr: float) -> list[dict[str, object]]:
        """Return a row per stage: parameters, trainable, frozen, BatchNorm state, peak lr."""
        return describe(
            self.network,
            self.stages,
            self.frozen,
            freeze_norms=self.freeze_norms,
            lr=lr,
            scales=self.scales,
        )

    @property
    def backbone_is_fixed(self) -> bool:
        """Whether every stage stays frozen during the whole run, and only the head trains."""
        names = [name for name, _ in self.network.named_parameters()]
        trained = [name for name in names if not self.frozen.holds(name)]
        in_head = all(stage_of(name, self.stages) == HEAD for name in trained)
        return bool(trained) and in_head and not self.unfreezing.changes
