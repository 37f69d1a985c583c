"""The page as HTML: what it shows, and the template that writes it down."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from cnncli.page.chart import Chart
from cnncli.page.sections import DataSection, GroupFigures, PartsTable
from cnncli.page.tables import format_figure

_TEMPLATES = Path(__file__).parent / "templates"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Content:
    """What the page shows.

    Attributes:
        title: The page's heading.
        privacy: What the page holds of the images, in a sentence.
        facts: What the run was: names and texts.
        commands: Names and lines to type.
        data: What a check found in the images.
        flow: Rows of where the images went: ``what``, ``images``, ``groups`` (each None if
            unknown).
        warnings: What may spoil the figures.
        missing: What the page lacks, and why.
        figures: The headline figures: ``name``, ``value``, ``low``, ``high``, ``why`` there is no
            interval, and ``unit``, as texts.
        interval_note: What the intervals mean.
        undefined: Why figures are undefined.
        class_names: The K names.
        matrix: (K, K) counts; None if there is no report.
        pairs: Whether the matrix is too large, and the pairs that are confused most are listed.
        per_class: A row per class: its name (``class``) and its figures, each with its interval.
        judged: The JSON of the images; None if their probabilities are not known.
        point: The stored operating point: ``told``, ``positive``, ``threshold`` and ``abstain``;
            None if there is none.
        flagged: How many images have a flag, and what that means; empty if none has.
        not_listed: Number of images that are judged and not in the page.
        with_heat: Whether images have heat maps.
        ranking: ROC, and precision and recall.
        calibration: The chart, or None.
        bins: The rows behind it.
        learning: The charts of the epochs.
        groups: Rows of groups: ``group``, ``images``, ``wrong``.
        group_note: How many groups are not listed; empty if all are.
        by_group: The figures with one answer for each group; None without groups.
        parts: The figures by property of the files and by column.
        parts_missing: Why some of these are missing; empty if none is.
        folds: Rows of the folds of a cross-validation: figures by name, as texts; ``fold`` first.
        settings: The run's settings, by name.
        layers: Rows of the network's table.
        network: What the network is, in a line.
    """

    title: str
    privacy: str
    facts: Sequence[tuple[str, str]]
    commands: Sequence[tuple[str, str]]
    data: DataSection
    flow: Sequence[Row]
    warnings: Sequence[str]
    missing: Sequence[str]
    figures: Sequence[Row]
    interval_note: str
    undefined: Sequence[str]
    class_names: Sequence[str]
    matrix: Sequence[Sequence[int]] | None
    pairs: Sequence[tuple[int, int, int]] | None
    per_class: Sequence[Mapping[str, tuple[str, str]]]
    judged: Markup | None = None
    point: Any = None
    flagged: str = ""
    not_listed: int = 0
    with_heat: bool = False
    ranking: Sequence[Chart] = ()
    calibration: Chart | None = None
    bins: Sequence[Row] = ()
    learning: Sequence[Chart] = ()
    groups: Sequence[Row] = ()
    group_note: str = ""
    by_group: GroupFigures | None = None
    parts: Sequence[PartsTable] = ()
    parts_missing: str = ""
    folds: Sequence[Mapping[str, str]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    layers: Sequence[Row] = ()
    network: str = ""


def render_page(content: Content) -> str:
    """Return the page: one HTML text that asks for nothing from anywhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = format_figure
    environment.filters["flags"] = mark_flags
    environment.filters["shade"] = choose_shade
    style = (_TEMPLATES / "report.css").read_text("utf-8")
    script = (_TEMPLATES / "report.js").read_text("utf-8")
    return environment.get_template("report.html").render(
        page=content,
        style=Markup(style),
        script=Markup(script),
        style_digest=_digest(style),
        script_digest=_digest(script),
    )


def _digest(text: str) -> str:
    """Return the hash by which the page's policy knows a script or style of ours."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def mark_flags(text: str) -> Markup:
    """Return a text in which no line ends inside a flag of the command line, such as --data."""
    return Markup(re.sub(r"--[a-z][a-z-]*", r"<code>\g<0></code>", str(escape(text))))


def choose_shade(count: int, total: int) -> int:
    """Return how strong the colour of a cell of the matrix is: 0 for no image, else 1 to 9.

    Args:
        count: Images in the cell.
        total: Images in its row.
    """
    return 0 if not count else max(1, round(9 * count / total))
