"""Data sets that come as arrays of images and of labels, one pair for each split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS, Split
from cnncli.data.array_source import ArraySource, JoinedSource, fits_png
from cnncli.data.classes import sort_class_names
from cnncli.data.label_text import is_blank
from cnncli.data.samples import NO_SPLIT, Samples, select_samples, text_array
from cnncli.errors import CnncliError, count_of
from cnncli.images.header import ImageError, check_size

# Images with more channels are taken for something else.
_MOST_CHANNELS = 256


def join_parts(
    path: Path, parts: Mapping[Split | None, tuple[Array, Array]], remarks: Sequence[str] = ()
) -> Samples:
    """Return the images of all splits as one set of samples.

    The samples lie in the order that they would have as files in ``<split>/<class>/``, so that a
    run on these files is the same run. If there is but one split, splits are drawn.

    Args:
        path: Where the arrays are from, for messages.
        parts: For each split, or None for images without one: the images, (N, H, W), (N, H, W, C)
            or (N, C, H, W), and their labels, (N,) or (N, 1).
        remarks: Sentences on how the set was understood.

    Raises:
        CnncliError: If an array has another shape or type, or if images and labels do not match.
    """
    sources, names, splits, texts = [], [], [], []
    for split, (images, labels) in parts.items():
        label_texts = _label_texts(path, labels, split)
        source = ArraySource(_check_images(path, images, split))
        if len(images) != len(label_texts):
            raise CnncliError(
                f"--data {path}: {count_of(len(images), 'image')}{_of(split)} but "
                f"{count_of(len(label_texts), 'label')}; "
                "each image needs one"
            )
        sources.append(source)
        suffix = "png" if fits_png(source.images) else "npy"
        above = f"{split}/" if split and len(parts) > 1 else ""
        files = [text.replace("/", "_") for text in label_texts]
        names += [f"{above}{file}/{n:06d}.{suffix}" for n, file in enumerate(files)]
        texts += label_texts
        number = SPLITS.index(split) if split and len(parts) > 1 else NO_SPLIT
        splits += [number] * len(label_texts)
    class_names, _ = sort_class_names(sorted(set(texts)))
    position = {name: number for number, name in enumerate(class_names)}
    paths = text_array(names)
    samples = Samples(
        source=JoinedSource(sources, list(accumulate(len(source.images) for source in sources))),
        paths=paths,
        targets=np.array([position[text] for text in texts], dtype=np.int64),
        class_names=tuple(class_names),
        splits=np.array(splits, dtype=np.int8),
        remarks=tuple(remarks),
    )
    return select_samples(samples, np.argsort(paths, kind="stable"))


def check_bytes(path: Path, count: int, what: str) -> None:
    """Refuse an array that would fill the memory, before it is read.

    Args:
        path: The file that it is in, for the message.
        count: Number of bytes that its header promises.
        what: Its name, for the message.

    Raises:
        CnncliError: If it is larger than the free memory.
    """
    from cnncli.data.store import free_memory  # imports torch

    free = free_memory()
    if count > free:
        raise CnncliError(
            f"--data {path}: {what} promises {count / 1e9:.1f} GB, more than the {free / 1e9:.1f} "
            "GB of free memory; write its images as files"
        )


def _of(split: Split | None) -> str:
    return f" of {split}" if split else ""


def _check_images(path: Path, images: Array, split: Split | None) -> Array:
    """Return images as (N, H, W) or (N, H, W, C), in the machine's byte order.

    Raises:
        CnncliError: If they have another shape or type.
    """
    shape = "×".join(map(str, images.shape))
    where = f"--data {path}: the images{_of(split)}, {shape} {images.dtype},"
    if images.dtype.kind not in "buif":
        raise CnncliError(f"{where} are no numbers; whole numbers or floats are needed")
    if images.ndim == 4 and images.shape[3] > 4 >= images.shape[1]:
        images = np.moveaxis(images, 1, 3)
    is_volume = images.ndim == 4 and images.shape[3] > 4 and len(set(images.shape[1:])) == 1
    if images.ndim not in (3, 4) or is_volume:
        raise CnncliError(
            f"{where} are no pictures; the shape must be images×height×width, or with channels as "
            "the last axis"
        )
    if min(images.shape) < 1:
        raise CnncliError(f"{where} are empty; at least one image is needed")
    channels = images.shape[3] if images.ndim == 4 else 1
    if channels > _MOST_CHANNELS or (channels > 4 and channels > images.shape[1]):
        raise CnncliError(f"{where} have too many channels for pictures of their size")
    try:
        check_size(images.shape[2], images.shape[1])
    except ImageError as error:
        raise CnncliError(f"--data {path}: an image{_of(split)} {error}") from None
    return images if images.dtype.isnative else images.astype(images.dtype.newbyteorder("="))


def _label_texts(path: Path, labels: Array, split: Split | None) -> list[str]:
    """Return the label of each image as a text: whole numbers as such, texts as they are.

    Raises:
        CnncliError: If an image has several labels, or if they are neither numbers nor texts.
    """
    shape = "×".join(map(str, labels.shape))
    where = f"--data {path}: the labels{_of(split)}, {shape} {labels.dtype},"
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise CnncliError(
            f"{where} are several for each image (multi-label, or one-hot); one whole number for "
            "each is needed"
        )
    if labels.dtype.kind == "S":
        try:
            labels = np.char.decode(labels, "utf-8")
        except UnicodeDecodeError as error:  # others would become one class
            raise CnncliError(f"{where} are no text in UTF-8: {error.object!r}") from None
    if labels.dtype.kind == "U":
        texts: list[str] = labels.tolist()
        blank = [number for number, text in enumerate(texts) if is_blank(text)]
        if blank:
            raise CnncliError(
                f"{where} are empty for {len(blank)} images (the first is number {blank[0]}, from "
                "0); give them a label, or leave them out"
            )
        half = [text for text in set(texts) if re.search("[\ud800-\udfff]", text)]
        if half:
            raise CnncliError(f"{where} hold {half[0]!a}, which is no text (half a character)")
        return [text.strip() for text in texts]
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == np.rint(labels)).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "bui":
        raise CnncliError(f"{where} are no classes; whole numbers or texts are needed")
    return [str(int(label)) for label in labels.tolist()]
