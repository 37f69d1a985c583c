"""``decision.json``: what is done with the probabilities of the weights that it lies beside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.choices.decision import parse_operating_point
from cnncli.errors import CnncliError, clip, count_of
from cnncli.files import DECISION_FILE, EPOCHS_FOLDER, read_file, write_atomically
from cnncli.reporting import Reporter

ABSTAIN = "abstain"  # the label where the answer is withheld
FORMAT = 1
_MOST_OF_FILE = 2**24  # bytes
_WAY_OUT = (
    "--raw leaves it out, and evaluate --raw with --calibrate, --operating-point or --threshold "
    "writes it anew"
)


@dataclass(frozen=True)
class Decision:
    """From the probabilities of K classes to a label.

    First the temperature changes the probabilities, then the threshold chooses the label, then a
    label whose probability is too small is withheld. What is None is not done.

    Attributes:
        class_names: The names of the K classes, in the order of the probabilities.
        temperature: By which the logits are divided, above 0, in addition to that of the weights.
        temperature_of_weights: The one that was fitted in training and is stored with the weights,
            which every network applies by itself; None where ``temperature`` was fitted before
            decisions said it.
        positive: Name of the positive class; given together with ``threshold``.
        threshold: Least probability of the positive class, after the temperature, for the label to
            be that class; otherwise it is the most probable of the others.
        operating_point: How the threshold was chosen on val; None where the user gave it.
        abstain_below: Labels with a smaller probability, after the temperature, are withheld.
        tta: The views over which the probabilities were averaged as it was chosen; None for none.
        val: What the threshold and the temperature were chosen on: numbers of images, and figures.
    """

    class_names: tuple[str, ...]
    temperature: float | None = None
    positive: str | None = None
    threshold: float | None = None
    operating_point: str | None = None
    abstain_below: float | None = None
    tta: str | int | None = None
    val: Mapping[str, Any] = field(default_factory=dict)
    temperature_of_weights: float | None = None

    @property
    def positive_target(self) -> int | None:
        """The number of the positive class."""
        return None if self.positive is None else self.class_names.index(self.positive)

    def adjust(self, probabilities: Array) -> Array:
        """Return probabilities (N, K) after the temperature."""
        if self.temperature is None:
            return probabilities
        from cnncli.evaluation.calibration import apply_temperature

        return apply_temperature(probabilities, self.temperature)

    def label(self, probabilities: Array) -> Array:
        """Return the class numbers (N,) by probabilities (N, K) after the temperature."""
        if self.positive_target is None or self.threshold is None:
            labels: Array = probabilities.argmax(axis=1)
            return labels
        from cnncli.evaluation.operating_point import call_classes

        return call_classes(probabilities, self.positive_target, self.threshold)

    def withhold(self, probabilities: Array, labels: Array) -> Array:
        """Return whether each label (N,) is withheld, by probabilities (N, K)."""
        if self.abstain_below is None:
            return np.zeros(len(labels), dtype=bool)
        said: Array = probabilities[np.arange(len(labels)), labels].astype(np.float64)
        return said < self.abstain_below

    def decide(self, raw: Array) -> tuple[Array, Array, Array]:
        """Return what becomes of the probabilities (N, K) that the network gives.

        Returns:
            The probabilities (N, K) after the temperature, the class numbers (N,), and whether each
            is withheld (N,).
        """
        probabilities = self.adjust(raw)
        labels = self.label(probabilities)
        return probabilities, labels, self.withhold(probabilities, labels)

    def describe(self) -> str:
        """Return what is done, in words."""
        parts = []
        if self.temperature is not None:
            parts.append(
                f"temperature {tell_temperature(self.temperature, self.temperature_of_weights)}"
            )
        if self.threshold is not None:
            rule = f" ({self.operating_point} on val)" if self.operating_point else ""
            parts.append(
                f"threshold {format_threshold(self.threshold)} for {self.positive!r}{rule}"
            )
        if self.abstain_below is not None:
            parts.append(f"{ABSTAIN} below {self.abstain_below:g}")
        return ", ".join(parts)


def tell_temperature(temperature: float, of_weights: float | None) -> str:
    """Return the temperature of a decision, and what it makes together with that of the weights."""
    told = f"{temperature:.4g}"
    if of_weights is None or of_weights == 1:
        return told
    return (
        f"{told} on top of {of_weights:.4g} from training ({temperature * of_weights:.4g} in all)"
    )


def format_threshold(value: float) -> str:
    """Return a threshold in four digits, or in all where these would be 1."""
    short = f"{value:.4g}"
    return repr(value) if short == "1" else short


def find_decision_file(checkpoint: Path) -> Path | None:
    """Return where the decision of a checkpoint lies; None for one of a kept epoch, without one."""
    return None if checkpoint.parent.name == EPOCHS_FOLDER else checkpoint.parent / DECISION_FILE


def load_decision(
    checkpoint: Path, digest: str, class_names: tuple[str, ...], reporter: Reporter
) -> Decision | None:
    """Read the decision that lies beside a checkpoint, and say what it does.

    Args:
        checkpoint: The checkpoint's file.
        digest: The digest of the checkpoint.
        class_names: Its classes.
        reporter: Is told what the decision does.

    Returns:
        The decision; None where there is none.

    Raises:
        CnncliError: If it is damaged, or of other weights or classes.
    """
    path = find_decision_file(checkpoint)
    if path is None or not (path.exists() or path.is_symlink()):
        return None
    try:
        content = json.loads(read_file(path, most=_MOST_OF_FILE))
        decision = parse_decision(content)
    except OSError as error:
        raise CnncliError(f"{path}: cannot be read ({error.strerror}); {_WAY_OUT}") from None
    except (ValueError, RecursionError) as error:
        raise CnncliError(f"{path}: cannot be used ({clip(str(error))}); {_WAY_OUT}") from None
    if decision.class_names != class_names:
        raise CnncliError(f"{path}: is of other classes than {checkpoint.name}; {_WAY_OUT}")
    if content.get("weights") != digest:
        raise CnncliError(f"{path}: was chosen for other weights than {checkpoint}; {_WAY_OUT}")
    reporter.note(f"{path}: {decision.describe()}; --raw leaves it out")
    return decision


def note_left_out(
    checkpoints: Sequence[Path], reporter: Reporter, exported: Sequence[Path] = ()
) -> None:
    """Say where decisions do not count, since they were chosen for one of several networks.

    Args:
        checkpoints: The files of the networks.
        reporter: Gets the remark.
        exported: Exported files with a decision in them.
    """
    left = [file for path in checkpoints if (file := find_decision_file(path)) and file.exists()]
    left = [*exported, *left]
    if left:
        what = "decision" if exported else DECISION_FILE
        of = count_of(len(left), f"{what} is", f"{what}s are" if exported else f"{what} are")
        reporter.note(f"{of} left out: it was chosen for one network alone ({left[0]})")


def warn_of_views(decision: Decision | None, tta: str | int | None, reporter: Reporter) -> None:
    """Warn where images are judged by other views than those a decision was chosen on."""
    if decision is None or not decision.val or decision.tta == tta:
        return
    reporter.warn(
        f"{DECISION_FILE} was chosen {tell_views(decision.tta)}, and here images are judged "
        f"{tell_views(tta)}: their probabilities differ; give the same --tta, or choose it again "
        "with evaluate"
    )


def tell_views(tta: str | int | None) -> str:
    """Return the views of an image in words."""
    return f"with --tta {tta}" if tta else "without --tta"


def save_decision(checkpoint: Path, digest: str, decision: Decision) -> Path:
    """Write a decision beside its checkpoint, in place of the one that is there.

    Args:
        checkpoint: The checkpoint's file.
        digest: The digest of the checkpoint.
        decision: The decision.

    Returns:
        The file.

    Raises:
        CnncliError: If the checkpoint is one of a kept epoch, or the file cannot be written.
    """
    path = find_decision_file(checkpoint)
    assert path is not None
    content = {"format": FORMAT, "weights": digest, **asdict(decision)}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
    return path


def parse_decision(content: Any) -> Decision:
    """Return the decision that a file holds.

    Args:
        content: Its JSON.

    Raises:
        ValueError: If a key is missing, or a value is not what it can be.
    """
    from cnncli.evaluation.calibration import HIGHEST, LOWEST

    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise ValueError("no format")  # noqa: TRY004 - it is the file that is wrong
    if content["format"] > FORMAT:
        raise ValueError(f"format {content['format']} of a newer cnncli")
    names, positive = content.get("class_names"), content.get("positive")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("class_names are no list of names")
    if positive is not None and positive not in names:
        raise ValueError("positive is none of the classes")
    threshold = _number(content, "threshold", 0, 1)
    if (threshold is None) != (positive is None):
        raise ValueError("positive and threshold go together")
    rule, tta, val = content.get("operating_point"), content.get("tta"), content.get("val", {})
    if rule is not None:
        try:
            rule = str(parse_operating_point(str(rule)))
        except CnncliError as error:
            raise ValueError(str(error)) from None
    if not (tta is None or isinstance(tta, int | str)) or not isinstance(val, dict):
        raise ValueError("tta or val is not what cnncli writes")
    return Decision(
        class_names=tuple(names),
        temperature=_number(content, "temperature", LOWEST, HIGHEST),
        positive=positive,
        threshold=threshold,
        operating_point=rule,
        abstain_below=_number(content, "abstain_below", 0, 1),
        tta=tta,
        val=val,
        temperature_of_weights=_number(content, "temperature_of_weights", LOWEST, HIGHEST),
    )


def _number(content: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = content.get(key)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # NaN is neither
        raise ValueError(f"{key} is no number from {low:g} to {high:g}")
    return float(value)
