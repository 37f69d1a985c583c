"""A run's network as the content of an ONNX file, which answers as torch does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cnncli import __version__
from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.data.splits import VAL
from cnncli.engine.metadata import MOST_APART, MOST_OF_ARRAY, GoldenSample, ModelMetadata
from cnncli.errors import RUNTIME_FAILURE, CnncliError, count_of
from cnncli.export.golden import draw_pictures
from cnncli.export.graph import Way, build_graph, check_size, set_temperature, to_bytes
from cnncli.export.parity import OnnxModel, Parity, compare_networks
from cnncli.models.registry import short_name
from cnncli.reporting import Reporter
from cnncli.run.decision import Decision, find_decision_file, load_decision
from cnncli.run.split_images import SplitImage, SplitImages, find_split_images
from cnncli.run.subject import Subject
from cnncli.training.checkpoint import load_checkpoint

# The most val images that are compared.
_MOST_IMAGES = 500
# Bytes of golden samples that hold images of the run.
_MOST_OF_GOLDEN = 2**25


@dataclass(frozen=True)
class RunNetwork:
    """A run's network on the CPU, and what its file is to say.

    Attributes:
        subject: The network with its decision.
        digest: The digest of its checkpoint.
        classifier: Normalisation, network and softmax.
    """

    subject: Subject
    digest: str
    classifier: torch.nn.Module

    def answer(self, images: Array) -> Array:
        """Return the probabilities (N, K) of images (N, H, W, C), after the temperature."""
        with torch.inference_mode():
            found = self.classifier(torch.from_numpy(images)).double().numpy()
        decision = self.subject.decision
        return np.asarray(found if decision is None else decision.adjust(found))

    def label(self, probabilities: Array) -> Array:
        """Return the class numbers (N,) by probabilities (N, K) after the temperature."""
        decision = self.subject.decision
        return np.asarray(
            probabilities.argmax(axis=1) if decision is None else decision.label(probabilities)
        )


def load_run_network(path: Path, reporter: Reporter) -> RunNetwork:
    network, checkpoint = load_checkpoint(path)
    names = checkpoint.class_names
    subject = Subject(
        model=checkpoint.model,
        network=network,
        preprocess=checkpoint.preprocess,
        class_names=names,
        checkpoint=path,
        is_trained=True,
        decision=load_decision(path, checkpoint.digest, names, reporter),
        temperature=checkpoint.temperature,
    )
    return RunNetwork(subject, checkpoint.digest, subject.classifier())


def find_val_images(
    subject: Subject, reporter: Reporter, samples: Samples | None = None
) -> SplitImages | None:
    """Return the run's val images; None, with a warning, if none is there or can be read.

    Args:
        subject: The run's network.
        reporter: Gets the warning.
        samples: The run's images, if they are at hand.
    """
    assert subject.checkpoint is not None
    names, preprocess = subject.class_names, subject.preprocess
    told = "compared on drawn pictures, and not on the run's val images"
    try:
        images = find_split_images(subject.checkpoint, names, preprocess, VAL, samples)
    except CnncliError as error:
        reporter.warn(f"{told}: {error}")
        return None
    if next(images.read(_MOST_IMAGES), None) is None:
        reporter.warn(f"{told}: none of {count_of(len(images), 'image')} can be read")
        return None
    return images


def make_onnx(
    network: RunNetwork,
    images: SplitImages | None,
    chosen: list[SplitImage],
    reporter: Reporter,
    *,
    seconds: float,
    is_hurried: bool = False,
) -> tuple[bytes, Parity]:
    """Return the content of the file, and how it compares with torch.

    The slow exporter is used where the quick one cannot write the network, or where what it has
    written answers otherwise.

    Args:
        network: The network.
        images: Val images to compare it on; None for the drawn pictures alone.
        chosen: Val images that become its golden samples; empty for drawn pictures.
        reporter: Is told if the slow exporter is used.
        seconds: So long images are compared.
        is_hurried: Whether there is no time for the slow exporter.

    Raises:
        CnncliError: If torch cannot write the network, or what it has written answers otherwise.
    """
    subject = network.subject
    name, preprocess = short_name(subject.model), subject.preprocess
    check_size(network.classifier, name)  # the slower exporter would not help
    drawn = [(files, preprocess(files)) for files in draw_pictures(preprocess)]
    decision = subject.decision
    pairs = [(image.files, image.array) for image in chosen] or drawn
    metadata = ModelMetadata(
        class_names=subject.class_names,
        preprocess=preprocess,
        weights_digest=network.digest,
        decision=_read_decision(subject.checkpoint, decision),
        golden=_answer_golden(network, pairs),
        golden_source="val" if chosen else "seed",
        model=subject.model,
        version=__version__,
    )

    def make(way: Way) -> tuple[bytes, Parity]:
        model = build_graph(network.classifier, drawn[0][1], name, way)
        set_temperature(model, None if decision is None else decision.temperature)
        data = to_bytes(model, metadata.to_props())
        del model
        runner = OnnxModel(data, torch.get_num_threads())
        return data, compare_with_torch(network, runner, images, seconds=seconds)

    try:
        return make("trace")
    except CnncliError:
        if is_hurried:
            raise
        reporter.note(f"{name} needs torch's slower exporter, which may take half a minute")
        return make("capture")


def compare_with_torch(
    network: RunNetwork,
    model: Callable[[Array], Array],
    images: SplitImages | None,
    *,
    seconds: float,
) -> Parity:
    """Return how an exported network compares with torch.

    Args:
        network: The network.
        model: The exported network: takes (N, H, W, C), returns probabilities (N, K).
        images: Val images to compare it on; None for drawn pictures alone.
        seconds: So long images are compared.

    Raises:
        CnncliError: If the exported network answers otherwise.
    """
    subject = network.subject
    name, preprocess = short_name(subject.model), subject.preprocess
    drawn = [preprocess(files) for files in draw_pictures(preprocess)]
    parity = compare_networks(network.answer, model, _list_arrays(images, drawn), seconds=seconds)
    if not parity.is_kept:
        raise CnncliError(
            f"{name}: the exported network does not answer as torch does ({parity.describe()}, on "
            f"{count_of(parity.images, 'image')}; at most {MOST_APART['float32']:g} is allowed): "
            "not written",
            exit_code=RUNTIME_FAILURE,
        )
    return parity


def _list_arrays(images: SplitImages | None, drawn: list[Array]) -> Iterator[Array]:
    """Yield what is compared: val images, or else the drawn pictures, often enough for batches."""
    found = 0
    for image in images.read(_MOST_IMAGES) if images is not None else ():
        found += 1
        yield image.array
    if not found:
        for number in range(10):
            yield np.roll(drawn[number % len(drawn)], number, axis=1)


def _answer_golden(
    network: RunNetwork, pairs: list[tuple[tuple[bytes, ...], Array]]
) -> tuple[GoldenSample, ...]:
    """Return golden samples of files and the arrays that they give; none of very large arrays."""
    if pairs[0][1].nbytes > MOST_OF_ARRAY:
        return ()
    size = sum(len(data) for files, _ in pairs for data in files)
    if size > _MOST_OF_GOLDEN:
        raise CnncliError(
            f"--golden-from-val: the files of {len(pairs)} val images have {size / 2**20:.0f} MiB; "
            f"at most {_MOST_OF_GOLDEN / 2**20:.0f} MiB are put into a file; leave it out"
        )
    answers = network.answer(np.stack([array for _, array in pairs]))
    return tuple(
        GoldenSample(files, array, answer)
        for (files, array), answer in zip(pairs, answers, strict=True)
    )


def _read_decision(checkpoint: Path | None, decision: Decision | None) -> dict[str, object] | None:
    """Return what the decision's file holds; it was read and checked before."""
    file = None if checkpoint is None or decision is None else find_decision_file(checkpoint)
    if file is None:
        return None
    content: dict[str, object] = json.loads(file.read_text("utf-8"))
    return content
