"""Heat maps of the images that the page shows first, each with its test, within a bounded time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.errors import CnncliError
from cnncli.explain.cam import class_maps
from cnncli.explain.deletion import COPIES, PASSES, deletion_test
from cnncli.explain.map_layer import find_map_layer
from cnncli.images.header import ImageError
from cnncli.images.placement import Box, find_seen_box, place_map
from cnncli.models.head import main_logits
from cnncli.models.stages import network_head
from cnncli.page.pictures import heat_uri
from cnncli.plots.grid import to_picture
from cnncli.recipes.report.networks import FindJudging, Judging
from cnncli.reporting import Reporter
from cnncli.run.draw_sample import draw_sample

SECONDS = 10.0  # that maps and their tests may take
_SHARE_OF_MAPS = 0.4  # of that time; a begun map, or test, is finished
NOT_TESTED = "this heat map was not tested"


@dataclass(frozen=True)
class Map:
    """The heat map of an image's predicted class.

    Attributes:
        image: (1, C, H, W) the network's normalised input.
        target: Number of the predicted class.
        heat: (h, w) what of the map is above zero.
        uri: The map over the image, as a data URI.
    """

    image: torch.Tensor
    target: int
    heat: Array
    uri: str


def draw_heat(
    find_judging: FindJudging,
    samples: Samples,
    chosen: Sequence[int],
    reporter: Reporter,
    *,
    seconds: float = SECONDS,
) -> tuple[dict[int, str], dict[int, str]]:
    """Draw Grad-CAM's map of the predicted class over images, and test as many as time allows.

    Args:
        find_judging: Returns the network that has judged an image; None where there is no single
            one, and no map is drawn.
        samples: The images.
        chosen: Numbers of images, those that matter most first.
        reporter: Gets the progress, and why there are no maps.
        seconds: How long it may take.

    Returns:
        Data URIs, and what the maps' tests say, by the images' numbers.
    """
    maps: dict[int, Map] = {}
    begun = time.monotonic()
    with reporter.progress("heat maps", 2 * len(chosen)) as advance:
        for index in chosen:
            if time.monotonic() - begun >= _SHARE_OF_MAPS * seconds:
                break
            judging = find_judging(index)
            if judging is None:
                continue
            try:
                maps[index] = _draw_map(judging, samples, index)
            except CnncliError as error:
                reporter.note(f"no heat maps: {error}")
                return {}, {}
            except (ImageError, OSError):
                continue
            advance(1)
        told = {}
        for index, one in maps.items():
            judging = find_judging(index)
            assert judging is not None
            late = time.monotonic() - begun >= seconds
            late = (
                late or time.monotonic() - begun + _estimate(judging.network, one.image) > seconds
            )
            told[index] = NOT_TESTED if late else _test(judging, one)
            advance(1)
    return {index: one.uri for index, one in maps.items()}, told


def _draw_map(judging: Judging, samples: Samples, index: int) -> Map:
    network, checkpoint = judging.network, judging.checkpoint
    pixels = checkpoint.preprocess(samples.source.read(index))
    # A copy: Pillow's array may not be written to, of which torch warns.
    image = checkpoint.classifier(network).eval().normalise(torch.from_numpy(pixels[None].copy()))
    layer = judging.layer
    if layer is None:
        head = network_head(checkpoint.model, network)
        layer = judging.layer = find_map_layer(network, image, head=head)
    with torch.no_grad():
        target = int(main_logits(network(image)).argmax())
    method = "hires-cam" if layer.layout == "tokens" else "grad-cam"
    signed = class_maps(network, image, [target], layer, method)[0].numpy()  # type: ignore[arg-type]
    heat = np.maximum(signed, 0)
    picture = to_picture(draw_sample(samples, index, checkpoint.preprocess))
    size = picture.shape[:2]
    placed = place_map(heat, find_seen_box(checkpoint.preprocess, size), size, layer.covered)
    return Map(image, target, signed, heat_uri(picture, placed))


def _estimate(network: nn.Module, image: torch.Tensor) -> float:
    """Return about how many seconds a test takes, by one pass of a batch."""
    batch = image.expand(8, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    begun = time.monotonic()
    with torch.no_grad():
        network(batch)
    return (time.monotonic() - begun) * PASSES / len(batch)


def _test(judging: Judging, one: Map) -> str:
    """Return in a sentence whether a map says more than its shifted copies do."""
    if not (one.heat > 0).any():
        return "this heat map is all zero: no area made the network choose this class"
    size = one.image.shape[2], one.image.shape[3]
    classifier = judging.checkpoint.classifier(judging.network)

    def probabilities(images: torch.Tensor) -> torch.Tensor:
        return classifier.softmax(main_logits(judging.network(images)))

    assert judging.layer is not None  # it was found for the map
    heat = place_map(one.heat, Box(0, 0, *size), size, judging.layer.covered)
    test = deletion_test(probabilities, one.image[0], one.target, heat)
    copies = f"{test.beaten} of {COPIES} moved copies of itself"
    if test.is_better:
        return f"this heat map tells something: it scored higher than {copies}"
    return f"this heat map tells nothing: it scored higher than only {copies}"
