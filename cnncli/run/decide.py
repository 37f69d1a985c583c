"""Choose a decision: the temperature and the threshold on val, never on the images judged."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.choices.decision import DecisionFlags, OperatingRule, parse_operating_point
from cnncli.errors import CnncliError, clip, count_of, did_you_mean, shorten
from cnncli.evaluation.calibration import fit_temperature
from cnncli.evaluation.intervals import FEW
from cnncli.evaluation.operating_point import Outcomes, choose_threshold, compute_figures
from cnncli.files import DECISION_FILE
from cnncli.reporting import Reporter
from cnncli.run.decision import ABSTAIN, Decision, find_decision_file, tell_views

_KEPT_EPOCH = "is of a kept epoch, and a decision is stored for a run's best weights alone"


def check_decision(
    flags: DecisionFlags,
    stored: Decision | None,
    class_names: tuple[str, ...],
    checkpoint: Path,
    tta: str | int | None = None,
) -> None:
    """Refuse flags that do not go with the classes, before any image is read.

    Args:
        flags: What is to be decided.
        stored: The decision that is stored beside the weights; None for none.
        class_names: The classes of the checkpoint.
        checkpoint: The checkpoint's file.
        tta: The views over which probabilities will be averaged; None for none.

    Raises:
        CnncliError: If a flag does not go with the classes, with what is stored, or the decision
            cannot be stored.
    """
    if flags.has_threshold and flags.positive is None:
        given = "--threshold" if flags.operating_point is None else "--operating-point"
        names = shorten([f"--positive {name}" for name in class_names], 3)
        raise CnncliError(f"{given}: which class is the positive one? Give one of {names}")
    if flags.positive is not None and flags.positive not in class_names:
        near = did_you_mean(flags.positive, class_names)
        raise CnncliError(
            f"--positive {clip(flags.positive)}: no class of the run; they are "
            f"{shorten(class_names, 10)}{near}"
        )
    has_positive = flags.positive is not None or (stored is not None and stored.positive)
    if flags.prevalence is not None and not has_positive:
        raise CnncliError(
            f"--prevalence {flags.prevalence:g}: of which class? Give --positive CLASS with "
            "--operating-point or --threshold"
        )
    if flags.abstain_below is not None:
        check_no_abstain(class_names)
    if flags.operating_point is not None and not flags.calibrate:
        _check_temperature(stored, tta)
    if flags.is_stored:
        path = find_decision_file(checkpoint)
        if path is None:
            raise CnncliError(f"{checkpoint}: {_KEPT_EPOCH}")
        if not _can_write(path):
            raise CnncliError(
                f"{path}: cannot be written, and the decision is stored there; copy the run's "
                "folder to where you may write"
            )


def _check_temperature(stored: Decision | None, tta: str | int | None) -> None:
    """Refuse to choose a threshold after a temperature that was fitted with other views."""
    if stored is None or stored.temperature is None or stored.tta == tta:
        return
    raise CnncliError(
        f"--operating-point: the stored temperature was fitted {tell_views(stored.tta)}, and here "
        f"the threshold would be chosen {tell_views(tta)}; add --calibrate temperature to fit it "
        "again, or give the same --tta, or leave it out with --raw"
    )


def _can_write(path: Path) -> bool:
    return os.access(path.parent, os.W_OK) and not path.is_dir()


def check_no_abstain(class_names: tuple[str, ...]) -> None:
    """Refuse to abstain where a class has the name of the label that then stands in its place.

    Raises:
        CnncliError: If there is such a class.
    """
    if ABSTAIN in class_names:
        raise CnncliError(
            f"--abstain-below: a class is called {ABSTAIN!r}, as the label of an image without an "
            "answer is; rename the class"
        )


def needs_val(flags: DecisionFlags) -> bool:
    """Return whether anything is to be chosen on val."""
    return flags.calibrate or flags.operating_point is not None


def check_judged(
    flags: DecisionFlags, stored: Decision | None, reporter: Reporter, *, is_val: bool
) -> None:
    """Refuse to choose on val where val itself is judged; warn of what was chosen there before.

    Args:
        flags: What is to be decided.
        stored: The decision that is stored beside the weights; None for none.
        reporter: Gets the warning.
        is_val: Whether images of val are among those that are judged.

    Raises:
        CnncliError: If anything is to be chosen on the images judged.
    """
    if is_val and needs_val(flags):
        given = "--operating-point" if flags.operating_point is not None else "--calibrate"
        raise CnncliError(
            f"{given}: is chosen on val, and here val is what is judged, so the figures would be "
            "too good; judge images of --data that are new to the run, or train with a test split, "
            "or judge a fold of cnncli cross-validate (--checkpoint FOLDER/fold1), which has both"
        )
    if is_val and stored is not None and stored.val:
        reporter.warn(
            f"{DECISION_FILE} was chosen on val, whose images are judged here: its figures are too "
            "good"
        )


def choose_decision(
    flags: DecisionFlags,
    stored: Decision | None,
    class_names: tuple[str, ...],
    val: tuple[Array, Array] | None,
    reporter: Reporter,
    tta: str | int | None = None,
    of_weights: float = 1.0,
) -> Decision:
    """Choose what the flags ask for; what they do not speak of stays as it is stored.

    Args:
        flags: What is to be decided, as `check_decision` passed it.
        stored: The decision that is stored beside the weights; None for none.
        class_names: The K classes.
        val: Class numbers (N,) and probabilities (N, K) of the run's val images; None if nothing is
            chosen on them.
        reporter: Gets warnings.
        tta: The views over which the probabilities were averaged; None for none.
        of_weights: The temperature that the network applies by itself.

    Returns:
        The decision. A stored threshold that was chosen by a rule is chosen again for a new
        temperature.

    Raises:
        CnncliError: If val does not allow the choice, or a stored threshold that was given by hand
            would be one of other probabilities.
    """
    decision = stored or Decision(class_names)
    rule = flags.operating_point
    if flags.calibrate:
        assert val is not None
        found = _fit(*val)
        decision = replace(decision, temperature=found, temperature_of_weights=of_weights, tta=tta)
        if decision.threshold is not None and not flags.has_threshold:
            if decision.operating_point is None:
                raise CnncliError(
                    f"--calibrate: the stored threshold {decision.threshold:g} of "
                    f"{decision.positive!r} is one of the probabilities so far; give --positive "
                    "and a threshold again, or leave it out with --raw"
                )
            rule = parse_operating_point(decision.operating_point)
    if flags.threshold is not None:
        decision = replace(
            decision,
            positive=flags.positive,
            threshold=flags.threshold,
            operating_point=None,
            tta=decision.tta if decision.temperature else None,
            val={"images": decision.val.get("images")} if decision.temperature else {},
        )
    elif rule is not None:
        assert val is not None
        decision = replace(decision, positive=flags.positive or decision.positive, tta=tta)
        decision = _choose_point(decision, rule, *val, reporter)
    if val is not None:
        decision = replace(decision, val=_describe_val(decision, *val))
    if flags.abstain_below is not None:
        decision = replace(decision, abstain_below=flags.abstain_below)
    warn_of_abstaining(decision, reporter)
    return decision


def _fit(targets: Array, probabilities: Array) -> float:
    temperature = fit_temperature(targets, probabilities)
    if math.isnan(temperature):
        wrong = int((probabilities.argmax(axis=1) != targets).sum())
        raise CnncliError(
            f"--calibrate temperature: of {len(targets)} val images {wrong} are predicted wrongly, "
            "and no temperature between 0.01 and 100 is the best one; a temperature needs more val "
            "images, right and wrong ones"
        )
    return temperature


def _choose_point(
    decision: Decision,
    rule: OperatingRule,
    targets: Array,
    probabilities: Array,
    reporter: Reporter,
) -> Decision:
    """Return the decision with the threshold that a rule chooses."""
    positive = decision.positive_target
    is_positive = targets == positive
    sides = {
        f"of class {decision.positive!r}": int(is_positive.sum()),
        f"of other classes than {decision.positive!r}": int((~is_positive).sum()),
    }
    for side, count in sides.items():
        if count == 0:
            raise CnncliError(
                f"--operating-point {rule}: val has no image {side}, so nothing can be chosen on "
                "it; give --threshold P, or train with a val split that has some"
            )
    scores = decision.adjust(probabilities)[:, positive].astype(np.float64)
    threshold = choose_threshold(scores, is_positive, rule)
    if math.isnan(threshold):
        raise CnncliError(
            f"--operating-point {rule}: no threshold reaches it on val, where images of other "
            f"classes have probability 1 of {decision.positive!r}"
        )
    few = [f"{count} {side}" for side, count in sides.items() if count < FEW]
    if few:
        reporter.warn(
            f"the threshold is chosen on few val images ({', '.join(few)}; at least {FEW} of each "
            "side are wanted), so what it reaches on other images may be far from what it reached "
            "there"
        )
    called = int((scores >= threshold).sum())
    if called in (0, len(scores)):
        what = "every" if called else "no"
        reporter.warn(f"at threshold {threshold:.4g}, {what} val image is {decision.positive!r}")
    return replace(decision, threshold=threshold, operating_point=str(rule))


def _describe_val(decision: Decision, targets: Array, probabilities: Array) -> dict[str, Any]:
    """Return what `Decision.val` holds."""
    facts: dict[str, Any] = {"images": len(targets)}
    if decision.threshold is not None and decision.operating_point is not None:
        positive = decision.positive_target
        is_positive = targets == positive
        scores = decision.adjust(probabilities)[:, positive].astype(np.float64)
        figures = compute_figures(Outcomes.count(scores >= decision.threshold, is_positive))
        facts["positive_images"] = int(is_positive.sum())
        facts |= {name: float(figures[name]) for name in ("sensitivity", "specificity")}
    return facts


def warn_of_abstaining(decision: Decision, reporter: Reporter) -> None:
    """Warn where a level to abstain below does nothing, or takes away what a threshold calls."""
    below, classes = decision.abstain_below, len(decision.class_names)
    if below is None:
        return
    if decision.threshold is not None and decision.threshold < below:
        reporter.warn(
            f"images whose probability of {decision.positive!r} lies from its threshold "
            f"{decision.threshold:.4g} up to {below:g} get {ABSTAIN!r}, not {decision.positive!r}"
        )
    elif decision.threshold is None and below <= 1 / classes:
        reporter.warn(
            f"--abstain-below {below:g}: withholds nothing, as the likeliest of "
            f"{count_of(classes, 'class')} always has a probability of {1 / classes:.4g} or more"
        )
