"""What ``cnncli visualize`` is asked for, and what each of its pictures gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnncli.arrays import Array
from cnncli.choices import SplitChoice
from cnncli.reporting import Reporter
from cnncli.run.decision import find_decision_file
from cnncli.run.subject import Subject, load_subject


@dataclass(frozen=True)
class VisualizeSettings:
    """What to draw. Each picture uses some of these; the table of views says which.

    Attributes:
        target: A run, a checkpoint or the name of a network; None for the newest finished run.
        weights: What ``--weights`` takes, for a network of the registry.
        image_size: (H, W) in pixels of the input of a network of the registry; None for its own.
        images: Paths of image files; empty takes images of the data.
        data: What ``train --data`` takes; None for the data of the run.
        split: Which of the data; None for test, or val if there is no test.
        count: Number of images of the data that are used; None for the picture's own number.
        layer: Name of a layer, as ``inspect-layers`` prints it; None for the picture's own.
        unit: A channel, or channel, row and column in the output of the layer; None for the one in
            the middle.
        class_name: The class to explain; None for the predicted one.
        method: One of the picture's methods; None for its first.
        neighbours: Path of an image whose nearest images are shown; None for none.
        over_epochs: Whether the epochs that the run kept are drawn beside each other.
        seed: Seed of whatever is random.
    """

    target: str | None = None
    weights: str | None = None
    image_size: tuple[int, int] | None = None
    images: tuple[str, ...] = ()
    data: str | None = None
    split: SplitChoice | None = None
    count: int | None = None
    layer: str | None = None
    unit: tuple[int, ...] | None = None
    class_name: str | None = None
    method: str | None = None
    neighbours: str | None = None
    over_epochs: bool = False
    seed: int = 0


@dataclass(frozen=True)
class View:
    """A picture that can be drawn, and the numbers behind it.

    Attributes:
        draw: Writes the picture to a PNG or JPEG file.
        rows: The rows of ``--format csv``, read once: mappings with the ``columns`` as keys.
        columns: The header of these rows.
        array: The numbers of ``--format npy``.
        document: The document of ``--format json``, of plain values, and arrays at its top; None
            takes the rows.
    """

    draw: Callable[[Path], None]
    rows: Iterable[Mapping[str, object]]
    columns: Sequence[str]
    array: Array
    document: Mapping[str, Any] | None = field(default=None)


def open_subject(settings: VisualizeSettings, reporter: Reporter) -> Subject:
    """Load the network that a picture is to be drawn of.

    Raises:
        CnncliError: If there is no such run, network or file, or they do not go together.
    """
    return load_subject(
        settings.target,
        reporter,
        weights=settings.weights,
        image_size=settings.image_size,
        seed=settings.seed,
    )


def open_answering(settings: VisualizeSettings, reporter: Reporter) -> Subject:
    """Load a network as `open_subject` does, for a picture that tells its answers.

    They are the network's own: a decision, such as a threshold, is for predicting, and it is said
    that `predict` may answer otherwise.
    """
    subject = open_subject(settings, reporter)
    file = None if subject.checkpoint is None else find_decision_file(subject.checkpoint)
    if file is not None and file.exists():
        reporter.note(f"{file}: not used here; answers and probabilities are the network's own")
    return subject
