"""A trained network that torch computes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch

from cnncli.arrays import Array
from cnncli.augmentation.notation import Tta
from cnncli.errors import CnncliError
from cnncli.models.pretrained.digest import compute_digest
from cnncli.reporting import Reporter
from cnncli.run.networks import EngineSettings, Loaded
from cnncli.run.report import report_precision
from cnncli.run.subject import Subject, load_trained, read_run
from cnncli.training.device import Compute, choose_evaluation_compute, keep_freed_memory
from cnncli.training.distributed import World
from cnncli.training.predictions import predict_views
from cnncli.training.views import build_views


class TorchNetwork:
    """A network on its device, with normalisation and softmax.

    Attributes:
        subject: The network, and what is needed to give it images.
        class_names: The names of its K classes.
        preprocess: Turns the content of an image file into its input.
        checkpoint: The run's file; None for a network of the registry.
        model: The network's name in the registry.
        precision: The precision that it is computed in.
        compute: Device and precision.
    """

    engine = "torch"

    def __init__(self, subject: Subject, compute: Compute, tta: Tta | None) -> None:
        """Bring the network to its device.

        Args:
            subject: The network.
            compute: Device and precision.
            tta: Views of each image, over which its probabilities are averaged.
        """
        self.subject = subject
        self.class_names, self.preprocess = subject.class_names, subject.preprocess
        self.checkpoint, self.model = subject.checkpoint, subject.model
        subject.network.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._views = None if tta is None else build_views(tta, subject.augment)
        self._classifier = subject.classifier().to(compute.device)
        self.compute, self.precision = compute, compute.precision

    @cached_property
    def digest(self) -> str:
        """The digest of the checkpoint; of a network of the registry, that of what was loaded."""
        if self.subject.digest:
            return self.subject.digest
        tensors = {name: value.cpu() for name, value in self.subject.network.state_dict().items()}
        return compute_digest(
            tensors, {"model": self.model, "preprocess": self.preprocess.to_dict()}
        )

    def answer(self, images: Array) -> Array:
        """Return the probabilities (N, K) in float64 of a batch (N, H, W, C)."""
        return predict_views(self._classifier, torch.from_numpy(images), self.compute, self._views)


def load_runs(
    found: Sequence[tuple[Path, str]], settings: EngineSettings, reporter: Reporter, world: World
) -> Loaded:
    """Load the networks of runs.

    Args:
        found: The files of checkpoints, and how each was chosen, as `find_all_members` gives them.
        settings: With what to compute.
        reporter: Is told which runs were taken, and what the decision of a single one does; that
            of one among several is left out, since it was chosen for that network alone.
        world: The processes that work together.

    Raises:
        CnncliError: If a file cannot be used, or there is no such device.
    """
    compute = _choose_compute(settings, reporter, world)
    decide = len(found) == 1 and not settings.raw
    subjects = [read_run(path, how, reporter, decide=decide) for path, how in found]
    networks = [TorchNetwork(subject, compute, settings.tta) for subject in subjects]
    return Loaded(networks, subjects[0].decision)


def load_registered(
    model: str, weights: str, settings: EngineSettings, reporter: Reporter, world: World
) -> Loaded:
    """Load a network of the registry with weights.

    Args:
        model: The network's name.
        weights: What ``--weights`` takes, but ``none``.
        settings: With what to compute.
        reporter: Is told what the classes are taken to be.
        world: The processes that work together.

    Raises:
        CnncliError: If there is no such network, file or device.
    """
    if settings.engine not in ("auto", "torch"):
        raise CnncliError(
            f"--engine {settings.engine}: a network of the registry is computed by torch; name a "
            "run with --checkpoint"
        )
    compute = _choose_compute(settings, reporter, world)
    subject = load_trained(model, weights, reporter)
    return Loaded([TorchNetwork(subject, compute, settings.tta)], subject.decision)


def _choose_compute(settings: EngineSettings, reporter: Reporter, world: World) -> Compute:
    compute = choose_evaluation_compute(settings.device, settings.precision, world)
    report_precision(compute.precision, settings.precision, reporter)
    keep_freed_memory()
    return compute
