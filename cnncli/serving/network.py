"""The network that a server asks: from the bytes of files to rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.choices import Precision
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.files import run_dir_of
from cnncli.images.formats import read_header
from cnncli.images.header import ImageError, TooLargeError
from cnncli.plots.grid import to_picture
from cnncli.reporting import Reporter, SilentReporter
from cnncli.run.report import report_precision
from cnncli.run.scales import is_dark, warn_of_dark_files
from cnncli.run.subject import load_run
from cnncli.run.warn_of_cut import is_unlike_training, warn_of_colour, warn_unlike_training
from cnncli.serving.heat import draw_small, find_heat_maps, lay_over, to_data_uri
from cnncli.training.device import choose_evaluation_compute, keep_freed_memory
from cnncli.training.distributed import ALONE
from cnncli.training.predictions import predict_batch

Row = dict[str, object]


@dataclass(frozen=True)
class Wanted:
    """What a request wants to know of its images.

    Attributes:
        top_k: Number of classes, the most probable first.
        probabilities: Whether the probability of every class is wanted.
        heat_map: Whether a heat map of the predicted class is wanted, and the picture.
    """

    top_k: int = 1
    probabilities: bool = False
    heat_map: bool = False


@dataclass(frozen=True)
class Ready:
    """An image that is ready for the network.

    Attributes:
        pixels: (H, W, C) as `Preprocess` makes it.
        picture: (H', W', C') as a person sees it; None where no heat map is wanted.
        remarks: What is odd about it.
    """

    pixels: Array
    picture: Array | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What the network says of an image.

    Attributes:
        probabilities: (K,).
        heat: (h, w) at least 0, of the most probable class; None where it is not wanted.
    """

    probabilities: Array
    heat: Array | None


class ServedNetwork:
    """The network of a run, as a server needs it.

    Args:
        checkpoint: What ``--checkpoint`` takes; None for the newest finished run.
        device: The device as torch names it, or ``auto``.
        precision: The precision to compute in; None for exact float32.
        reporter: Gets remarks.

    Raises:
        CnncliError: If the network cannot be used.
    """

    def __init__(
        self,
        checkpoint: str | None,
        device: str,
        precision: Precision | None,
        reporter: Reporter,
    ) -> None:
        self.compute = choose_evaluation_compute(device, precision, ALONE)
        report_precision(self.compute.precision, precision, reporter)
        keep_freed_memory()
        subject = load_run(checkpoint, reporter)
        self.heat_maps = find_heat_maps(subject)
        subject.network.to(self.compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classifier = subject.classifier().to(self.compute.device)
        self.model, self.class_names = subject.model, subject.class_names
        self.preprocess = subject.preprocess
        assert subject.checkpoint is not None
        self.run = run_dir_of(subject.checkpoint).resolve().name

    def about(self) -> Row:
        """Return what the page says of the network."""
        return {
            "run": self.run,
            "model": self.model,
            "class_names": list(self.class_names),
            "image_size": list(self.preprocess.image_size),
            "files_per_image": self.preprocess.count_files,
            "heat_map": None
            if self.heat_maps is None
            else {"method": self.heat_maps.method, "layer": self.heat_maps.layer.name},
        }

    def read(self, name: str, files: Sequence[bytes], most: int, *, draw: bool) -> Ready:
        """Decode an image.

        Args:
            name: Its name, for remarks.
            files: The files of the sample.
            most: Most pixels of a file, as its header says.
            draw: Whether it is to be shown.

        Raises:
            ImageError: If it cannot be read.
            TooLargeError: If it has too many pixels.
        """
        channels = self.preprocess.files or (self.preprocess.channels,)
        for data, count in zip(files, channels, strict=False):
            header = read_header(data, count)
            if header.width * header.height > most:
                raise TooLargeError(
                    f"is too large: {header.width}×{header.height} has more than {most:,} pixels"
                )
        try:
            pixels, cut, is_coloured = self.preprocess.read(files)
            picture = draw_small(files, pixels, self.preprocess) if draw else None
        except (OSError, ValueError) as error:  # as `predict` takes them
            raise ImageError(f"cannot be read: {error}") from error
        told, pre, name = _Told(), self.preprocess, name or "sent without a name"
        warn_unlike_training(int(is_unlike_training(cut, pre)), name, pre, told)
        warn_of_colour(int(is_coloured), name, told)
        warn_of_dark_files(int(is_dark(pixels, pre)), name, pre, told)
        return Ready(pixels, picture, tuple(told.texts))

    def answer(self, images: Sequence[Ready]) -> list[Answer]:
        """Send images through the network together.

        Raises:
            CnncliError: If the network's probabilities are not finite.
        """
        stacked = torch.from_numpy(np.stack([image.pixels for image in images]))
        probabilities = predict_batch(self.classifier, stacked, self.compute)
        if not np.isfinite(probabilities).all():
            raise CnncliError(
                "the network's probabilities are not finite: its weights are broken; train again",
                exit_code=RUNTIME_FAILURE,
            )
        heats: list[Array | None] = [None] * len(images)
        shown = [place for place, image in enumerate(images) if image.picture is not None]
        if shown and self.heat_maps is not None:
            batch = self.classifier.normalise(stacked[shown].to(self.compute.device))
            targets = [int(target) for target in probabilities[shown].argmax(axis=1)]
            maps = self.heat_maps.compute(batch, targets)
            for place, heat in zip(shown, maps, strict=True):
                heats[place] = heat
        return [Answer(*pair) for pair in zip(probabilities, heats, strict=True)]

    def row(self, name: str, image: Ready, answer: Answer, wanted: Wanted) -> Row:
        """Return what is answered for an image."""
        row = row_of(name, answer.probabilities, self.class_names, wanted)
        if image.remarks:
            row["remarks"] = list(image.remarks)
        if image.picture is not None:
            row["picture"] = to_data_uri(to_picture(image.picture))
            row["heat_map"] = None if answer.heat is None else self._draw(image, answer.heat)
        return row

    def _draw(self, image: Ready, heat: Array) -> Row:
        assert image.picture is not None
        assert self.heat_maps is not None
        return {
            "method": self.heat_maps.method,
            "layer": self.heat_maps.layer.name,
            "values": heat.round(6).tolist(),
            "picture": to_data_uri(lay_over(image.picture, heat, self.preprocess)),
        }


def row_of(name: str, probabilities: Array, class_names: Sequence[str], wanted: Wanted) -> Row:
    """Return the row of an image by its probabilities (K,), as ``predict`` writes it as JSON."""
    row: Row = {"path": name}
    order = np.argsort(-probabilities, kind="stable")[: wanted.top_k]
    for place, target in enumerate(order, start=1):
        suffix = "" if place == 1 else f"_{place}"
        row[f"label{suffix}"] = class_names[target]
        row[f"probability{suffix}"] = round(float(probabilities[target]), 6)
    if wanted.probabilities:
        values = probabilities.round(6).tolist()
        row["probabilities"] = dict(zip(class_names, values, strict=True))
    return {**row, "error": ""}


class _Told(SilentReporter):
    """Keeps warnings, for the answer."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)
