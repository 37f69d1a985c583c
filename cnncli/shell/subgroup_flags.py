"""The flag of figures for subgroups."""

from __future__ import annotations

from cnncli.choices.subgroups import SubgroupColumn, parse_subgroups
from cnncli.shell.flags import Flags, flag

SUBGROUP_FLAGS = {
    "subgroup": flag(
        str,
        "Report the figures for each part of the images too, by columns of the CSV (age, or "
        "age=40/60 in bands) or by format, size or brightness of the files.",
        metavar="COL[,COL]",
        rich_help_panel="Data",
    ),
}


def take_subgroups(flags: Flags) -> tuple[SubgroupColumn, ...]:
    """Take the flag out of those given, and parse it; without it, there are no subgroups."""
    given = flags.pop("subgroup", None)
    return () if given is None else parse_subgroups(given)
