"""The flags that say what computes a trained network, as commands share them."""

from __future__ import annotations

from typing import Annotated

import typer

from cnncli.choices import Engine, Precision
from cnncli.errors import CnncliError

AnsweringEngine = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="What computes: onnx runs a run's best.onnx without torch; auto takes it where it "
        "gives the same answers.",
        rich_help_panel="Device",
    ),
]
ServingEngine = Annotated[
    Engine | None,
    typer.Option(
        "--engine",
        help="What computes: onnx runs a run's best.onnx, without heat maps [torch; onnx for an "
        ".onnx file].",
        show_default=False,
        rich_help_panel="Device",
    ),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Compute with torch in float32: the same as --engine torch --precision fp32.",
        rich_help_panel="Device",
    ),
]


def settle_exact(
    exact: bool, engine: Engine, precision: Precision | None
) -> tuple[Engine, Precision | None]:
    """Return engine and precision, which ``--exact`` names both.

    Raises:
        CnncliError: If one of them is named besides, and is another.
    """
    if not exact:
        return engine, precision
    if engine not in ("auto", "torch"):
        raise CnncliError(f"--exact: computes with torch; leave it or --engine {engine} out")
    if precision not in (None, "fp32"):
        raise CnncliError(f"--exact: computes in fp32; leave it or --precision {precision} out")
    return "torch", "fp32"
