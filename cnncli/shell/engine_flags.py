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
        help="What computes: onnx and openvino (an extra) run a run's best.onnx without torch, and "
        "auto takes onnx where it gives the same answers.",
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
        help="Compute with torch, in exact float32.",
        rich_help_panel="Device",
    ),
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Check an exported network by the samples in its file, in place of INPUT; exit with "
        "1 if it answers otherwise here.",
    ),
]


def settle_exact(
    exact: bool, engine: Engine, precision: Precision | None
) -> tuple[Engine, Precision | None]:
    """Return engine and precision, which ``--exact`` names both; None is exact float32.

    Raises:
        CnncliError: If one of them is named besides, and is another.
    """
    if not exact:
        return engine, precision
    if engine not in ("auto", "torch"):
        raise CnncliError(f"--exact: computes with torch; leave it or --engine {engine} out")
    if precision not in (None, "fp32"):
        raise CnncliError(f"--exact: computes in fp32; leave it or --precision {precision} out")
    return "torch", None


def check_network(checkpoint: list[str] | None, model: str | None, weights: str | None) -> None:
    """Refuse flags that do not say which trained network is to predict."""
    if model is None:
        if weights is not None:
            raise CnncliError(
                f"--weights {weights}: of which network? Name it with --model; a run is given with "
                "--checkpoint"
            )
        return
    if checkpoint:
        raise CnncliError("--checkpoint and --model: give one of them")
    from cnncli.models.registry import find_model  # the tables of all networks

    find_model(model)
    if weights is None:
        raise CnncliError(
            f"--model {model}: predict needs trained weights: --weights default, or the PATH of a "
            "file"
        )
