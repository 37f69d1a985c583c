"""The flags of an evaluation by group."""

from __future__ import annotations

from typing import Literal

from cnncli.choices import Aggregate
from cnncli.errors import CnncliError
from cnncli.shell.flags import Flags, flag

BY_GROUP_FLAGS = {
    "by": flag(
        Literal["group"],
        "Report a second time with one answer for each group, such as a patient.",
        rich_help_panel="Data",
    ),
    "aggregate": flag(
        Aggregate,
        "How the probabilities of a group's images become one: their mean, the largest of each "
        "class, or the share of images predicted so [mean].",
        rich_help_panel="Data",
    ),
}


def take_by_group(flags: Flags) -> Aggregate | None:
    """Take the flags of an evaluation by group out of those given.

    Returns:
        How probabilities are combined; None where no evaluation by group is wanted.

    Raises:
        CnncliError: If ``--aggregate`` is given alone.
    """
    by, aggregate = flags.pop("by", None), flags.pop("aggregate", None)
    if by is None and aggregate is not None:
        raise CnncliError(f"--aggregate {aggregate}: how --by group combines; give that too")
    return None if by is None else aggregate or "mean"
