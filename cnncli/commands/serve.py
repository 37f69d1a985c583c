"""``cnncli serve``."""

from __future__ import annotations

from typing import Annotated

import typer

from cnncli.augmentation.notation import parse_tta
from cnncli.errors import CnncliError
from cnncli.shell.command import FLAG_HINTS
from cnncli.shell.decision_flags import Raw
from cnncli.shell.engine_flags import ServingEngine
from cnncli.shell.flags import JudgingPrecision, TestTimeViews
from cnncli.shell.terminal import choose_reporter, print_line, tell_begin


def serve(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="Run folder, part of a run's name, last, a file (.onnx too), or a "
            "cross-validation [newest finished run].",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on; 0.0.0.0 is reached from other machines."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Answer to this host name too, as behind a proxy; may be given several times.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Device that computes: auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    precision: JudgingPrecision = None,
    tta: TestTimeViews = None,
    engine: ServingEngine = None,
    batch_size: Annotated[int, typer.Option(help="Images per forward pass, at most.")] = 32,
    max_megabytes: Annotated[int, typer.Option(help="Most megabytes of a request.")] = 32,
    max_megapixels: Annotated[int, typer.Option(help="Most millions of pixels of an image.")] = 50,
    max_waiting: Annotated[
        int, typer.Option(help="Most images that wait; more are refused.")
    ] = 256,
    timeout: Annotated[
        int,
        typer.Option(
            help="Seconds for a request to arrive, and then for its answer.",
        ),
    ] = 30,
    raw: Raw = False,
) -> None:
    """Serve a page to try a trained classifier on images, and POST /predict; print its address.

    It needs an extra: pip install 'cnncli[serve]'. Ctrl-C or SIGTERM ends it.
    """
    bounds = {
        "--batch-size": batch_size,
        "--max-megabytes": max_megabytes,
        "--max-megapixels": max_megapixels,
        "--max-waiting": max_waiting,
        "--timeout": timeout,
    }
    for flag, value in bounds.items():
        if value < 1:
            raise CnncliError(f"{flag} {value}: must be at least 1")
    if not 0 <= port <= 65535:
        raise CnncliError(f"--port {port}: a port is a number from 0 to 65535")
    views = None if tta is None else parse_tta(tta)
    _check_extra()
    tell_begin("loading the network")
    from cnncli.recipes.serve import ServeSettings
    from cnncli.recipes.serve import serve as serve_run
    from cnncli.run.engines import is_onnx_file
    from cnncli.run.networks import EngineSettings
    from cnncli.serving.limits import Limits

    # Heat maps are torch's, and a server that runs for days need not begin within a second.
    engine = engine or ("auto" if run is not None and is_onnx_file(run) else "torch")
    settings = ServeSettings(
        checkpoint=run,
        host=host,
        port=port,
        names=tuple(allow_host or ()),
        engine=EngineSettings(engine, device, precision, views, raw),
        batch_size=batch_size,
        limits=Limits(
            bytes=max_megabytes * 1_000_000,
            pixels=max_megapixels * 1_000_000,
            images=max_waiting,
            seconds=timeout,
        ),
    )
    reporter = choose_reporter()
    serve_run(settings, reporter, print_line)
    reporter.note("stopped")


setattr(serve, FLAG_HINTS, {"--checkpoint": "name the run without a flag: serve RUN"})


def _check_extra() -> None:
    """Refuse to go on where a library of the extra is missing, before torch is loaded."""
    try:
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        missing = str(error.name).replace("_", "-")  # as pip has it
        raise CnncliError(
            f"serve: needs its extra, of which {missing} is missing: pip install 'cnncli[serve]'"
        ) from None
