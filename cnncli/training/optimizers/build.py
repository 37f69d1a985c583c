"""The table of optimizers by name.

There are two kinds of weight decay. *Coupled* is the L2 penalty of the textbook:
``weight_decay · w`` is added to the gradient, so that an adaptive optimizer divides it by the
gradient's size too. *Decoupled*: besides the step, the weights shrink by the factor
``1 - lr · weight_decay``. A value of 0.05 is usual for the decoupled kind, 5e-4 for the coupled
one. Source: I. Loshchilov & F. Hutter (2019), Decoupled Weight Decay Regularization,
arXiv:1711.05101.

Every optimizer skips parameters without a gradient: a frozen parameter does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import optim

from cnncli.choices import OptimizerName
from cnncli.errors import CnncliError
from cnncli.training.optimizers.lion import Lion
from cnncli.training.optimizers.ranger import Ranger
from cnncli.training.optimizers.ranger21 import Ranger21


@dataclass(frozen=True)
class Entry:
    """How an optimizer is built.

    Attributes:
        builder: The class, called with parameter groups, ``lr`` and the options.
        lr_factor: Factor from the default learning rate of AdamW to that of this optimizer. It was
            found with short runs of ``resnet_small`` on the digits, with warm-up, cosine schedule
            and gradients clipped to norm 1.
        weight_decay: The default weight decay.
        batch_power: The default learning rate grows with the batch size to this power. It is 1 for
            SGD, as in P. Goyal et al. (2017), arXiv:1706.02677, and 1/2 for optimizers that divide
            by the size of the gradient, as in S. Malladi et al. (2022), arXiv:2205.10287.
        options: Keyword arguments of the builder; ``momentum`` can be set by the user where it is
            among them.
    """

    builder: Callable[..., optim.Optimizer]
    lr_factor: float
    weight_decay: float
    options: Mapping[str, Any] = field(default_factory=dict)
    batch_power: float = 0.5


_COUPLED, _DECOUPLED = 5e-4, 0.05
_MOMENTUM = {"momentum": 0.9}
_BETAS = {"betas": (0.9, 0.999)}
_RADAM = _BETAS | {"decoupled_weight_decay": True}

OPTIMIZERS: dict[OptimizerName, Entry] = {
    "sgd": Entry(optim.SGD, 300, _COUPLED, batch_power=1),
    "momentum": Entry(optim.SGD, 30, _COUPLED, _MOMENTUM, batch_power=1),
    "nesterov": Entry(optim.SGD, 30, _COUPLED, _MOMENTUM | {"nesterov": True}, batch_power=1),
    "adagrad": Entry(optim.Adagrad, 10, _COUPLED),
    "adadelta": Entry(optim.Adadelta, 1000, _COUPLED),
    "rmsprop": Entry(optim.RMSprop, 1, _COUPLED, {"momentum": 0.0}),
    "adam": Entry(optim.Adam, 1, _COUPLED, _BETAS),
    "nadam": Entry(optim.NAdam, 1, _COUPLED, _BETAS),
    "adamw": Entry(optim.AdamW, 1, _DECOUPLED, _BETAS),
    # Decoupled as in the authors' code; torch's default is coupled.
    "radam": Entry(optim.RAdam, 3, _DECOUPLED, _RADAM),
    "lion": Entry(Lion, 1 / 3, _DECOUPLED, {"betas": (0.9, 0.99)}),
    "ranger": Entry(Ranger, 10, _DECOUPLED, {"betas": (0.95, 0.999)}),
    # Decoupled, and divided by small numbers, so that a smaller one is enough.
    "ranger21": Entry(Ranger21, 3, 1e-4, _BETAS),
}


def build_optimizer(
    name: OptimizerName,
    groups: Sequence[Mapping[str, Any]],
    lr: float,
    *,
    momentum: float | None = None,
) -> optim.Optimizer:
    """Build an optimizer; its state holds only tensors and numbers.

    Args:
        name: A name of the table.
        groups: Parameter groups as torch takes them, each with its ``weight_decay``. Keys that the
            optimizer does not know, such as ``lr_scale``, stay in the group.
        lr: Learning rate, above 0; a schedule may set the ``lr`` of each group before each step.
        momentum: Momentum, 0-1; None for the table's, or for none where the optimizer has none.

    Raises:
        CnncliError: If a momentum is given and the optimizer has none.
    """
    entry = OPTIMIZERS[name]
    options = dict(entry.options)
    if momentum is not None:
        if "momentum" not in options:
            have = [key for key, other in OPTIMIZERS.items() if "momentum" in other.options]
            raise CnncliError(f"--momentum: {name} has none; those that do: {', '.join(have)}")
        options["momentum"] = momentum
    return entry.builder([dict(group) for group in groups], lr=lr, **options)
