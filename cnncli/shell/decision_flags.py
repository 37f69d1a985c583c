"""The flags of a decision: threshold, temperature and abstaining."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cnncli.choices.decision import DecisionFlags, parse_operating_point
from cnncli.shell.flags import Flags, flag
from cnncli.shell.help import DECISIONS

_PANEL = DECISIONS

Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="Leave out the decision that evaluate has stored beside the weights.",
        rich_help_panel=_PANEL,
    ),
]

AbstainBelow = flag(
    float,
    "Withhold the label, and say abstain, where its probability is below P.",
    "--abstain-below",
    metavar="P",
    rich_help_panel=_PANEL,
)

DECISION_FLAGS = {
    "positive": flag(
        str,
        "Class that a threshold is for; all others together are negative.",
        metavar="CLASS",
        rich_help_panel=_PANEL,
    ),
    "operating_point": flag(
        str,
        "Choose the threshold on val: sensitivity=0.95, specificity=0.9 or youden.",
        metavar="RULE",
        rich_help_panel=_PANEL,
    ),
    "threshold": flag(
        float,
        "The threshold itself: least probability of --positive.",
        metavar="P",
        rich_help_panel=_PANEL,
    ),
    "prevalence": flag(
        float,
        "Share of the positive class where it is to be used, for PPV and NPV there.",
        metavar="P",
        rich_help_panel=_PANEL,
    ),
    "calibrate": flag(
        Literal["temperature"],
        "Fit a temperature on val, which makes probabilities as sure as they are right.",
        rich_help_panel=_PANEL,
    ),
    "abstain_below": AbstainBelow,
}


def take_decision(flags: Flags, *, raw: bool) -> DecisionFlags:
    """Take the flags of a decision out of those that were used.

    Args:
        flags: The flags by name; those of a decision are removed.
        raw: Whether the stored decision is left out.

    Raises:
        CnncliError: If a value is not what it can be, or a flag lacks or excludes another.
    """
    given = {name: flags.pop(name) for name in DECISION_FLAGS if name in flags}
    if "operating_point" in given:
        given["operating_point"] = parse_operating_point(given["operating_point"])
    given["calibrate"] = given.get("calibrate") is not None
    return DecisionFlags(**given, raw=raw)
