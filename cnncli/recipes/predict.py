"""Predict: images in, one row each out, in order and as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import TextIO

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.augmentation.notation import Tta
from cnncli.choices import Precision
from cnncli.data.inputs import expand_inputs, group_files, take_shard
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter
from cnncli.run.report import report_precision
from cnncli.training.checkpoint import find_checkpoint, load_checkpoint
from cnncli.training.device import choose_evaluation_compute, count_cpus, keep_freed_memory
from cnncli.training.distributed import ALONE, World
from cnncli.training.predictions import predict_views
from cnncli.training.views import build_views

Row = dict[str, object]
# An image, or why there is none.
Loaded = tuple[str, "Array | str"]


@dataclass(frozen=True)
class PredictSettings:
    """How to predict.

    Attributes:
        checkpoint: A run folder or a file; None for the newest run.
        top_k: Classes per row, the likeliest first.
        probabilities: Whether rows hold every class's probability too.
        nested: Whether those stand together by class (JSON), or each in a column (CSV).
        batch_size: Images per forward pass, at most.
        device: As torch names it, or ``auto``.
        precision: None computes in float32, on every machine alike.
        tta: Views whose probabilities are averaged; None looks at the image alone.
        shard: Of the inputs, the I-th of every N, as ``(I, N)``.
    """

    checkpoint: str | None = None
    top_k: int = 1
    probabilities: bool = False
    nested: bool = False
    batch_size: int = 32
    device: str = "auto"
    precision: Precision | None = None
    tta: Tta | None = None
    shard: tuple[int, int] = (1, 1)


class Predictor:
    """A checkpoint ready to answer."""

    def __init__(self, settings: PredictSettings, reporter: Reporter, world: World = ALONE) -> None:
        path, newest = find_checkpoint(settings.checkpoint)
        if newest:
            reporter.note(f"checkpoint: {path} (the newest run)")
        self.settings = settings
        self.compute = choose_evaluation_compute(settings.device, settings.precision, world)
        report_precision(self.compute.precision, settings.precision, reporter)
        keep_freed_memory()
        network, checkpoint = load_checkpoint(path)
        network.to(self.compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classifier = checkpoint.classifier(network).to(self.compute.device).eval()
        tta = settings.tta
        self.views = None if tta is None else build_views(tta, checkpoint.augment)
        self.class_names = checkpoint.class_names
        self.preprocess = checkpoint.preprocess
        self.top_k = min(settings.top_k, len(self.class_names))
        places = {str(place) for place in range(2, self.top_k + 1)}
        clash = sorted(places & set(self.class_names)) if settings.probabilities else []
        if clash and not settings.nested:
            raise CnncliError(
                f"--top-k {settings.top_k} with --probabilities: column probability_{clash[0]} "
                f"would be both place {clash[0]} and class {clash[0]!r}; use --format jsonl, "
                "which keeps them apart"
            )

    @property
    def columns(self) -> list[str]:
        """The CSV's header."""
        names = ["path", "label", "probability"]
        for place in range(2, self.top_k + 1):
            names += [f"label_{place}", f"probability_{place}"]
        if self.settings.probabilities and not self.settings.nested:
            names += [f"probability_{name}" for name in self.class_names]
        return [*names, "error"]

    def predict(self, inputs: Sequence[str], stdin: TextIO) -> Iterator[Row]:
        """Yield each image's row with all its columns; ``error`` is empty where it was read.

        Memory stays flat over any number of images. Of several processes each looks at its share;
        rank 0 yields the rows of all, in the order of the inputs, and the others none.

        Raises:
            CnncliError: If an input names nothing at all, or stdin is to be read by several
                processes.
        """
        world = self.compute.world
        if world.size > 1 and "-" in inputs:
            raise CnncliError(
                "predict -: torchrun's processes have one stdin between them; name folders or "
                "globs, or give each process its part of the list: cnncli predict --shard I/N"
            )
        files = group_files(expand_inputs(inputs, stdin), self.preprocess.count_files)
        files = take_shard(files, self.settings.shard)
        if world.size == 1:
            yield from self._predict(files)
            return
        rows = self._predict(take_shard(files, (world.rank + 1, world.size)))
        count = self.settings.batch_size
        is_over = False
        while not is_over:  # by turns, as the shares were dealt
            shares = world.gather(list(islice(rows, count)))
            is_over = len(shares[0]) < count  # no other has more
            if world.is_first:
                yield from (row for turn in zip_longest(*shares) for row in turn if row)

    def _predict(self, files: Iterator[tuple[str, ...]]) -> Iterator[Row]:
        for batch in _batches(files, self.preprocess, self.settings.batch_size):
            images = [image for _, image in batch if not isinstance(image, str)]
            answers: Iterator[Array] = iter(())
            if images:
                stacked = torch.from_numpy(np.stack(images))
                answers = iter(self._answer(stacked))
            for path, image in batch:
                if isinstance(image, str):
                    yield {**dict.fromkeys(self._keys), "path": path, "error": image}
                else:
                    yield self._row(path, next(answers))

    @property
    def _keys(self) -> list[str]:
        """A row's keys: the columns, and in JSON the probabilities by class."""
        if self.settings.probabilities and self.settings.nested:
            return [*self.columns[:-1], "probabilities", "error"]
        return self.columns

    def _answer(self, images: torch.Tensor) -> Array:
        """Return probabilities (N, K) of a batch (N, H, W, C), all of them finite."""
        probabilities = predict_views(self.classifier, images, self.compute, self.views)
        if not np.isfinite(probabilities).all():
            raise CnncliError(
                "the network's probabilities are not finite: its weights are broken; train again",
                exit_code=RUNTIME_FAILURE,
            )
        return probabilities

    def _row(self, path: str, probabilities: Array) -> Row:
        row: Row = {"path": path}
        order = np.argsort(-probabilities, kind="stable")[: self.top_k]
        for place, target in enumerate(order, start=1):
            suffix = "" if place == 1 else f"_{place}"
            row[f"label{suffix}"] = self.class_names[target]
            row[f"probability{suffix}"] = round(float(probabilities[target]), 6)
        if self.settings.probabilities:
            by_class = dict(zip(self.class_names, probabilities.round(6).tolist(), strict=True))
            if self.settings.nested:
                row["probabilities"] = by_class
            else:
                row.update({f"probability_{name}": value for name, value in by_class.items()})
        return {**row, "error": ""}


