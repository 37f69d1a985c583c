"""A run's exported network in 8 bits, judged on val images before it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.data.splits import TRAIN
from cnncli.engine.metadata import ModelMetadata
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.export.graph import set_temperature, to_bytes
from cnncli.export.parity import OnnxModel
from cnncli.export.quantise import MOST_CHANGED, MOST_LOST, Judgement, judge_labels, quantise
from cnncli.models.registry import short_name
from cnncli.run.split_images import SplitImage, SplitImages, find_split_images
from cnncli.run.write_onnx import RunNetwork

# Train images by which the ranges are chosen, and val images that are judged, at most.
_CALIBRATED, _JUDGED = 200, 2_000
_BATCH = 16


def make_int8(network: RunNetwork, data: bytes, val: SplitImages) -> tuple[bytes, Judgement]:
    """Return the content of the 8-bit file, and what becomes of the labels of val images.

    Args:
        network: The run's network.
        data: The content of its float32 file.
        val: The run's val images.

    Raises:
        CnncliError: If the quantiser fails, no train or no val image of the run can be read, or the
            labels or the accuracy change by more than is allowed.
    """
    import onnx

    subject = network.subject
    model = onnx.load_from_string(data)
    props = {one.key: one.value for one in model.metadata_props}
    metadata = ModelMetadata.from_props(props)
    assert subject.checkpoint is not None
    train = find_split_images(
        subject.checkpoint, subject.class_names, subject.preprocess, TRAIN, val.samples
    )
    temperature = None if subject.decision is None else subject.decision.temperature
    set_temperature(model, None)
    arrays = (image.array for image in train.read(_CALIBRATED))
    first = next(arrays, None)
    if first is None:
        raise CnncliError("--int8: needs the run's train images, and none can be read")
    model = quantise(model, chain([first], arrays))
    set_temperature(model, temperature)
    small = OnnxModel(to_bytes(model, {}), torch.get_num_threads())
    golden = [
        replace(sample, probabilities=small(sample.array[None])[0].astype(np.float64))
        for sample in metadata.golden
    ]
    metadata = replace(metadata, precision="int8", golden=tuple(golden))
    judgement = _judge(network, data, small, val)
    if not judgement.is_kept:
        raise CnncliError(
            f"--int8: {short_name(subject.model)} does not keep its answers in 8 bits "
            f"({judgement.describe()}; at most {MOST_CHANGED:.0%} of the labels and "
            f"{MOST_LOST * 100:g} points of accuracy may change): not written",
            exit_code=RUNTIME_FAILURE,
        )
    return to_bytes(model, metadata.to_props()), judgement


def _judge(network: RunNetwork, data: bytes, small: OnnxModel, val: SplitImages) -> Judgement:
    whole = OnnxModel(data, torch.get_num_threads())
    targets: list[int] = []
    before: list[Array] = []
    after: list[Array] = []
    for batch in _batches(val):
        images = np.stack([image.array for image in batch])
        targets += [image.target for image in batch]
        before.append(network.label(whole(images)))
        after.append(network.label(small(images)))
    if not targets:
        raise CnncliError("--int8: needs the run's val images, and none can be read")
    return judge_labels(np.array(targets), np.concatenate(before), np.concatenate(after))


def _batches(val: SplitImages) -> Iterator[list[SplitImage]]:
    batch: list[SplitImage] = []
    for image in val.read(_JUDGED):
        batch.append(image)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
