"""One or several trained networks whose probabilities are averaged, each with its own input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.augmentation.notation import Tta
from cnncli.errors import RUNTIME_FAILURE, CnncliError, count_of
from cnncli.images.preprocess import Preprocess
from cnncli.models.build import Classifier
from cnncli.reporting import Reporter
from cnncli.run.decision import note_left_out
from cnncli.run.members import align_classes, find_members
from cnncli.run.subject import Subject, read_run
from cnncli.training.device import Compute
from cnncli.training.predictions import predict_views
from cnncli.training.views import Views, build_views


def load_members(given: Sequence[str], reporter: Reporter, *, raw: bool) -> list[Subject]:
    """Load the networks of runs and cross-validations.

    Args:
        given: What ``--checkpoint`` takes, as often as it was given; empty for the newest finished
            run or cross-validation.
        reporter: Is told which runs were taken, and what the decision of a single one does.
        raw: Whether the decision beside the weights is left out; that of one among several always
            is, since it was chosen for that network alone.

    Raises:
        CnncliError: If there is no such run, a file of it cannot be used, or one is named twice.
    """
    named = [find_members(name) for name in given or (None,)]
    found = [(file, how if len(files) == 1 else "") for _, files, how in named for file in files]
    seen: set[Path] = set()
    for path, _ in found:
        if path.resolve() in seen:
            raise CnncliError(f"--checkpoint {path}: given twice, and would count twice")
        seen.add(path.resolve())
    for path, files, how in named:
        if len(files) > 1:
            networks = f"{path.parent}: the mean of its {len(files)} networks"
            reporter.note(f"checkpoint: {networks}{f' ({how})' if how else ''}")
    is_one = len(found) == 1
    if not is_one and not raw:
        note_left_out([path for path, _ in found], reporter)
    return [read_run(path, how, reporter, decide=is_one and not raw) for path, how in found]


@dataclass(frozen=True)
class _Part:
    """One network on its device.

    Attributes:
        classifier: Normalisation, network and softmax, in eval mode on the device.
        views: Yields the views of a batch of images; None for the images alone.
        form: Number of the form in which it takes images.
        order: (K,) the place of each class of the first network among its own.
    """

    classifier: Classifier
    views: Views | None
    form: int
    order: Array


class Ensemble:
    """Networks that know the same classes.

    Attributes:
        class_names: The K classes in the order of the first network.
        forms: The forms in which the networks take images, that of the first network first. Mean
            and deviation do not count: each network normalises.
    """

    def __init__(self, subjects: Sequence[Subject], compute: Compute, tta: Tta | None) -> None:
        """Bring the networks to their device.

        Args:
            subjects: The networks.
            compute: Device and precision.
            tta: Views of each image, over which each network's probabilities are averaged.

        Raises:
            CnncliError: If they do not know the same classes, or take other files per image.
        """
        self.class_names = subjects[0].class_names
        self._compute = compute
        self.forms: list[Preprocess] = []
        self._parts = [self._build(subject, tta) for subject in subjects]

    def _build(self, subject: Subject, tta: Tta | None) -> _Part:
        where = f"--checkpoint {subject.checkpoint}"
        order = align_classes(self.class_names, subject.class_names, where)
        bare = [replace(form, mean=(), std=()) for form in self.forms]
        own = replace(subject.preprocess, mean=(), std=())
        if own not in bare:
            if self.forms and self.forms[0].count_files != own.count_files:
                raise CnncliError(
                    f"{where}: takes {count_of(own.count_files, 'file')} per image, and the first "
                    f"checkpoint {self.forms[0].count_files}"
                )
            self.forms.append(subject.preprocess)
            bare.append(own)
        subject.network.to(self._compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        views = None if tta is None else build_views(tta, subject.augment)
        classifier = subject.classifier().to(self._compute.device)
        return _Part(classifier, views, bare.index(own), order)

    def answer(self, images: Sequence[torch.Tensor]) -> Array:
        """Return the probabilities (N, K) of a batch, the mean over the networks.

        Args:
            images: The N images (N, H, W, C) in each form.

        Raises:
            CnncliError: If they are not finite.
        """
        total = np.zeros((len(images[0]), len(self.class_names)))
        for part in self._parts:
            found = predict_views(part.classifier, images[part.form], self._compute, part.views)
            total += found[:, part.order]
        if not np.isfinite(total).all():
            raise CnncliError(
                "the network's probabilities are not finite: its weights are broken; train again",
                exit_code=RUNTIME_FAILURE,
            )
        return total / len(self._parts)
