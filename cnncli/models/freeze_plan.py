"""What of a network is trained in which epoch, and at which share of the learning rate."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from cnncli.models.freeze import (
    HEAD,
    Frozen,
    Stages,
    Unfreezing,
    describe_stages,
    freeze,
    lr_scales,
    parse_policy,
    parse_unfreezing,
    stage_of,
    train_mode,
)


class FreezePlan:
    """What is frozen in which epoch, and the learning rate of each stage.

    Attributes:
        stages: Stage name to paths, the stem first.
        frozen: What is frozen now.
        scales: Each stage's learning rate as a factor on the head's.
    """

    def __init__(
        self,
        network: nn.Module,
        stages: Stages,
        *,
        policy: str,
        unfreeze_at: Sequence[str] = (),
        backbone_scale: float | None = None,
        layer_decay: float | None = None,
        freeze_norms: bool = False,
    ) -> None:
        """Read all policies and put that of epoch 1 in force.

        Args:
            network: What is trained.
            stages: Stage name to the paths of its modules, the stem first, the head last.
            policy: That of epoch 1, as ``--freeze`` takes it.
            unfreeze_at: Later policies, each ``EPOCH=POLICY``.
            backbone_scale: Learning rate of all stages but the head, as a factor on the head's.
            layer_decay: Factor from each stage to the one before it.
            freeze_norms: Whether every BatchNorm keeps its running statistics.

        Raises:
            CnncliError: If a policy names what the network does not have.
        """
        self.network, self.stages = network, stages
        self.unfreezing: Unfreezing = parse_unfreezing(policy, unfreeze_at)
        # Every policy is read now: a typo in the one for epoch 30 is told before epoch 1.
        self._policies = {
            policy: parse_policy(policy, network, stages) for _, policy in self.unfreezing.steps
        }
        self.scales = lr_scales(stages, backbone=backbone_scale, layer_decay=layer_decay)
        self.freeze_norms = freeze_norms
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
        return describe_stages(
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
