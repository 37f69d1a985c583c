"""What one epoch trains and validates: a network on images, or its head on kept features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from cnncli.data.loader import Loader
from cnncli.data.store import Bad
from cnncli.models.build import Classifier
from cnncli.training.feature_head import HeadClassifier
from cnncli.training.features import FeatureLoader


@dataclass(frozen=True)
class EpochInputs:
    """The classifier that an epoch trains and the batches it runs on.

    Either the whole network with batches of images, or, where the backbone is frozen, the head
    alone with batches of the features that the backbone gives.

    Attributes:
        classifier: The module that is trained.
        train: Batches of the training split.
        val: Batches of the validation split, by which the best epoch is chosen.
        train_mode: Puts the network in train mode, except for what is frozen.
        build_evaluated: Takes a network with the weights to evaluate (the trained ones or their
            moving average) and returns the classifier that maps ``val``'s batches to
            probabilities.
        image_loaders: The loaders that read image files; of features, those that read the images
            the features were computed from.
    """

    classifier: Classifier | HeadClassifier
    train: Loader | FeatureLoader
    val: Loader | FeatureLoader
    train_mode: Callable[[], object]
    build_evaluated: Callable[[nn.Module], Classifier | HeadClassifier]
    image_loaders: tuple[Loader, ...]

    @property
    def unreadable(self) -> Bad:
        """The images that this process could not read so far: their number, and why."""
        return {index: why for loader in self.image_loaders for index, why in loader.bad.items()}

    def leave_out(self, found: Bad) -> None:
        """Leave images out of all later epochs, even if they can be read again.

        Args:
            found: Their numbers, and why they are left out.
        """
        for loader in self.image_loaders:
            loader.leave_out(found)

    def close(self) -> None:
        """End the processes of all image loaders."""
        for loader in self.image_loaders:
            loader.close()
