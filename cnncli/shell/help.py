"""Help as plain text, without rich: what a command takes, under headings, each flag once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, get_args

from cnncli.choices import Heading
from cnncli.shell.flags import DATA_ARGUMENT

DECISIONS = "Decisions"  # what is done with the probabilities of a run, and no setting of it
_OF_RUNS: tuple[str, ...] = get_args(Heading)
HEADINGS = (*_OF_RUNS[:-2], DECISIONS, *_OF_RUNS[-2:])
# A command of so many flags shows them as one list; headings would only take it apart.
_MOST_IN_ONE_LIST = 20
# In columns: a longer label has a line of its own above its text.
_LABEL_WIDTH = 26
# In columns: a longer list of choices stands in the text.
_WIDEST_CHOICES = 44

Row = tuple[str, str]


def list_sections(parameters: Iterable[Any], context: Any) -> list[tuple[str, list[Row]]]:
    """Return what a command takes as help shows it.

    Args:
        parameters: The command's parameters, as Typer builds them.
        context: The command's context.

    Returns:
        Headings in their order, each with the label and the text of what stands under it.
    """
    parameters = list(parameters)
    options = [each for each in parameters if each.param_type_name == "option" and not each.hidden]
    with_headings = len(options) > _MOST_IN_ONE_LIST
    sections: dict[str, list[Row]] = {"Arguments": []}
    own = getattr(context.command.callback, "sections", {})
    sections |= {heading: list(rows) for heading, rows in own.items()}
    sections |= {heading: [] for heading in HEADINGS} if with_headings else {"Options": []}
    for parameter in parameters:
        record = parameter.get_help_record(context)
        if record is None:  # it is hidden
            continue
        if parameter.param_type_name == "argument":
            heading = "Arguments"
        elif with_headings:
            heading = getattr(parameter, "rich_help_panel", None) or HEADINGS[-1]
        else:
            heading = "Options"
        sections[heading].append(_shorten_label(*_name_both(parameter, record, parameters)))
    return [(heading, rows) for heading, rows in sections.items() if rows]


def _name_both(parameter: Any, record: Row, parameters: list[Any]) -> Row:
    """Return a row that names the argument too where data can be given as one."""
    label, text = record
    arguments = [each.metavar for each in parameters if each.name == DATA_ARGUMENT]
    return (f"{arguments[0]}, {label}" if arguments and parameter.name == "data" else label), text


def _shorten_label(label: str, text: str) -> Row:
    """Move a list of choices that would not fit a line of 80 columns from the label to the text."""
    match = re.fullmatch(r"(\S+) [<\[](\w+(?:\|\w+)+)[>\]]", label)
    if match is None or len(label) <= _WIDEST_CHOICES:
        return label, text
    return f"{match[1]} NAME", f"{text} One of {match[2].replace('|', ', ')}."


def write_sections(formatter: Any, sections: list[tuple[str, list[Row]]]) -> None:
    """Write sections into Typer's help formatter, their texts in one column."""
    widest = max((len(label) for _, rows in sections for label, _ in rows), default=0)
    width = min(widest, _LABEL_WIDTH)
    for heading, rows in sections:
        with formatter.section(heading):
            texts = [(label.ljust(width), hold_flags(text)) for label, text in rows]
            formatter.write_dl(texts, col_max=width)


# Typer breaks lines at hyphens, and nothing tells it not to; it does not know this one.
_HELD = "\u2011"
_FLAG = re.compile(r"--\w+(-\w+)+")


def hold_flags(text: str) -> str:
    """Return a text in which no line is broken within a flag, until `release_flags`."""
    return _FLAG.sub(lambda flag: f"--{flag[0][2:].replace('-', _HELD)}", text)


def release_flags(text: str) -> str:
    """Return what was made of a text from `hold_flags`, with the hyphens as they were."""
    return text.replace(_HELD, "-")
