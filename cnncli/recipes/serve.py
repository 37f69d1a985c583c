"""Serve: answer images over HTTP with the network of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cnncli.reporting import Reporter
from cnncli.run.networks import EngineSettings
from cnncli.serving.app import build_app
from cnncli.serving.guard import is_loopback
from cnncli.serving.limits import Limits
from cnncli.serving.listen import address_of, listen, open_socket
from cnncli.serving.network import ServedNetwork


@dataclass(frozen=True)
class ServeSettings:
    """How to serve.

    Attributes:
        checkpoint: A run folder, a cross-validation or a checkpoint; None for the newest finished
            run.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        names: Further host names to answer to.
        engine: With what to compute.
        batch_size: Most images of a pass through the network.
        limits: What is held at once.
    """

    checkpoint: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    engine: EngineSettings = field(default_factory=EngineSettings)
    batch_size: int = 32
    limits: Limits = field(default_factory=Limits)


def serve(settings: ServeSettings, reporter: Reporter, ready: Callable[[str], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C; those that are there are finished then.

    Args:
        settings: How to serve.
        reporter: Gets remarks.
        ready: Is called with the page's address once the server answers.

    Raises:
        CnncliError: If the address cannot be taken, or the network cannot be used.
    """
    with open_socket(settings.host, settings.port) as listener:
        network = ServedNetwork(settings.checkpoint, settings.engine, reporter)
        if network.engine != "torch" and network.count == 1:
            reporter.note(
                "no heat maps, since torch alone computes them: serve the run folder with "
                "--engine torch"
            )
        if not is_loopback(settings.host):
            reporter.warn(
                f"--host {settings.host}: other machines can reach this server; it asks nobody for "
                "a password, and what is sent to it is not encrypted"
            )
        app = build_app(
            network,
            settings.limits,
            batch_size=settings.batch_size,
            host=settings.host,
            names=settings.names,
        )
        url = address_of(listener, settings.host)
        listen(app, listener, settings.limits, lambda: ready(url))
