"""``cnncli augment``: a grid of augmented images to look at before training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from cnncli.arrays import Array
from cnncli.augmentation.build import build_augment, build_operations, clip_fractions
from cnncli.augmentation.dry_run import check_pipeline
from cnncli.augmentation.notation import Pipeline, format_step
from cnncli.augmentation.operations import Form
from cnncli.choices import parse_size
from cnncli.data.find_samples import find_samples, report_layout
from cnncli.data.given_run import refuse_run
from cnncli.data.npz_set import is_npz_set
from cnncli.data.samples import CsvColumns, FileSource, Samples, spread_over_classes, text_array
from cnncli.data.store import ImageStore
from cnncli.errors import CnncliError
from cnncli.files import MOST_OF_IMAGE, expand_path, read_file
from cnncli.images.decode import decode
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.plots.grid import GridRow, describe_channels, save_grid
from cnncli.reporting import Reporter
from cnncli.run.choose_preprocess import (
    choose_channels,
    choose_intensity,
    choose_preprocess,
    survey_as_read,
)

# Greatest side in pixels if no size is given: large enough to see fine texture.
_SIDE = 224


@dataclass(frozen=True)
class AugmentSettings:
    """What to draw.

    Attributes:
        data: Path of an image file, or what ``train --data`` takes.
        output: Path of the PNG or JPEG file to write.
        augment: The steps to draw; None takes the steps of the checkpoint.
        checkpoint: A run folder or checkpoint file whose preprocessing and steps are used; None
            for none.
        columns: Names of the columns, if the data are a CSV table.
        samples: Number of augmented pictures of each image.
        images: Number of images, one in each row, if the data are several.
        each_step: Whether each step has a row of its own, in which it is always applied, to a
            single image.
        image_size: Size as ``train --image-size`` takes it; None takes the size of the checkpoint,
            or else the images' own size up to 224 pixels.
        seed: Seed of the random draws. Column e shows what epoch e of a run with this seed trains
            on.
    """

    data: str
    output: Path
    augment: Pipeline | Literal["none"] | None
    checkpoint: str | None = None
    columns: CsvColumns = field(default_factory=CsvColumns)
    samples: int = 6
    images: int = 4
    each_step: bool = False
    image_size: str | None = None
    seed: int = 0


def draw_augmentation(settings: AugmentSettings, reporter: Reporter) -> Path:
    """Draw originals and augmented pictures side by side, and write them to a file.

    Args:
        settings: What to draw.
        reporter: Prints warnings of images that cannot be read.

    Returns:
        The path of the file.

    Raises:
        CnncliError: If there is nothing to draw, no image can be read, a step does not work on the
            images.
        OSError: If the file cannot be written.
    """
    steps, preprocess = settings.augment, None
    if settings.checkpoint is not None:
        from cnncli.training.checkpoint import load_checkpoint
        from cnncli.training.find_checkpoint import find_checkpoint

        path, how = find_checkpoint(settings.checkpoint)
        if how:
            reporter.note(f"checkpoint: {path} ({how})")
        _, checkpoint = load_checkpoint(path)
        preprocess = checkpoint.preprocess
        steps = checkpoint.augment or "none" if steps is None else steps
    if steps is None or steps == "none":
        raise CnncliError("--augment none: there is nothing to draw")
    samples = _find(settings.data, settings.columns)
    report_layout(samples, reporter)
    preprocess = preprocess or _choose_preprocess(samples, settings.image_size)
    store = ImageStore(samples.source, preprocess)
    count = 1 if settings.each_step else settings.images
    chosen = _read(store, samples, spread_over_classes(samples.targets), count, reporter)
    check_pipeline(steps, chosen[0][1])
    if settings.each_step:
        rows = _step_rows(steps, *chosen[0], settings)
    else:
        rows = [_sample_row(steps, samples, index, image, settings) for index, image in chosen]
    titles = ["original", *(str(number) for number in range(1, settings.samples + 1))]
    save_grid(settings.output, rows, titles, describe_channels(preprocess.channels))
    return settings.output


def _find(data: str, columns: CsvColumns) -> Samples:
    """Return the images that ``train --data`` would find, or a single image file as one sample.

    Raises:
        CnncliError: If there are none, or the single file cannot be read.
    """
    path = expand_path(data)
    refuse_run(path, data)
    if not path.is_file() or path.suffix.lower() in (".csv", ".tsv") or is_npz_set(path):
        return find_samples(data, columns)
    try:
        decode(read_file(path, most=MOST_OF_IMAGE))
    except (ImageError, OSError) as error:
        reason = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else error
        raise CnncliError(f"{data}: {reason}") from None
    return Samples(
        source=FileSource(path.parent, text_array([path.name])),
        paths=text_array([path.name]),
        targets=np.zeros(1, np.int64),
        class_names=("",),
        splits=np.zeros(1, np.int8),
    )


def _choose_preprocess(samples: Samples, image_size: str | None) -> Preprocess:
    """Choose what ``train`` would choose without weights, except for the image size."""
    survey = survey_as_read(samples, None, threads=2, most=32)
    channels = choose_channels(None, None, survey)
    _, intensity_ranges = choose_intensity(None, survey)
    side = min(_SIDE, max(32, *survey.sides))
    size = parse_size(image_size, what="--image-size") if image_size else (side, side)
    return choose_preprocess(survey, channels, intensity_ranges, size)


def _read(
    store: ImageStore, samples: Samples, order: Array, count: int, reporter: Reporter
) -> list[tuple[int, Array]]:
    """Return the number and the pixels, (H, W, C), of the first ``count`` images that can be read.

    Raises:
        CnncliError: If none can be read.
    """
    read: list[tuple[int, Array]] = []
    reason = ""
    for index in order.tolist():
        try:
            read.append((index, store[index]))
        except (ImageError, OSError) as error:
            reason = f"{samples.paths[index]} {error}"
            reporter.warn(reason)
        if len(read) == count:
            break
    if not read:
        raise CnncliError(f"{reason}: no image can be drawn")
    return read


def _sample_row(
    steps: Pipeline, samples: Samples, index: int, image: Array, settings: AugmentSettings
) -> GridRow:
    """Return a row with an image and its augmented pictures, one for each epoch from 1."""
    augment = build_augment(steps)
    assert augment is not None
    drawn = [augment(image, settings.seed, n, index) for n in range(1, settings.samples + 1)]
    label = [Path(str(samples.paths[index])).name]
    if len(samples.class_names) > 1:
        label = [samples.class_names[samples.targets[index]], *label]
    return GridRow(label, [image, *drawn])


def _step_rows(
    steps: Pipeline, index: int, image: Array, settings: AugmentSettings
) -> list[GridRow]:
    """Return a row for each step, in which it alone is applied, whatever its probability."""
    rows = []
    for step, operation in zip(steps, build_operations(steps, Form.of(image)), strict=True):
        states = [
            int(np.random.SeedSequence((settings.seed, number, index)).generate_state(1)[0])
            for number in range(1, settings.samples + 1)
        ]
        drawn = [clip_fractions(operation(image.copy(), state, force=True)) for state in states]
        rows.append(GridRow(format_step(step, defaults=False).split(), [image, *drawn]))
    return rows
