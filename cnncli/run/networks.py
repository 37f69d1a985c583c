"""One or several trained networks whose probabilities are averaged, each with its own input.

Light: which engine a network computes with is its own affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import Engine, Precision
from cnncli.errors import RUNTIME_FAILURE, CnncliError, count_of
from cnncli.images.preprocess import Preprocess
from cnncli.run.decision import Decision
from cnncli.run.members import align_classes

if TYPE_CHECKING:
    from cnncli.augmentation.notation import Tta


@dataclass(frozen=True)
class EngineSettings:
    """With what to compute.

    Attributes:
        engine: ``auto`` takes ``onnx`` where it gives the same answers, else ``torch``.
        device: The device as torch names it, or ``auto``.
        precision: The precision to compute in; None for exact float32.
        tta: Views of each image, over which the probabilities are averaged; None for the image
            alone.
        raw: Whether the decision that is stored beside a run's weights is left out.
    """

    engine: Engine = "auto"
    device: str = "auto"
    precision: Precision | None = None
    tta: Tta | None = None
    raw: bool = False


class Network(Protocol):
    """A trained network that is ready to answer."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of its K classes, in the order of the probabilities."""

    @property
    def preprocess(self) -> Preprocess:
        """Turns the content of an image file into its input."""

    @property
    def checkpoint(self) -> Path | None:
        """The file that it was read from; None for a network of the registry."""

    @property
    def digest(self) -> str:
        """The digest of its weights and of what belongs to them; it may take a moment."""

    @property
    def precision(self) -> str:
        """The precision that it is computed in."""

    @property
    def model(self) -> str:
        """Its name in the registry."""

    @property
    def engine(self) -> str:
        """What computes it, as ``--engine`` names it."""

    def answer(self, images: Array) -> Array:
        """Return the probabilities (N, K) in float64 of a batch (N, H, W, C)."""


@dataclass(frozen=True)
class Loaded:
    """The networks that answer, and what is done with their answers.

    Attributes:
        networks: The networks; mostly one.
        decision: What a run's decision.json says; None for nothing.
        is_tempered: Whether the probabilities have the decision's temperature already.
    """

    networks: Sequence[Network]
    decision: Decision | None
    is_tempered: bool = False

    def rest_of(self, decision: Decision) -> Decision:
        """Return what of a decision is still to be done with the answers."""
        return replace(decision, temperature=None) if self.is_tempered else decision


class Ensemble:
    """Networks that know the same classes.

    Attributes:
        networks: The networks.
        class_names: The K classes in the order of the first network.
        forms: The forms in which the networks take images, that of the first network first. Mean
            and deviation do not count: each network normalises.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        """Find out in which forms the networks take images.

        Args:
            networks: The networks.

        Raises:
            CnncliError: If they do not know the same classes, or take other files per image.
        """
        self.networks = networks
        self.class_names = networks[0].class_names
        self.forms: list[Preprocess] = []
        self._parts = [(network, *self._fit(network)) for network in networks]

    def _fit(self, network: Network) -> tuple[int, Array]:
        """Return the number of a network's form, and (K,) the places of the classes in its own."""
        where = f"--checkpoint {network.checkpoint}"
        order = align_classes(self.class_names, network.class_names, where)
        bare = [replace(form, mean=(), std=()) for form in self.forms]
        own = replace(network.preprocess, mean=(), std=())
        if own not in bare:
            if self.forms and self.forms[0].count_files != own.count_files:
                raise CnncliError(
                    f"{where}: takes {count_of(own.count_files, 'file')} per image, and the first "
                    f"checkpoint {self.forms[0].count_files}"
                )
            self.forms.append(network.preprocess)
            bare.append(own)
        return bare.index(own), order

    def answer(self, images: Sequence[Array]) -> Array:
        """Return the probabilities (N, K) of a batch, the mean over the networks.

        Args:
            images: The N images (N, H, W, C) in each form.

        Raises:
            CnncliError: If they are not finite.
        """
        total = np.zeros((len(images[0]), len(self.class_names)))
        for network, form, order in self._parts:
            total += network.answer(images[form])[:, order]
        if not np.isfinite(total).all():
            raise CnncliError(
                "the network's probabilities are not finite: its weights are broken; train again",
                exit_code=RUNTIME_FAILURE,
            )
        return total / len(self._parts)
