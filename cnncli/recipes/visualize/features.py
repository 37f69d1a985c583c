"""The features of images, for the pictures that show images as points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.data.samples import Samples, select_samples
from cnncli.data.store import ImageStore, map_in_threads
from cnncli.errors import CnncliError
from cnncli.explain.embedding import compute_features
from cnncli.explain.layers import find_layer
from cnncli.explain.units import Grid, find_grid
from cnncli.images.header import ImageError
from cnncli.models.head import main_logits
from cnncli.models.stages import network_head
from cnncli.models.tracing.trace import trace_network
from cnncli.recipes.visualize.settings import VisualizeSettings
from cnncli.reporting import Reporter
from cnncli.run.subject import Subject
from cnncli.training.cores import count_cpus

_MOST = 2000  # images
_BATCH = 32


@dataclass(frozen=True)
class Extractor:
    """Computes the features of images.

    Attributes:
        subject: The network.
        head: Path of its last layer.
        layer: The layer whose output is taken; None takes the input of the head.
        grid: Where the channels of ``layer`` lie.
    """

    subject: Subject
    head: str
    layer: str | None
    grid: Grid | None

    def __call__(self, pixels: Array) -> tuple[Array, Array]:
        """Return features (N, D) and predictions (N,) of images (N, h, w, C)."""
        images = self.subject.classifier().normalise(torch.from_numpy(pixels))
        features, output = compute_features(
            self.subject.network, images, self.head, self.layer, self.grid
        )
        return features, main_logits(output).argmax(dim=1).numpy()


@dataclass(frozen=True)
class Features:
    """What was computed of the images that could be read.

    Attributes:
        samples: N images.
        values: (N, D) features.
        predictions: (N,) indices into the network's classes.
    """

    samples: Samples
    values: Array
    predictions: Array


def build_extractor(subject: Subject, layer: str | None) -> Extractor:
    """Return what computes the features: those before the head, or the output of a layer.

    Raises:
        CnncliError: If there is no such layer, or its output does not depend on the image.
    """
    head = network_head(subject.model, subject.network)
    if layer is None:
        return Extractor(subject, head, None, None)
    find_layer(subject.network, layer)
    pre = subject.preprocess
    record = trace_network(subject.network, pre.image_size, pre.channels)[layer]
    if record.field is None or record.output_shape is None:
        raise CnncliError(f"--layer {layer}: has no output that depends on the image")
    return Extractor(subject, head, layer, find_grid(record.field, record.output_shape))


def bound_samples(samples: Samples, settings: VisualizeSettings, reporter: Reporter) -> Samples:
    """Return a random part of the samples that is not too large, in their order."""
    most = settings.count or _MOST
    if len(samples) <= most:
        return samples
    reporter.note(f"{most} of {len(samples)} images, drawn at random; --images N takes others")
    drawn = np.random.default_rng(settings.seed).permutation(len(samples))[:most]
    return select_samples(samples, np.sort(drawn))


def compute_all(extract: Extractor, samples: Samples, reporter: Reporter) -> Features:
    """Return the features of the images that can be read.

    Raises:
        CnncliError: If none can be read.
    """
    store = ImageStore(samples.source, extract.subject.preprocess)

    def read(index: int) -> Array | str:
        try:
            return store[index]
        except (ImageError, OSError) as error:
            return str(error)

    batch: list[Array] = []
    features, predictions, kept = [], [], []

    def flush() -> None:
        values, answers = extract(np.stack(batch))
        features.append(values)
        predictions.append(answers)
        batch.clear()

    with reporter.progress("features", len(samples)) as advance:
        for index, image in enumerate(map_in_threads(read, range(len(samples)), count_cpus())):
            if isinstance(image, str):
                reporter.warn(f"{samples.paths[index]}: {image}; left out")
            else:
                batch.append(image)
                kept.append(index)
            if len(batch) == _BATCH:
                flush()
            advance(1)
    if batch:
        flush()
    if not kept:
        raise CnncliError("--data: none of its images can be read; cnncli check-data names them")
    left = samples if len(kept) == len(samples) else select_samples(samples, np.array(kept))
    return Features(left, np.concatenate(features), np.concatenate(predictions))
