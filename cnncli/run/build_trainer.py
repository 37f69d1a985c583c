"""From a config to what an epoch runs on and what takes its steps."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import nn

from cnncli.config import ResolvedConfig
from cnncli.data.splits import TRAIN, VAL
from cnncli.models.build import Classifier
from cnncli.models.freeze_plan import FreezePlan
from cnncli.models.stages import network_stages
from cnncli.reporting import Reporter
from cnncli.run.prepare import PreparedRun
from cnncli.training.balance import class_weights
from cnncli.training.ema import MovingAverage
from cnncli.training.epoch_inputs import EpochInputs
from cnncli.training.features import FeatureLoader, HeadClassifier, compute_features, find_head
from cnncli.training.history import lower_is_better
from cnncli.training.loop import Trainer
from cnncli.training.losses import build_loss
from cnncli.training.mixing import Mixing
from cnncli.training.optimizers.build import build_optimizer
from cnncli.training.penalties import Penalty, elastic_net
from cnncli.training.schedule import Plateau, build_schedule
from cnncli.training.stopping import TimeLimit


def build_freeze_plan(run: PreparedRun) -> FreezePlan:
    """Return what of the run's network is trained in which epoch, with epoch 1 in force."""
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


def build_inputs(
    run: PreparedRun, plan: FreezePlan, run_dir: Path, reporter: Reporter, *, cache_features: bool
) -> EpochInputs:
    """Return the loop over images, or over features where the backbone gives the same each time."""
    config, device = run.config, run.compute.device
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    run.network.to(device, memory_format=layout)  # type: ignore[call-overload]

    def classify(network: nn.Module) -> Classifier:
        return run.checkpoint.classifier(network).to(device)

    classifier = classify(run.network)
    augmented = config.augment != "none"
    train = run.loader(TRAIN, augment=augmented, shuffle=True)
    val = run.loader(VAL, shared=True)
    images = EpochInputs(classifier, train, val, plan.train_mode, classify, (train, val))
    fixed = plan.backbone_is_fixed and (not augmented or config.augment_views > 1)
    if not (cache_features and fixed) or config.mixup or config.cutmix:
        return images
    plan.train_mode()
    head = find_head(classifier, config.model, run.loader(VAL), plan.frozen, run.compute)
    if head is None:
        reporter.note(f"{config.model}: what follows its head must run too: no features are kept")
        return images
    start = time.perf_counter()
    views = config.augment_views if augmented else 1
    count = views * train.count + val.count
    with reporter.progress("features", count) as advance:
        in_order = run.loader(TRAIN, augment=augmented)
        kept = compute_features(
            classifier,
            head,
            in_order,
            run.compute,
            views=views,
            spill=run_dir,
            advance=advance,
        )
        classifier.eval()
        evaluated = compute_features(
            classifier, head, val, run.compute, advance=advance, spill=run_dir
        )
    seconds = time.perf_counter() - start
    reporter.note(f"the frozen backbone ran once: features of {count:,} images in {seconds:.1f} s")
    module = head.module(run.network)
    balanced = config.balance == "sampler"
    return EpochInputs(
        HeadClassifier(module),
        FeatureLoader(
            kept,
            config.batch_size,
            shuffle_seed=config.seed,
            balanced=balanced,
            share=run.share,
        ),
        FeatureLoader(evaluated, config.batch_size, shuffle_seed=None),
        module.train,
        lambda network: HeadClassifier(head.module(network)),
        (in_order, val),
    )


def build_trainer(
    run: PreparedRun,
    plan: FreezePlan,
    inputs: EpochInputs,
    limit: TimeLimit,
    plateau: Plateau | None,
    reporter: Reporter,
) -> Trainer:
    """Return what takes the steps, before the first.

    Raises:
        CnncliError: If the optimizer does not take the momentum that is given.
    """
    config = run.config
    steps = config.epochs * -(-len(inputs.train) // config.accumulate)
    schedule = build_schedule(
        config.scheduler,
        steps=steps,
        warmup=min(steps - 1, round(config.warmup * steps)),
        step_size=config.lr_step and config.lr_step * steps // config.epochs,
        milestones=[epoch * steps // config.epochs for epoch in config.lr_milestones] or None,
        gamma=config.lr_gamma,
    )

    def lr_at(step: int) -> float:
        # With a time limit, the schedule is as far as the time is, if that is further.
        factor = 1.0 if plateau is None else plateau.factor
        return config.lr * factor * schedule(max(step, int(limit.progress * steps)))

    mixing = Mixing(len(run.samples.class_names), config.seed, config.mixup, config.cutmix)
    return Trainer(
        classifier=inputs.classifier,
        optimizer=build_optimizer(
            config.optimizer,
            plan.parameter_groups(0.0 if config.elastic_net is not None else config.weight_decay),
            config.lr,
            momentum=config.momentum,
        ),
        lr_at=lr_at,
        criterion=_build_loss(run),
        compute=run.compute,
        train_mode=inputs.train_mode,
        compiled=config.compile,
        clip=config.clip_grad or None,
        accumulate=config.accumulate,
        penalty=_build_penalty(config),
        mixing=mixing if mixing else None,
        average=MovingAverage(run.network, config.ema) if config.ema else None,
        network=run.network,
        tell=reporter.warn,
    )


def build_plateau(config: ResolvedConfig) -> Plateau | None:
    """Return the scheduler that waits for val to get no better, if it is that one."""
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
