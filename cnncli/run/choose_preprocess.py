"""How files become the network's input: channels, intensities and size, chosen once for a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from cnncli.choices import IntensityRule, Interpolation, parse_intensity
from cnncli.config import ResolvedConfig
from cnncli.data.look import ImageSurvey, survey_images
from cnncli.data.samples import Samples
from cnncli.data.store import ImageStore
from cnncli.errors import CnncliError
from cnncli.images.intensity import IntensityRange
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter
from cnncli.run.defaults import size_of
from cnncli.run.pretrained import Pretrained

# 16-bit files whose values need fewer bits than this are stretched: a quarter of the scale or less.
_FEW_BITS = 14
# Beyond the bits that a set uses there should be nothing; percentiles cut the brightest image most.
_MUCH_CUT = {"fraction": 0.01, "value": 0.25}
_FULL = {"uint8": 255.0, "uint16": 65535.0}


@dataclass(frozen=True)
class Channels:
    """What each of a sample's files gives.

    Attributes:
        files: Channels per file.
        alpha: Whether the last of them is alpha.
    """

    files: tuple[int, ...]
    alpha: bool = False

    @property
    def total(self) -> int:
        """The network's input channels."""
        return sum(self.files)


def choose_channels(given: int | None, expected: int | None, look: ImageSurvey) -> Channels:
    """Decide the input channels.

    Args:
        given: By the user; None lets the data decide, who never count alpha.
        expected: By pretrained weights, which decide between grey and colour; None without them.
        look: What the images are like.

    Raises:
        CnncliError: If the images do not have the channels that were asked for.
    """
    plain = all(channels in (1, 3) for channels in look.files)
    if given is None:
        if len(look.files) == 1 and plain and expected in (1, 3):
            return Channels((expected,))
        return Channels(look.files)
    if given == look.channels:
        return Channels(look.files)
    if plain and len(look.files) > 1 and given in (len(look.files), 3 * len(look.files)):
        return Channels((given // len(look.files),) * len(look.files))
    if plain and len(look.files) == 1:
        if given in (1, 3):
            return Channels((given,))
        if given in (2, 4) and look.alpha:
            return Channels((given,), alpha=True)
    has = f"{look.channels} channel{'s' * (look.channels > 1)}"
    if len(look.files) > 1:
        has += f" ({' + '.join(map(str, look.files))} of {len(look.files)} files)"
    has += ", alpha not counted" if look.alpha else " and no alpha"
    raise CnncliError(f"--in-channels {given}: the images have {has}")


def choose_windows(text: str | None, look: ImageSurvey) -> tuple[str, tuple[IntensityRange, ...]]:
    """Decide which stored values become 0 and 1.

    Args:
        text: The user's; None lets the data decide: 16-bit files that use fewer bits are
            stretched to these, floats beyond 0–1 to their percentiles 0.1 and 99.9.
        look: What the images are like.

    Returns:
        The decision as text that gives the same windows on the same data, and a window per file,
        none at all where the type's own full scale counts for every file.

    Raises:
        CnncliError: If there are not as many windows as files.
    """
    count = len(look.files)
    if text is None:
        rules = tuple(_find_rule(look, number) for number in range(count))
    else:
        rules = parse_intensity(text)
        rules = rules * count if len(rules) == 1 else rules
        if len(rules) != count:
            raise CnncliError(
                f"--intensity {text}: {len(rules)} windows, but a sample is {count} "
                f"file{'s' * (count > 1)}"
            )
    if all(rule.kind == "full" for rule in rules):
        return "full", ()
    chosen = [_resolve(rule, look, number) for number, rule in enumerate(rules)]
    texts = [name for name, _ in chosen]
    told = texts[0] if len(set(texts)) == 1 else ",".join(texts)
    return told, tuple(window for _, window in chosen)


def _find_rule(look: ImageSurvey, number: int) -> IntensityRule:
    if look.dtype == "uint8":
        return IntensityRule("full")
    values = look.values[number]
    if look.dtype == "float32":
        beyond = not _are_fractions(values)
        return IntensityRule("percentiles", 0.1, 99.9) if beyond else IntensityRule("full")
    bits = max(8, round(values[-1] * 65535).bit_length())
    return IntensityRule("values", 0, 2**bits - 1) if bits < _FEW_BITS else IntensityRule("full")


def _are_fractions(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    return bool(values[0] >= -1e-3 and values[-1] <= 1 + 1e-3)


def _resolve(rule: IntensityRule, look: ImageSurvey, number: int) -> tuple[str, IntensityRange]:
    """Return a rule with its values found, as text and as a window."""
    # Levels of whole numbers are told as they are stored, and kept as fractions.
    scale = _FULL.get(look.dtype, 1.0)
    values = look.values[number] if look.values else np.array([0.0, 1.0])
    fractions = look.dtype != "float32" or _are_fractions(values)
    if rule.kind == "full":
        return "full", IntensityRange(0.0, 1.0)
    if rule.kind == "percentiles":
        low, high = (float(v) * scale for v in np.percentile(values, (rule.low, rule.high)))
        low, high = (round(v) for v in (low, high)) if scale > 1 else (low, high)
        low, high = (float(f"{v:.6g}") for v in (low, high))
        if low >= high:
            raise CnncliError(
                f"--intensity p{rule.low:g}:p{rule.high:g}: both percentiles are {low:g}; take "
                "others, or write the values"
            )
    else:
        low, high = rule.low, rule.high
    window = IntensityRange(low / scale, high / scale, "fraction" if fractions else "value")
    return f"{low:g}:{high:g}", window


def choose_preprocess(
    config: ResolvedConfig, pretrained: Pretrained, look: ImageSurvey, channels: Channels
) -> Preprocess:
    """Return how files become the network's input: resized as the weights saw it, else by area."""
    height, width = size_of(config)
    _, windows = choose_windows(config.intensity, look)
    deep = look.dtype != "uint8" or bool(windows)
    preprocess = Preprocess(
        height,
        width,
        config.in_channels,
        dtype="float32" if deep else "uint8",
        resize_mode=config.resize_mode,
        files=channels.files if len(channels.files) > 1 else (),
        windows=windows,
        keep_alpha=channels.alpha,
        exact_decode=config.exact_decode,
    )
    expects = pretrained.expects
    if expects is None or expects.interpolation is None:
        return preprocess
    resize_size = None
    if config.resize_mode == "crop" and expects.resize_size is not None:
        # At another size than the weights' own, the same share of the image is cut out.
        ratio = expects.resize_size / max(expects.image_size)
        resize_size = max(height, width, round(ratio * min(height, width)))
    interpolation = cast(Interpolation, expects.interpolation)
    return replace(preprocess, interpolation=interpolation, resize_size=resize_size)


def look_over(samples: Samples, text: str | None, *, threads: int, most: int = 96) -> ImageSurvey:
    """Look at the images as they will be read: DICOM files in their units where a window counts.

    Args:
        samples: The labelled images.
        text: As `choose_windows` takes it.
        threads: That decode.
        most: Images to look at.

    Raises:
        CnncliError: If none of them can be read.
    """
    raw = text is not None and any(rule.kind != "full" for rule in parse_intensity(text))
    look = survey_images(samples, threads=threads, most=most, raw=raw)
    if text is not None or look.dtype != "float32" or all(map(_are_fractions, look.values)):
        return look
    # Where some are in units, so will be those beside them that have a window of their own.
    in_units = survey_images(samples, threads=threads, most=most, raw=True).values
    pairs = zip(look.values, in_units, strict=True)
    return replace(look, values=tuple(v if _are_fractions(v) else units for v, units in pairs))


def warn_of_cut(samples: Samples, store: ImageStore, intensity: str, reporter: Reporter) -> None:
    """Warn of images beyond the window that was found in the few looked at."""
    windows = store.preprocess.windows
    if store.cut is None or not windows:
        return
    limit = _MUCH_CUT[windows[0].unit]
    far = np.flatnonzero(store.cut > limit)
    if len(far):
        worst = int(far[store.cut[far].argmax()])
        reporter.warn(
            f"{len(far)} images have more than {limit:.0%} of their values beyond the intensities "
            f"{intensity} found for the set, where they are cut ({samples.paths[worst]}: "
            f"{store.cut[worst]:.0%}); --intensity LOW:HIGH takes in more"
        )
