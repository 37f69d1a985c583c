"""The flags that say what a command makes from a run when it has finished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cnncli.run.afters import After
    from cnncli.run.evaluation import Evaluation

WithReport = Annotated[
    bool,
    typer.Option(
        "--report/--no-report",
        envvar="CNNCLI_REPORT",
        help="Write the page of the run, report.html, at the end.",
        rich_help_panel="Output",
    ),
]

WithOnnx = Annotated[
    bool,
    typer.Option(
        "--onnx/--no-onnx",
        envvar="CNNCLI_ONNX",
        help="Write the network for predict and other programs, best.onnx, at the end.",
        rich_help_panel="Output",
    ),
]


@dataclass(frozen=True)
class WantedAfters:
    """What is wanted of that.

    Attributes:
        report: The page.
        onnx: The network as an ONNX file.
    """

    report: bool
    onnx: bool = False

    def load(self) -> list[After]:
        """Return what makes it; what that imports is heavy."""
        afters = []
        if self.report:
            from cnncli.recipes.report.after import page_after

            afters.append(page_after())
        if self.onnx:
            from cnncli.recipes.export import onnx_after

            afters.append(onnx_after())
        return afters


def load_evaluation_page(data: str | None) -> Callable[[Evaluation], None]:
    """Return what writes the page of an evaluation; what that imports is heavy.

    Args:
        data: The images as the user named them; None for those of the run.
    """
    from cnncli.recipes.report.after import write_evaluation_page
    from cnncli.training.stopping import process_start

    return partial(write_evaluation_page, started=process_start(), data=data)
