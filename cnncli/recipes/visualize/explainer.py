"""Explain images one by one: the map of a class, and its tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.choices.spelling import find_choice
from cnncli.errors import CnncliError, did_you_mean, shorten
from cnncli.explain.cam import CamMethod, class_maps, correlate_ranks, shuffled_head
from cnncli.explain.deletion import NEEDED, PASSES, DeletionTest, deletion_test
from cnncli.explain.map_layer import MapLayer, find_map_layer
from cnncli.explain.occlusion import occlusion_map
from cnncli.images.placement import WHOLE, Box, place_map
from cnncli.models.head import main_logits
from cnncli.models.stages import network_head
from cnncli.recipes.visualize.photos import Photo, as_batch
from cnncli.recipes.visualize.settings import VisualizeSettings
from cnncli.reporting import Advance
from cnncli.run.subject import Subject

CAMS: tuple[CamMethod, ...] = ("grad-cam", "grad-cam++", "hires-cam")
OCCLUSION = "occlusion"
METHODS = (*CAMS, OCCLUSION)
_SHUFFLES = 10  # of the head; one for occlusion, where a map costs 197 passes


@dataclass(frozen=True)
class Explained:
    """One image, the class that was explained and its heat map.

    Attributes:
        photo: The image.
        predicted: Index of the predicted class, and its probability.
        explained: Index of the class that the map is of, and its probability.
        signed: (h, w) the map in its own resolution, before what is below zero is cut off.
        covered: The part of the network's input that the map's cells cover, in fractions.
        test: The deletion test; None for a map without anything above zero.
        correlations: Rank correlation with the map of each shuffled head; without those of maps
            that are constant, for which there is none.
    """

    photo: Photo
    predicted: tuple[int, float]
    explained: tuple[int, float]
    signed: Array
    covered: Box
    test: DeletionTest | None
    correlations: tuple[float, ...]

    @property
    def correlation(self) -> float | None:
        """The mean of the correlations; None if there are none."""
        return float(np.mean(self.correlations)) if self.correlations else None

    @property
    def heat(self) -> Array:
        """(h, w) what of the map is above zero."""
        return np.maximum(self.signed, 0)

    @property
    def verdict(self) -> str:
        """What the deletion test says, in a few words."""
        if self.test is None:
            return "all zero"
        return "better than random" if self.test.is_better else "no better than random"

    def says(self) -> str:
        """Return the verdict in a sentence."""
        test = self.test
        if test is None:
            return "all zero: nothing in this map speaks for the class"
        count = len(test.shifted)
        return (
            f"{self.verdict}: deletion area {test.area:.3f}, smaller than that of {test.beaten} of "
            f"{count} shifted copies ({int(np.ceil(NEEDED * count))} are needed)"
        )

    def says_shuffled(self) -> str:
        """Return in a sentence how like the map is to those of a shuffled head."""
        if self.correlation is None:
            return "with the head's weights shuffled no map is left to compare with"
        return (
            f"with the head's weights shuffled: rank correlation {self.correlation:.2f} with this "
            "map (near 1: it is not of the class)"
        )


class Explainer:
    """What is needed to explain images: the network, the method and the layer.

    Args:
        subject: The network.
        settings: Names the method, the class and the layer.
    """

    def __init__(self, subject: Subject, settings: VisualizeSettings) -> None:
        given = settings.method
        self.method = given and (find_choice(given, METHODS) or given)
        if self.method not in (None, *METHODS):
            raise CnncliError(
                f"--method {self.method}: no method; there are {', '.join(METHODS)}"
                f"{did_you_mean(str(self.method), METHODS)}"
            )
        if self.method == OCCLUSION and settings.layer is not None:
            raise CnncliError("--layer: occlusion looks at no layer; leave it out")
        self.class_index = find_class(subject.class_names, settings.class_name)
        self.network, self.classifier = subject.network, subject.classifier()
        self.head = network_head(subject.model, subject.network)
        self.seed, self.layer_name = settings.seed, settings.layer
        self.layer: MapLayer | None = None

    def explain(self, photo: Photo, advance: Advance) -> Explained:
        """Draw up the map of one image, and test it.

        Args:
            photo: The image.
            advance: Is called with the number of passes, `PASSES` in all.

        Raises:
            CnncliError: If the network's output is not finite, or it has no map.
        """
        image = self.normalise(photo)
        with torch.no_grad():
            probabilities = self.probabilities(image)[0]
        if not bool(probabilities.isfinite().all()):
            raise CnncliError(f"{photo.name}: the network's output is not finite; nothing to show")
        predicted = int(probabilities.argmax())
        target = predicted if self.class_index is None else self.class_index
        signed = self.compute_map(image, target)
        is_empty = not (signed > 0).any()
        if is_empty:
            advance(PASSES)
        return Explained(
            photo=photo,
            predicted=(predicted, float(probabilities[predicted])),
            explained=(target, float(probabilities[target])),
            signed=signed,
            covered=self.covered,
            test=None if is_empty else self.test_map(image, target, signed, advance),
            correlations=() if is_empty else self._shuffle(image, target, signed),
        )

    @property
    def covered(self) -> Box:
        """The part of the network's input that the cells of a map cover, in fractions."""
        return self.layer.covered if self.layer else WHOLE

    def normalise(self, photo: Photo) -> torch.Tensor:
        """Return an image as the network gets it, (1, C, H, W)."""
        return self.classifier.normalise(as_batch([photo]))

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, K) for normalised images (N, C, H, W)."""
        return self.classifier.softmax(main_logits(self.network(images)))

    def compute_map(self, image: torch.Tensor, target: int) -> Array:
        """Return the map (h, w) of a class for a normalised image (1, C, H, W), with sign."""
        if self.method == OCCLUSION:
            return occlusion_map(self.probabilities, image[0], target)
        if self.layer is None:
            self.layer = find_map_layer(self.network, image, head=self.head, name=self.layer_name)
        if self.method is None:
            self.method = "hires-cam" if self.layer.layout == "tokens" else "grad-cam"
        (method,) = [known for known in CAMS if known == self.method]
        maps: Array = class_maps(self.network, image, [target], self.layer, method)[0].numpy()
        return maps

    def test_map(
        self, image: torch.Tensor, target: int, signed: Array, advance: Advance
    ) -> DeletionTest:
        """Compare a map of a class with shifted copies of it, on this network."""
        size = (image.shape[2], image.shape[3])
        heat = place_map(signed, Box(0, 0, *size), size, self.covered)
        return deletion_test(
            self.probabilities, image[0], target, heat, seed=self.seed, advance=advance
        )

    def _shuffle(self, image: torch.Tensor, target: int, signed: Array) -> tuple[float, ...]:
        """Return the rank correlations with the maps of shuffled heads."""
        found = []
        for number in range(1 if self.method == OCCLUSION else _SHUFFLES):
            with shuffled_head(self.network, self.head, self.seed + number):
                found.append(correlate_ranks(signed, self.compute_map(image, target)))
        return tuple(value for value in found if value is not None)


def find_class(class_names: Sequence[str], name: str | None) -> int | None:
    """Return the index of a class by its name, or by its number from 0; None for no name.

    Raises:
        CnncliError: If no class, or several, have this name.
    """
    if name is None:
        return None
    places = [index for index, known in enumerate(class_names) if known == name]
    if len(places) == 1:
        return places[0]
    if places:
        numbers = " or ".join(map(str, places))
        raise CnncliError(
            f"--class {name}: {len(places)} classes have this name; write its number, {numbers}"
        )
    if name.isdecimal() and int(name) < len(class_names):
        return int(name)
    told = did_you_mean(name, class_names) or f"; there are {shorten(class_names)}"
    raise CnncliError(f"--class {name}: no such class{told}")
