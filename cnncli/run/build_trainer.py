"""From a config to the object that takes the training steps, and to its learning rates."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from cnncli.config import ResolvedConfig
from cnncli.data.splits import TRAIN
from cnncli.models.freeze_plan import FreezePlan
from cnncli.models.stages import network_stages
from cnncli.run.prepared_run import PreparedRun
from cnncli.training.balance import class_weights
from cnncli.training.ema import MovingAverage
from cnncli.training.epoch_inputs import EpochInputs
from cnncli.training.history import lower_is_better
from cnncli.training.loop import Trainer
from cnncli.training.losses import build_loss
from cnncli.training.mixing import Mixing
from cnncli.training.optimizers.build import build_optimizer
from cnncli.training.penalties import Penalty, elastic_net
from cnncli.training.schedule import Plateau, build_schedule
from cnncli.training.stopping import TimeLimit


def build_freeze_plan(run: PreparedRun) -> FreezePlan:
    """Return what of the run's network is frozen in which epoch; that of epoch 1 is in force."""
    config = run.config
    return FreezePlan(
        run.network,
        {stage.name: stage.paths for stage in network_stages(config.model, run.network)},
        policy=config.freeze,
        unfreeze_at=config.unfreeze_at,
        backbone_scale=None if config.lr_backbone is None else config.lr_backbone / config.lr,
        layer_decay=config.layer_decay,
        freeze_norms=config.bn == "frozen",
    )


def build_learning_rate(
    config: ResolvedConfig, batches: int, limit: TimeLimit, plateau: Plateau | None
) -> Callable[[int], float]:
    """Return the learning rate as a function of the step, counted from 0 over the whole run.

    Args:
        config: Its lr, schedule, warm-up, epochs and accumulation are used.
        batches: Number of batches per epoch.
        limit: The time the run may take: the schedule ends with it.
        plateau: Its factor multiplies the learning rate; None where the scheduler is another.
    """
    epochs = max(1, config.epochs)  # a run that only fits its head has none
    steps = epochs * -(-batches // config.accumulate)
    schedule = build_schedule(
        config.scheduler,
        steps=steps,
        warmup=min(steps - 1, round(config.warmup * steps)),
        step_size=config.lr_step and config.lr_step * steps // epochs,
        milestones=[epoch * steps // epochs for epoch in config.lr_milestones] or None,
        gamma=config.lr_gamma,
    )

    def lr_at(step: int) -> float:
        factor = 1.0 if plateau is None else plateau.factor
        # Where more of the time is spent than of the steps, the schedule goes by the time.
        return config.lr * factor * schedule(max(step, int(limit.progress * steps)))

    return lr_at


def build_trainer(
    run: PreparedRun,
    plan: FreezePlan,
    inputs: EpochInputs,
    lr_at: Callable[[int], float],
    *,
    warn: Callable[[str], object],
) -> Trainer:
    """Return the trainer that takes the run's steps, before its first one.

    Args:
        run: The images and settings; its network is trained.
        plan: What is frozen, and the learning rate of each stage.
        inputs: What an epoch trains.
        lr_at: The learning rate of step 0, 1, ... of the run.
        warn: Called with a line of text if the trainer has to change how it trains.

    Raises:
        CnncliError: If a momentum is given for an optimizer that has none.
    """
    config = run.config
    mixing = Mixing(len(run.samples.class_names), config.seed, config.mixup, config.cutmix)
    weight_decay = 0.0 if config.elastic_net is not None else config.weight_decay
    return Trainer(
        classifier=inputs.classifier,
        optimizer=build_optimizer(
            config.optimizer,
            plan.parameter_groups(weight_decay),
            config.lr,
            momentum=config.momentum,
        ),
        lr_at=lr_at,
        criterion=_build_loss(run),
        compute=run.compute,
        train_mode=inputs.train_mode,
        compiled=config.compile,
        max_grad_norm=config.clip_grad or None,
        accumulate=config.accumulate,
        penalty=_build_penalty(config),
        mixing=mixing if mixing else None,
        average=MovingAverage(run.network, config.ema) if config.ema else None,
        network=run.network,
        warn=warn,
    )


def build_plateau(config: ResolvedConfig) -> Plateau | None:
    """Return the scheduler that waits for val to stop getting better; None for other schedulers."""
    if config.scheduler != "plateau":
        return None
    return Plateau(
        lower_is_better=lower_is_better(config.monitor),
        gamma=config.lr_gamma,
        patience=max(1, config.patience // 3),
        min_delta=config.min_delta,
    )


def _build_penalty(config: ResolvedConfig) -> Penalty:
    if config.elastic_net is not None:
        return elastic_net(config.weight_decay, config.elastic_net)
    return Penalty(l1=config.l1)


def _build_loss(run: PreparedRun) -> nn.Module:
    config, num_classes = run.config, len(run.samples.class_names)
    weights = None
    if config.balance == "loss":
        weights = class_weights(run.samples.targets[run.indices(TRAIN)], num_classes)
    loss = build_loss(
        config.loss,
        num_classes,
        label_smoothing=config.label_smoothing,
        class_weights=weights,
    )
    return loss.to(run.compute.device)
