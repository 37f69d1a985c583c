"""Which part of a network is trained in which epoch, and with which learning rate."""

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
    """Freezes a network's stages as planned for each epoch, and scales their learning rates.

    Attributes:
        network: The network that is trained.
        stages: The network's stages by name, the stem first.
        unfreezing: The policies and the epochs in which they begin.
        frozen: The part that is frozen now.
        scales: Learning rate of each stage, and of the head, as a factor on the head's.
        freeze_norms: Whether all BatchNorm layers keep their running statistics.
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
        """Parse all policies and apply the one of epoch 1.

        Args:
            network: The network that is trained.
            stages: Stage name to the paths of its modules, the stem first, without the head.
            policy: Policy from epoch 1 on, as ``--freeze`` takes it.
            unfreeze_at: Later policies, each ``EPOCH=POLICY`` or ``EPOCH``.
            backbone_scale: Learning rate of all stages, as a factor on the head's; None for 1 or
                for ``layer_decay``.
            layer_decay: Factor on the learning rate from each stage to the stage before it.
            freeze_norms: Whether all BatchNorm layers keep their running statistics.

        Raises:
            CnncliError: If a policy cannot be parsed or names a part that the network does not
                have.
        """
        self.network, self.stages = network, stages
        self.unfreezing: Unfreezing = parse_unfreezing(policy, unfreeze_at)
        # All policies are parsed now, so that a typo in the one for epoch 30 stops the run before
        # epoch 1.
        self._policies = {
            policy: parse_policy(policy, network, stages) for _, policy in self.unfreezing.steps
        }
        self.scales = lr_scales(stages, backbone=backbone_scale, layer_decay=layer_decay)
        self.freeze_norms = freeze_norms
        self.frozen = Frozen()
        self.begin(1)

    def begin(self, epoch: int) -> bool:
        """Apply the policy of an epoch, and return whether it changes what is frozen."""
        frozen = self._policies[self.unfreezing.at(epoch)]
        changed = frozen != self.frozen
        self.frozen = frozen
        freeze(self.network, frozen)
        return changed

    def train_mode(self) -> None:
        """Put the network in train mode, and its frozen part in eval mode as a whole."""
        train_mode(self.network, self.frozen, freeze_norms=self.freeze_norms)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, object]]:
        """Return the optimizer's groups of all parameters.

        Frozen parameters are in them too; they get no gradient and therefore no step. Matrices and
        kernels have weight decay; norms and biases, which have one dimension, have none.

        Args:
            weight_decay: Weight decay of matrices and kernels.

        Returns:
            Groups with ``params``, ``weight_decay`` and ``lr_scale``, the factor of their stage.
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
        """Return a row for each stage, and the totals; see `describe_stages`.

        Args:
            lr: Highest learning rate of the run, for the head.
        """
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
        """Whether only the head is trained, in all epochs."""
        names = [name for name, _ in self.network.named_parameters()]
        trained = [name for name in names if not self.frozen.holds(name)]
        in_head = all(stage_of(name, self.stages) == HEAD for name in trained)
        return bool(trained) and in_head and not self.unfreezing.changes
