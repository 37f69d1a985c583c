"""Choosing how files become the network's input: channels, intensities, size and interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import numpy as np

from cnncli.choices import (
    IntensityRule,
    Interpolation,
    ResizeMode,
    format_channels,
    parse_intensity,
)
from cnncli.data.samples import Samples
from cnncli.data.survey import ImageSurvey, survey_images
from cnncli.errors import CnncliError
from cnncli.images.intensity import IntensityRange
from cnncli.images.preprocess import Preprocess
from cnncli.models.pretrained.weights import WeightsPreprocess
from cnncli.models.stem import Normalisation
from cnncli.reporting import Reporter
from cnncli.run.intensity_rule import choose_rule, explain_rule, hold_fractions, round_range

T = TypeVar("T")

_FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0}


@dataclass(frozen=True)
class Channels:
    """The channels that the network gets from the files of a sample.

    Attributes:
        files: Number of channels that each file gives.
        alpha: Whether the last of them is alpha.
    """

    files: tuple[int, ...]
    alpha: bool = False

    @property
    def total(self) -> int:
        """Number of the network's input channels."""
        return sum(self.files)


def choose_channels(given: int | None, expected: int | None, survey: ImageSurvey) -> Channels:
    """Choose the network's input channels.

    Args:
        given: What the user asked for; None lets the images decide, and then alpha never counts.
        expected: Number of channels of the pretrained weights, which decides between grey and
            colour if the user does not; None without weights.
        survey: What the images are like.

    Raises:
        CnncliError: If the images do not have the channels that the user asked for.
    """
    plain = all(channels in (1, 3) for channels in survey.files)
    if given is None:
        if len(survey.files) == 1 and plain and expected in (1, 3):
            return Channels((expected,))
        return Channels(survey.files)
    if given == survey.channels:
        return Channels(survey.files)
    if plain and len(survey.files) > 1 and given in (len(survey.files), 3 * len(survey.files)):
        return Channels((given // len(survey.files),) * len(survey.files))
    if plain and len(survey.files) == 1:
        if given in (1, 3):
            return Channels((given,))
        if given in (2, 4) and survey.alpha:
            return Channels((given,), alpha=True)
    has = format_channels(survey.channels)
    if len(survey.files) > 1:
        has += f" ({' + '.join(map(str, survey.files))} of {len(survey.files)} files)"
    has += ", alpha not counted" if survey.alpha else " and no alpha"
    raise CnncliError(f"--in-channels {given}: the images have {has}")


def choose_intensity(
    text: str | None, survey: ImageSurvey, reporter: Reporter | None = None
) -> tuple[str, tuple[IntensityRange, ...]]:
    """Choose the stored values that become 0 and 1.

    Args:
        text: What the user said, as :func:`cnncli.choices.parse_intensity` takes it. None lets
            the images decide, see :func:`cnncli.run.intensity_rule.choose_rule`.
        survey: What the images are like.
        reporter: Gets a note on what decided, if the images did and it is not the full scale.

    Returns:
        The choice as text, and one range per file. The text gives the same ranges again for the
        same images. There are no ranges if every file has the full scale of its number type.

    Raises:
        CnncliError: If the text has not as many parts as a sample has files, or both ends of a
            range are the same value.
    """
    count = len(survey.files)
    if text is None:
        rules = tuple(choose_rule(survey, number) for number in range(count))
    else:
        rules = parse_intensity(text)
        rules = rules * count if len(rules) == 1 else rules
        if len(rules) != count:
            raise CnncliError(
                f"--intensity {text}: {len(rules)} windows, but a sample is {count} "
                f"file{'s' * (count > 1)}"
            )
    texts, ranges = zip(
        *(_apply_rule(rule, survey, number) for number, rule in enumerate(rules)), strict=True
    )
    told = texts[0] if len(set(texts)) == 1 else ",".join(texts)
    if text is None and reporter is not None:
        for reason in explain_rule(survey):
            reporter.note(f"intensity {told}: {reason}")
    return told, () if told == "full" else ranges


def _apply_rule(
    rule: IntensityRule, survey: ImageSurvey, number: int
) -> tuple[str, IntensityRange]:
    """Find the range that a rule means for one file of a sample.

    Returns:
        The range as text in stored values, and the range itself.
    """
    # The text has whole numbers as the files store them, while the range has fractions.
    scale = _FULL_SCALE.get(survey.dtype, 1.0)
    values = survey.values[number] if survey.values else np.array([0.0, 1.0])
    fractions = survey.dtype != "float32" or hold_fractions(values)
    if rule.kind == "full":
        return "full", IntensityRange(0.0, 1.0)
    if rule.kind == "percentiles":
        low, high = (float(v) * scale for v in np.percentile(values, (rule.low, rule.high)))
        low, high = round_range(low, high, whole=scale > 1)
        if low >= high:
            raise CnncliError(
                f"--intensity p{rule.low:g}:p{rule.high:g}: both percentiles are {low:g}; take "
                "others, or write the values"
            )
    else:
        low, high = rule.low, rule.high
    text = f"{_format_value(low)}:{_format_value(high)}"
    return text, IntensityRange(low / scale, high / scale, "fraction" if fractions else "value")


def _format_value(value: float) -> str:
    """Return a number as short text that reads back to the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value)).removesuffix(".0")


def choose_preprocess(
    survey: ImageSurvey,
    channels: Channels,
    intensity_ranges: tuple[IntensityRange, ...],
    size: tuple[int, int],
    *,
    resize_mode: ResizeMode = "squash",
    exact_decode: bool = False,
    expects: WeightsPreprocess | None = None,
    normalisation: Normalisation | None = None,
) -> Preprocess:
    """Choose how files become the network's input.

    Args:
        survey: What the images are like.
        channels: The channels of each file, by :func:`choose_channels`.
        intensity_ranges: The range of each file, by :func:`choose_intensity`.
        size: (height, width) of the network's input in pixels.
        resize_mode: See :class:`Preprocess`.
        exact_decode: See :class:`Preprocess`.
        expects: What images the pretrained weights were trained on: they are resized in the same
            way. None averages areas.
        normalisation: Mean and standard deviation per channel; None leaves them to be found from
            the training images.
    """
    form = Preprocess(
        *size,
        channels.total,
        dtype="float32" if survey.dtype != "uint8" or intensity_ranges else "uint8",
        mean=normalisation.mean if normalisation else (),
        std=normalisation.std if normalisation else (),
        files=channels.files if len(channels.files) > 1 else (),
        windows=intensity_ranges,
        keep_alpha=channels.alpha,
        exact_decode=exact_decode,
    )
    return as_weights_do(form, resize_mode, expects)


def as_weights_do(
    form: Preprocess, resize_mode: ResizeMode, expects: WeightsPreprocess | None
) -> Preprocess:
    """Return a preprocessing that resizes in a mode, as the images of the weights were resized.

    Args:
        form: The preprocessing, whatever its mode.
        resize_mode: See :class:`Preprocess`.
        expects: What images the pretrained weights were trained on; None averages areas.
    """
    resize_size = None
    interpolation: Interpolation = "area"
    if expects is not None and expects.interpolation is not None:
        interpolation = cast(Interpolation, expects.interpolation)
        if resize_mode == "crop" and expects.resize_size is not None:
            # At another size than that of the weights, the same fraction of the image is cut out.
            ratio = expects.resize_size / max(expects.image_size)
            resize_size = max(*form.image_size, round(ratio * min(form.image_size)))
    return replace(
        form, resize_mode=resize_mode, interpolation=interpolation, resize_size=resize_size
    )


def survey_as_read(
    samples: Samples,
    text: str | None,
    in_channels: int | None = None,
    *,
    threads: int,
    most: int = 96,
) -> ImageSurvey:
    """Survey the images with the values that training will read from them.

    DICOM files show what their own display window shows, or their physical units if a range of
    values is chosen for them.

    Args:
        samples: The labelled images.
        text: What the user said, as :func:`choose_intensity` takes it.
        in_channels: Number of input channels that the user named.
        threads: Number of threads that decode.
        most: Greatest number of images to decode, evenly spread.

    Raises:
        CnncliError: If none of them can be read.
    """
    raw = text is not None and any(rule.kind != "full" for rule in parse_intensity(text))
    channels = in_channels if samples.files == 1 else None
    survey = survey_images(samples, threads=threads, most=most, raw=raw, channels=channels)
    if text is not None or survey.dtype != "float32" or all(map(hold_fractions, survey.values)):
        return survey
    # A file of a sample whose values are beyond 0–1 will get a range of values: look at its units.
    in_units = survey_images(samples, threads=threads, most=most, raw=True, channels=channels)
    shown = [hold_fractions(values) for values in survey.values]
    return replace(
        survey,
        values=_choose_each(shown, survey.values, in_units.values),
        levels=_choose_each(shown, survey.levels, in_units.levels),
        numbers=_choose_each(shown, survey.numbers, in_units.numbers),
    )


def _choose_each(first: Sequence[bool], one: Sequence[T], other: Sequence[T]) -> tuple[T, ...]:
    """Return each item of ``one`` where ``first`` is true, else that of ``other``."""
    return tuple(a if take else b for take, a, b in zip(first, one, other, strict=True))
