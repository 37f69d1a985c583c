"""Freeze policies: which part of a network is trained, and which part stays bit by bit as it is.

``requires_grad=False`` alone is not enough: a frozen BatchNorm's running mean still moves, and
dropout and stochastic depth make frozen features differ from pass to pass. What is frozen is
therefore in ``eval()`` as a whole, in every epoch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from cnncli.errors import CnncliError, count_of, did_you_mean

# The name of each stage and the paths of its modules and parameters, in the order of the forward
# pass, without the head.
Stages = Mapping[str, Sequence[str]]

HEAD = "head"


@dataclass(frozen=True)
class Frozen:
    """The part of a network that a policy freezes.

    Attributes:
        paths: Paths of the frozen modules and single parameters; all below a path is frozen.
    """

    paths: tuple[str, ...] = ()

    def holds(self, name: str) -> bool:
        """Return whether the parameter or module of this name is frozen."""
        return any(name == path or name.startswith(path + ".") for path in self.paths)


def parse_policy(policy: str, network: nn.Module, stages: Stages) -> Frozen:
    """Parse ``--freeze`` and find what it freezes in a network.

    Args:
        policy: ``backbone`` (all but the head), ``none``, ``stages:N`` (the stem and the first N
            stages after it), ``until:NAME`` (up to and including a stage or a layer), or glob
            patterns on layer names, joined by commas (``layer1.*,bn1``).
        network: The network; it is not changed.
        stages: The network's stages, the stem first.

    Raises:
        CnncliError: If the policy is none of these, names a part that the network does not have, or
            freezes every parameter.
    """
    names = list(stages)
    if policy == "none":
        return Frozen()
    if policy == "backbone":
        return _freeze_stages(stages, len(names))
    if match := re.fullmatch(r"stages:(\d+)", policy):
        count = int(match[1])
        if count >= len(names):
            raise CnncliError(
                f"--freeze {policy}: the network has {count_of(len(names) - 1, 'stage')} after "
                "the stem "
                f"({', '.join(names)}); to freeze them all, use backbone"
            )
        return _freeze_stages(stages, count + 1)
    if policy.startswith("until:"):
        return _freeze_until(policy.removeprefix("until:"), network, stages)
    return _freeze_matching(policy, network)


def _freeze_stages(stages: Stages, count: int) -> Frozen:
    chosen = list(stages.values())[:count]
    return Frozen(tuple(path for paths in chosen for path in paths))


def _freeze_until(name: str, network: nn.Module, stages: Stages) -> Frozen:
    names = list(stages)
    if name in names:
        return _freeze_stages(stages, names.index(name) + 1)
    # The name is a layer's: freeze the stages before its stage, and in its stage the layers up to
    # it. Layers of one parent are registered in the order in which they run.
    layers = [path for path, module in network.named_modules() if path]
    if name not in layers:
        near = did_you_mean(name, [*names, *layers])
        raise CnncliError(
            f"--freeze until:{name}: no such stage or layer{near}; the stages are "
            f"{', '.join(names)}"
        )
    for number, paths in enumerate(stages.values()):
        if any(name == path or name.startswith(path + ".") for path in paths):
            before = _freeze_stages(stages, number).paths
            own = [p for p in layers if any(p == q or p.startswith(q + ".") for q in paths)]
            earlier = own[: own.index(name)]
            # Freezing a block that holds the named layer would freeze the layers after it too.
            whole = [p for p in earlier if not name.startswith(p + ".")]
            return Frozen((*before, *whole, name))
    raise CnncliError(f"--freeze until:{name}: lies in the head, which is what is trained")


def _freeze_matching(policy: str, network: nn.Module) -> Frozen:
    layers = [path for path, _ in network.named_modules() if path]
    chosen: list[str] = []
    for pattern in policy.split(","):
        found = [path for path in layers if fnmatchcase(path, pattern.strip())]
        if not found:
            known = ["backbone", "none", "stages:1", *layers]
            raise CnncliError(
                f"--freeze {policy}: no layer is named {pattern.strip()!r}"
                f"{did_you_mean(pattern.strip(), known)}; use backbone, none, stages:N, "
                "until:NAME or patterns such as 'layer1*'"
            )
        chosen += found
    frozen = Frozen(tuple(chosen))
    if all(frozen.holds(name) for name, _ in network.named_parameters()):
        raise CnncliError(f"--freeze {policy}: freezes every parameter; nothing is left to train")
    return frozen


def freeze(network: nn.Module, frozen: Frozen) -> None:
    """Set ``requires_grad`` of every parameter: False if it is frozen, otherwise True."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not frozen.holds(name))


def train_mode(network: nn.Module, frozen: Frozen, *, freeze_norms: bool) -> None:
    """Put a network in train mode, and its frozen part in eval mode as a whole.

    Args:
        network: The network; it is changed in place.
        frozen: The part that is frozen.
        freeze_norms: Whether the BatchNorm layers of the trained part are put in eval mode too, so
            that their statistics stay fixed.
    """
    network.train()
    for name, module in network.named_modules():
        if name and (frozen.holds(name) or (freeze_norms and is_batch_norm(module))):
            module.eval()


