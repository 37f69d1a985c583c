"""The heat map of an image: which of its places speak for the predicted class."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import matplotlib as mpl
import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.errors import CnncliError
from cnncli.explain.cam import CamMethod, class_maps
from cnncli.explain.map_layer import MapLayer, find_map_layer
from cnncli.images.header import ImageError
from cnncli.images.placement import find_seen_box, place_map
from cnncli.images.preprocess import Preprocess
from cnncli.images.resize import resize
from cnncli.models.build import Classifier
from cnncli.models.stages import network_head
from cnncli.plots.grid import to_picture
from cnncli.plots.tiles import POSITIVE
from cnncli.run.draw_sample import draw_file
from cnncli.run.subject import Subject

_SIDE = 640  # pixels of the longer side of a picture in an answer
_OPACITY = 0.6  # of the colours over the picture, as `visualize grad-cam` has it
_QUALITY, _LOSSLESS = 85, 101  # of WebP, as OpenCV numbers it
_SMALL = 100  # pixels; a smaller picture is shown pixel by pixel


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

    def compute(self, images: torch.Tensor, targets: Sequence[int]) -> Array:
        """Return maps (N, h, w), at least 0, of a class for each image of a batch (N, H, W, C)."""
        normalised = self.classifier.normalise(images.to(self.device))
        network = self.classifier.network
        signed = class_maps(network, normalised, targets, self.layer, self.method)
        maps: Array = signed.clamp(min=0).cpu().numpy()
        return maps


def find_heat_maps(subject: Subject, device: torch.device) -> HeatMaps | None:
    """Return what computes the heat maps of a network; None if it has no map of several places.

    Args:
        subject: The network, still on the CPU.
        device: Where it is to compute.
    """
    pre = subject.preprocess
    noise = torch.randn(
        1, pre.channels, *pre.image_size, generator=torch.Generator().manual_seed(0)
    )
    try:
        head = network_head(subject.model, subject.network)
        layer = find_map_layer(subject.network, noise, head=head)
    except CnncliError:
        return None
    method: CamMethod = "hires-cam" if layer.layout == "tokens" else "grad-cam"
    return HeatMaps(subject.classifier().to(device), device, layer, method)


def draw_small(files: Sequence[bytes], pixels: Array, preprocess: Preprocess) -> Array:
    """Return an image as a person sees it, at most `_SIDE` pixels long.

    Args:
        files: The files of the sample.
        pixels: What the network gets, which is drawn where the sample is not one picture.
        preprocess: How the network gets its images.

    Returns:
        (H, W, C), uint8, or float32 from 0 to 1.
    """
    image = pixels
    if len(files) == 1:
        try:
            image = draw_file(files[0], preprocess)
        except ImageError:  # the network's input is there, and can be shown
            image = pixels
    height, width = image.shape[:2]
    scale = _SIDE / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = resize(image, size, mode="squash", interpolation="area", resize_size=None)
    return small if small.dtype == np.uint8 else np.clip(small, 0, 1)


def to_data_uri(picture: Array) -> str:
    """Return a picture (H, W, 3) of uint8 as the text of a WebP image in a web page."""
    quality = _QUALITY if max(picture.shape[:2]) > _SMALL else _LOSSLESS
    encoded = cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])[1]
    return "data:image/webp;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def lay_over(image: Array, heat: Array, preprocess: Preprocess) -> Array:
    """Lay a heat map over an image in grey; what the network does not see is pale.

    Args:
        image: (H, W, C) as `draw_small` returns it.
        heat: (h, w) at least 0, over the network's input.
        preprocess: Says which part of the image the network sees.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = image.shape[:2]
    placed = place_map(heat, find_seen_box(preprocess, (height, width)), (height, width))
    grey = to_picture(image)[:, :width].mean(axis=2, keepdims=True)
    unseen = np.isnan(placed)
    shares = np.nan_to_num(placed) / (float(heat.max()) or 1.0)
    colours = np.asarray(mpl.colormaps[POSITIVE](shares, bytes=True))[..., :3]
    mixed = (1 - _OPACITY) * grey + _OPACITY * colours
    mixed[unseen] = (grey[unseen] + 2 * 255) / 3
    picture: Array = np.rint(mixed).astype(np.uint8)
    return picture