def _batches(
    inputs: Iterator[tuple[str, ...]], preprocess: Preprocess, batch_size: int
) -> Iterator[list[Loaded]]:
    """Yield decoded images in order, as many at a time as are ready.

    One thread walks the inputs, a few decode, and this one takes what is there: the first
    answer does not wait for a full batch, let alone for the end of stdin.
    """
    # Full at two batches: the walker then waits, which keeps memory flat.
    queue: Queue[Future[Loaded] | BaseException | None] = Queue(maxsize=2 * batch_size)
    stop = Event()

    def walk() -> None:
        try:
            for files in inputs:
                if stop.is_set():
                    return
                queue.put(pool.submit(_load, files, preprocess))
            queue.put(None)
        except BaseException as error:  # handed over, to be raised where it can be told
            queue.put(error)

    with ThreadPoolExecutor(count_cpus()) as pool:
        Thread(target=walk, daemon=True).start()
        try:
            yield from _collect(queue, batch_size)
        finally:
            stop.set()
            while not queue.empty():  # lets a waiting walker see that it is over
                queue.get_nowait()


def _collect(
    queue: Queue[Future[Loaded] | BaseException | None], batch_size: int
) -> Iterator[list[Loaded]]:
    batch: list[Loaded] = []
    while True:
        try:
            # Wait for the first of a batch; a full pipe keeps the queue ahead of the network.
            item = queue.get() if not batch else queue.get(timeout=0.02)
        except Empty:
            yield batch
            batch = []
            continue
        if isinstance(item, Future):
            batch.append(item.result())
            if len(batch) < batch_size:
                continue
        if batch:
            yield batch
            batch = []
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item


def _load(files: tuple[str, ...], preprocess: Preprocess) -> Loaded:
    path = "|".join(files)  # as splits.csv names a sample of several files
    try:
        return path, preprocess([Path(file).read_bytes() for file in files])
    except ImageError as error:
        return path, str(error)
    except OSError as error:
        return path, f"cannot be read: {error.strerror}"
    except ValueError as error:  # a path with a null byte: `find -print0`
        return path, f"cannot be read: {error}"