def is_batch_norm(module: nn.Module) -> bool:
    """Return whether a module normalises over the batch and keeps running statistics."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


@dataclass(frozen=True)
class Unfreezing:
    """The freeze policies of a run and the epochs in which they begin.

    Attributes:
        steps: Pairs of (first epoch, policy) in ascending order; the first begins in epoch 1.
    """

    steps: tuple[tuple[int, str], ...]

    def at(self, epoch: int) -> str:
        """Return the policy that is in force in an epoch; epochs count from 1."""
        return [policy for start, policy in self.steps if start <= epoch][-1]

    @property
    def changes(self) -> bool:
        """Whether the policy changes during the run."""
        return len(self.steps) > 1


def parse_unfreezing(policy: str, unfreeze_at: Sequence[str]) -> Unfreezing:
    """Parse ``--freeze`` and all ``--unfreeze-at EPOCH[=POLICY]``.

    Args:
        policy: Policy from epoch 1 on.
        unfreeze_at: Later policies: ``2=none`` begins with epoch 2; without ``=POLICY`` the policy
            is ``none``.

    Raises:
        CnncliError: If an epoch is not a number of at least 2, or is given twice.
    """
    steps = {1: policy}
    for text in unfreeze_at:
        match = re.fullmatch(r"(\d+)(?:=(.+))?", text.strip())
        if not match or int(match[1]) < 2:
            raise CnncliError(
                f"--unfreeze-at {text}: write EPOCH or EPOCH=POLICY, with an epoch from 2 on, such "
                "as 5 or 3=stages:2"
            )
        if int(match[1]) in steps:
            raise CnncliError(f"--unfreeze-at {text}: epoch {match[1]} is given twice")
        steps[int(match[1])] = match[2] or "none"
    return Unfreezing(tuple(sorted(steps.items())))


def stage_of(name: str, stages: Stages) -> str:
    """Return the name of the stage that holds a parameter or module, or ``head`` if none does."""
    for stage, paths in stages.items():
        if any(name == path or name.startswith(path + ".") for path in paths):
            return stage
    return HEAD


def lr_scales(
    stages: Stages, *, backbone: float | None = None, layer_decay: float | None = None
) -> dict[str, float]:
    """Return the learning rate of each stage as a factor on the head's learning rate.

    Args:
        stages: The network's stages, the stem first.
        backbone: One factor for all stages; None for 1 or for ``layer_decay``.
        layer_decay: Factor d: the last stage gets d, the stage before it d², and so on.

    Returns:
        A factor for each stage by name, and 1 for ``head``.

    Source: J. Howard & S. Ruder (2018), ULMFiT, arXiv:1801.06146, sec. 3.2 (discriminative
    fine-tuning); the geometric form is that of BEiT and ConvNeXt's fine-tuning.
    """
    count = len(stages)
    scales = {}
    for number, stage in enumerate(stages):
        decayed = 1.0 if layer_decay is None else layer_decay ** (count - number)
        scales[stage] = decayed if backbone is None else backbone
    return {**scales, HEAD: 1.0}


def describe_stages(
    network: nn.Module,
    stages: Stages,
    frozen: Frozen,
    *,
    freeze_norms: bool,
    lr: float,
    scales: Mapping[str, float],
) -> list[dict[str, object]]:
    """Return the table that is printed before epoch 1: a row for each stage, and the totals.

    Args:
        network: The network.
        stages: The network's stages, the stem first.
        frozen: The part that is frozen.
        freeze_norms: Whether all BatchNorm layers keep their statistics.
        lr: Highest learning rate of the run, for the head.
        scales: Learning rate of each stage, and of the head, as a factor on ``lr``.

    Returns:
        Rows with the columns stage; parameters, trainable and frozen (numbers of values);
        batch_norm (``frozen`` or ``train``, empty without BatchNorm); lr (the stage's highest
        learning rate, None if all of it is frozen).
    """
    rows: dict[str, dict[str, object]] = {}
    counts: dict[str, list[int]] = {stage: [0, 0] for stage in (*stages, HEAD)}
    norms: dict[str, set[str]] = {stage: set() for stage in counts}
    for name, parameter in network.named_parameters():
        counts[stage_of(name, stages)][frozen.holds(name)] += parameter.numel()
    for name, module in network.named_modules():
        if is_batch_norm(module):
            fixed = freeze_norms or frozen.holds(name)
            norms[stage_of(name, stages)].add("frozen" if fixed else "train")
    for stage, (trainable, still) in counts.items():
        rows[stage] = {
            "stage": stage,
            "parameters": trainable + still,
            "trainable": trainable,
            "frozen": still,
            "batch_norm": " and ".join(sorted(norms[stage])),
            "lr": lr * scales[stage] if trainable else None,
        }
    total: dict[str, object] = {"stage": "total"}
    for column, position in (("trainable", 0), ("frozen", 1)):
        total[column] = sum(count[position] for count in counts.values())
    total["parameters"] = sum(sum(count) for count in counts.values())
    return [*rows.values(), total]
