"""The heat map of an image: which of its places speak for the predicted class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.errors import CnncliError
from cnncli.explain.cam import CamMethod, class_maps
from cnncli.explain.map_layer import MapLayer, find_map_layer
from cnncli.images.placement import Box, find_seen_box, place_map
from cnncli.images.preprocess import Preprocess
from cnncli.models.build import Classifier
from cnncli.models.stages import network_head
from cnncli.plots.grid import to_picture
from cnncli.plots.tiles import POSITIVE
from cnncli.run.subject import Subject

_OPACITY = 0.6  # of the colours over the picture, as `visualize grad-cam` has it


@dataclass(frozen=True)
class HeatMaps:
    """Computes the heat maps of one network.

    Attributes:
        classifier: Normalisation and network, in eval mode on its device.
        device: That device.
        layer: The layer whose output is the map.
        method: How the map is computed from it.
    """

    classifier: Classifier
    device: torch.device
    layer: MapLayer
    method: CamMethod

    def compute(self, images: Array, targets: Sequence[int]) -> Array:
        """Return maps (N, h, w), at least 0, of a class for each image of a batch (N, H, W, C)."""
        normalised = self.classifier.normalise(torch.from_numpy(images).to(self.device))
        network = self.classifier.network
        signed = class_maps(network, normalised, targets, self.layer, self.method)
        maps: Array = signed.clamp(min=0).cpu().numpy()
        return maps


def find_heat_maps(subject: Subject, device: torch.device) -> HeatMaps | None:
    """Return what computes the heat maps of a network; None if it has no map of several places.

    Args:
        subject: The network.
        device: Where it is to compute.
    """
    pre = subject.preprocess
    noise = torch.randn(
        1, pre.channels, *pre.image_size, generator=torch.Generator().manual_seed(0)
    )
    try:
        head = network_head(subject.model, subject.network)
        layer = find_map_layer(subject.network, noise.to(device), head=head)
    except CnncliError:
        return None
    method: CamMethod = "hires-cam" if layer.layout == "tokens" else "grad-cam"
    return HeatMaps(subject.classifier().to(device), device, layer, method)


def lay_over(image: Array, heat: Array, preprocess: Preprocess, covered: Box) -> Array:
    """Lay a heat map over an image in grey; what the network does not see is pale.

    Args:
        image: (H, W, C) as `draw_small` returns it.
        heat: (h, w) at least 0, over the network's input.
        preprocess: Says which part of the image the network sees.
        covered: The part of the network's input that the map's cells cover, in fractions.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = image.shape[:2]
    seen = find_seen_box(preprocess, (height, width))
    placed = place_map(heat, seen, (height, width), covered)
    grey = to_picture(image)[:, :width].mean(axis=2, keepdims=True)
    unseen = np.isnan(placed)
    shares = np.nan_to_num(placed) / (float(heat.max()) or 1.0)
    colours = np.asarray(mpl.colormaps[POSITIVE](shares, bytes=True))[..., :3]
    mixed = (1 - _OPACITY) * grey + _OPACITY * colours
    mixed[unseen] = (grey[unseen] + 2 * 255) / 3
    picture: Array = np.rint(mixed).astype(np.uint8)
    return picture
