"""A network to look at: that of a run, or one of the registry with or without weights."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from cnncli.augmentation.notation import Pipeline
from cnncli.choices import format_size
from cnncli.choices.spelling import tell_taken
from cnncli.errors import CnncliError
from cnncli.files import expand_path
from cnncli.images.preprocess import Preprocess
from cnncli.models.build import Classifier, build_network
from cnncli.models.pretrained.head_rows import imagenet_classes
from cnncli.models.pretrained.report import refuse_other_network
from cnncli.models.pretrained.weights import (
    IMAGENET_CLASSES,
    WeightsSource,
    load_weights,
    look_up_source,
    read_head_rows,
    weights_preprocess,
)
from cnncli.models.registry import CHAIN, MODELS, TIMM, ModelEntry, find_model, short_name
from cnncli.models.tables.custom import CUSTOM
from cnncli.reporting import Reporter
from cnncli.run.decision import Decision, load_decision
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.find_checkpoint import find_checkpoint
from cnncli.training.find_run import LAST, list_run_folders

# Image side in pixels, channels and classes of a network with random weights, where it has no own.
_SIDE = 224
_CHANNELS = 3
_CLASSES, _OWN_CLASSES = IMAGENET_CLASSES, 10


@dataclass(frozen=True)
class Subject:
    """A network in eval mode on the CPU, and what is needed to give it images.

    Attributes:
        model: The network's name in the registry.
        network: Takes normalised images (N, C, H, W) and returns logits (N, K).
        preprocess: Turns the content of an image file into the network's input.
        class_names: K names; the numbers from 0 where the classes are not known.
        checkpoint: The run's file; None for a network of the registry.
        is_trained: Whether the weights come from a run or a file; otherwise they are random.
        augment: The augmentation that a run trained it with; empty for none.
        decision: What is done with the probabilities; None for nothing, and where nobody asked.
        digest: Digest of the checkpoint; empty for a network of the registry.
        temperature: What the logits are divided by before the softmax.
    """

    model: str
    network: nn.Module
    preprocess: Preprocess
    class_names: tuple[str, ...]
    checkpoint: Path | None
    is_trained: bool
    augment: Pipeline = field(default_factory=list)
    decision: Decision | None = None
    digest: str = ""
    temperature: float = 1.0

    def classifier(self) -> Classifier:
        """Return normalisation, network, temperature and softmax as one module, in eval mode."""
        from cnncli.images.preprocess import FULL_SCALE

        pre = self.preprocess
        full = FULL_SCALE[pre.dtype]
        return Classifier(self.network, pre.mean, pre.std, full, self.temperature).eval()


def is_run(target: str) -> bool:
    """Return whether a text names a run or a checkpoint, and not a network of the registry.

    A network's name is never a part of a run's name: ``resnet18`` is the network.
    """
    if target in MODELS or target.startswith((CHAIN, TIMM)):
        return False
    looks_like_path = os.sep in target or target.endswith((".safetensors", ".pt", ".pth"))
    if looks_like_path or target == LAST or expand_path(target).exists():
        return True
    return bool(target) and any(target in run.name for run in list_run_folders(Path("runs")))


def load_subject(
    target: str | None,
    reporter: Reporter,
    *,
    weights: str | None = None,
    image_size: tuple[int, int] | None = None,
    seed: int = 0,
) -> Subject:
    """Load the network of a run, or build one of the registry.

    Args:
        target: A run, a checkpoint or the name of a network; None for the newest finished run.
        reporter: Is told which run or weights were taken.
        weights: What ``--weights`` takes; only for a network of the registry. None or ``none``
            gives random weights.
        image_size: (H, W) in pixels of the input of a network of the registry; None for its own.
        seed: Seed of random weights.

    Raises:
        CnncliError: If there is no such run, network or file, or they do not go together.
    """
    if target is not None and not is_run(target):
        return _build(target, reporter, weights, image_size, seed)
    path, how = find_checkpoint(target, flag="")
    if weights is not None:
        raise CnncliError(f"--weights {weights}: {target or path} has weights of its own")
    subject = read_run(path, how, reporter)
    own = subject.preprocess.image_size
    if image_size not in (None, own):
        raise CnncliError(f"--image-size: the run has {format_size(own)}; leave it out")
    return subject


def read_run(path: Path, how: str, reporter: Reporter, *, decide: bool = False) -> Subject:
    """Load the network of a run.

    Args:
        path: The checkpoint's file.
        how: How it was chosen, for the reporter; empty where the user gave its path.
        reporter: Is told which run was taken, and what the decision does.
        decide: Whether to read the decision that lies beside the weights.

    Raises:
        CnncliError: If a file of it cannot be used.
    """
    if how:
        reporter.note(f"checkpoint: {path} ({how})")
    network, checkpoint = load_checkpoint(path)
    decision = None
    if decide:
        decision = load_decision(path, checkpoint.digest, checkpoint.class_names, reporter)
    return Subject(
        model=checkpoint.model,
        network=network,
        preprocess=checkpoint.preprocess,
        class_names=checkpoint.class_names,
        checkpoint=path,
        is_trained=True,
        augment=checkpoint.augment,
        decision=decision,
        digest=checkpoint.digest,
        temperature=checkpoint.temperature,
    )


def load_trained(name: str, weights: str, reporter: Reporter) -> Subject:
    """Build a network of the registry whose answers mean something.

    Args:
        name: Name of the network.
        weights: What ``--weights`` takes, but ``none``.
        reporter: Is told what the classes are taken to be.

    Raises:
        CnncliError: If there is no such network or file, if the weights do not fill all of the
            network, or if it is not known what images they expect.
    """
    entry = find_model(name)
    source = look_up_source(weights, entry)
    if source is None:
        raise CnncliError(f"--weights {weights}: random weights have learnt nothing to predict")
    if weights_preprocess(source, entry) is None:
        raise CnncliError(
            f"--weights {weights}: does not say what images it expects (size, mean, standard "
            f"deviation), and those of {short_name(name)} are not known; name a run, or a network "
            "that `cnncli models` lists with weights"
        )
    try:
        return _build(name, reporter, weights, None, 0, whole=True)
    except CnncliError as error:
        # The way out of training, where the weights cannot be downloaded.
        raise CnncliError(str(error).replace("--weights none or ", "")) from None


def _build(
    name: str,
    reporter: Reporter,
    weights: str | None,
    image_size: tuple[int, int] | None,
    seed: int,
    *,
    whole: bool = False,
) -> Subject:
    """Build a network of the registry; if it is to be whole, no part of it may stay random."""
    try:
        entry = find_model(name)
    except CnncliError as error:
        # Here the name is an argument, or the path of a run that is not there.
        raise CnncliError(f"{str(error).removeprefix('--model ')}; nor a run folder") from None
    if told := tell_taken("MODEL", name, entry.name):
        reporter.note(told)
    name = entry.name
    source = look_up_source(weights or "none", entry)
    preprocess = _choose_preprocess(entry, source, image_size)
    class_names = _find_class_names(entry, source, reporter)
    torch.manual_seed(seed)
    network = build_network(
        name,
        num_classes=len(class_names),
        in_channels=preprocess.channels,
        image_size=preprocess.image_size,
        **(source.meta.get("options", {}) if source is not None else {}),  # what the run exchanged
    )
    if source is None:
        reporter.note(
            f"{short_name(name)} with random weights of seed {seed}: nothing of it is learnt; "
            "--weights gives it trained ones"
        )
    else:
        report = load_weights(network, source, entry, class_names=class_names, assume=class_names)
        if whole:
            refuse_other_network(report, network, short_name(name))
        if report.missing or report.dropped:
            reporter.warn(report.line())
    return Subject(
        model=name,
        network=network.eval(),
        preprocess=preprocess,
        class_names=class_names,
        checkpoint=None,
        is_trained=source is not None,
    )


def _choose_preprocess(
    entry: ModelEntry, source: WeightsSource | None, image_size: tuple[int, int] | None
) -> Preprocess:
    """Return how images become the input of a network of the registry."""
    if source is not None and "preprocess" in source.meta:
        return Preprocess.from_dict(source.meta["preprocess"])
    expects = weights_preprocess(source, entry)
    if expects is not None:
        size = image_size or expects.image_size
        whole = expects.resize_size is not None and expects.resize_size >= max(size)
        return Preprocess(
            *size,
            channels=expects.in_channels,
            resize_mode="crop",
            interpolation=expects.interpolation or "bilinear",  # type: ignore[arg-type]
            resize_size=expects.resize_size if whole else None,
            mean=expects.mean,
            std=expects.std,
        )
    channels, side = CUSTOM[entry.name].example if entry.name in CUSTOM else (_CHANNELS, _SIDE)
    side = entry.image_size or side
    size = image_size or (side, side)
    return Preprocess(*size, channels=channels, mean=(0.5,) * channels, std=(0.25,) * channels)


def _find_class_names(
    entry: ModelEntry, source: WeightsSource | None, reporter: Reporter
) -> tuple[str, ...]:
    """Return the names of the classes of a network of the registry with these weights."""
    if source is None:
        own = entry.name in CUSTOM or entry.name.startswith(CHAIN)
        return tuple(map(str, range(_OWN_CLASSES if own else _CLASSES)))
    if names := source.meta.get("class_names"):
        return tuple(names)
    rows = IMAGENET_CLASSES if source.entry is not None else read_head_rows(source, entry)
    if rows == IMAGENET_CLASSES:
        if source.entry is None:
            reporter.note(
                f"{source.text} does not name its {IMAGENET_CLASSES} classes: they are taken to "
                "be ImageNet's, in torchvision's order"
            )
        return imagenet_classes()
    reporter.note(f"{source.text} does not name its {rows} classes: they are numbered from 0")
    return tuple(map(str, range(rows)))
