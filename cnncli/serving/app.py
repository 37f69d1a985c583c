"""The server's answers: the page, ``POST /predict``, ``/about``, ``/healthz`` and ``/metrics``."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cnncli import __version__
from cnncli.errors import CnncliError
from cnncli.images.header import ImageError, TooLargeError
from cnncli.run.prediction_row import Row
from cnncli.serving.batches import Batches, Room
from cnncli.serving.body import Sent, read_images
from cnncli.serving.errors import RefusedError
from cnncli.serving.guard import Guard
from cnncli.serving.limits import Limits
from cnncli.serving.metrics import CONTENT_TYPE, Metrics
from cnncli.serving.network import ServedNetwork, Wanted
from cnncli.training.cores import count_cpus

_PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_UNREADABLE, _TOO_LARGE = 422, 413
_GONE = 499  # the client has closed the connection; nobody reads the answer
_YES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def build_app(
    network: ServedNetwork,
    limits: Limits,
    *,
    batch_size: int,
    host: str,
    names: Iterable[str] = (),
) -> ASGIApp:
    """Return the app, for requests from the page itself and from programs.

    Args:
        network: The network that is asked.
        limits: What the server holds at once.
        batch_size: Most images of a pass through the network.
        host: The address that the server listens on, as it was typed.
        names: Further host names to answer to.
    """
    server = _Answers(network, limits, batch_size)
    page = [Route(path, partial(_send_file, *row)) for path, row in _PAGE.items()]
    routes = [
        *page,
        Route("/predict", server.predict, methods=["POST"]),
        Route("/about", server.about),
        Route("/healthz", server.healthz),
        Route("/metrics", server.show_metrics),
    ]
    app = Starlette(
        routes=routes,
        lifespan=server.lifespan,
        exception_handlers={HTTPException: _no_such_path},
    )
    return server.counted(Guard(app, host, names))


async def _send_file(name: str, kind: str, request: Request) -> Response:
    return Response((Path(__file__).parent / "page" / name).read_bytes(), media_type=kind)


async def _no_such_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    right = "send an image with POST" if request.url.path == "/predict" else "ask with GET"
    told = {404: "no such path; there are /, /predict, /about, /healthz and /metrics"}
    reason = told.get(error.status_code, f"{request.method}: {right}")
    return _json({"error": reason}, error.status_code, error.headers)


class _Answers:
    """What one server holds: the network, those that wait for it, and the counts."""

    def __init__(self, network: ServedNetwork, limits: Limits, batch_size: int) -> None:
        self.network, self.limits = network, limits
        self.metrics = Metrics()
        self.batches = Batches(network.answer, batch_size, self.metrics.batches.add)
        self.decoders = ThreadPoolExecutor(count_cpus(), "decode")
        self.images = Room(limits.images, "images wait,")
        self.held = Room(limits.held, "bytes are held,")

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self.decoders.shutdown(wait=False, cancel_futures=True)
        self.batches.close()

    def counted(self, app: ASGIApp) -> ASGIApp:
        """Return the app with its answers counted."""
        known = {*_PAGE, "/predict", "/about", "/healthz", "/metrics"}

        async def count(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            path, begin = scope["path"] if scope["path"] in known else "other", time.monotonic()

            async def send_counted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.metrics.requests[path, message["status"]] += 1
                    if path == "/predict":
                        self.metrics.seconds.add(time.monotonic() - begin)
                await send(message)

            await app(scope, receive, send_counted)

        return count

    async def about(self, request: Request) -> Response:
        """Answer what network this is, and what is taken."""
        bounds = {
            "bytes": self.limits.bytes,
            "pixels": self.limits.pixels,
            "images": self.limits.images,
            "seconds": self.limits.seconds,
        }
        return _json({"cnncli": __version__, **self.network.about(), "limits": bounds})

    async def healthz(self, request: Request) -> Response:
        """Answer that the server answers, and how many images wait."""
        return _json({"status": "ok", "waiting": self.images.taken})

    async def show_metrics(self, request: Request) -> Response:
        """Answer the counts, as Prometheus reads them."""
        text = self.metrics.text(lambda: self.images.taken)
        return Response(text, media_type=CONTENT_TYPE)

    async def predict(self, request: Request) -> Response:
        """Answer one image with an object, and several with a list."""
        request.state.held = 0
        try:
            wanted = self._read_wishes(request)
            if self.images.taken >= self.images.most:  # before the body is read
                self.images.take(1)
            sent, is_form = await read_images(request, self.limits, self.held)
            samples = self._group(sent)
            status, rows = await self._within_time(request, samples, wanted)
        except RefusedError as error:
            return _refusal(error)
        except CnncliError as error:
            return _json({"error": str(error)}, 500)
        finally:
            self.held.give_back(request.state.held)
        several = is_form and len(rows) > 1
        return _json(rows if several else rows[0], status)

    def _read_wishes(self, request: Request) -> Wanted:
        query = request.query_params
        ((name, times),) = Counter(name for name, _ in query.multi_items()).most_common(1) or [
            ("", 0)
        ]
        if times > 1:
            raise RefusedError(400, f"{name}: is there {times} times; give it once")
        flags = {}
        for name in ("probabilities", "heat_map"):
            given = query.get(name, "0")
            if given.lower() not in _YES:
                raise RefusedError(400, f"{name}={given}: use 1 or 0")
            flags[name] = _YES[given.lower()]
        given = query.get("top_k", "1")
        if not (given.isascii() and given.isdecimal() and int(given[:9]) >= 1):
            raise RefusedError(400, f"top_k={given}: must be a whole number, at least 1")
        unknown = sorted(set(query) - {"top_k", "name", *flags})
        if unknown:
            raise RefusedError(
                400, f"{unknown[0]}: not known; there are top_k, probabilities, heat_map and name"
            )
        return Wanted(top_k=int(given[:9]), **flags)

    def _group(self, sent: Sequence[Sent]) -> list[tuple[str, list[bytes]]]:
        """Return name and files of each sample: so many files in a row as it has."""
        count = self.network.preprocess.count_files
        if len(sent) % count:
            raise RefusedError(
                400,
                f"an image of this network is {count} files, one behind the other in one form; "
                f"{len(sent)} came",
            )
        groups = [sent[first : first + count] for first in range(0, len(sent), count)]
        return [("|".join(name for name, _ in group), [d for _, d in group]) for group in groups]

    async def _within_time(
        self, request: Request, samples: Sequence[tuple[str, list[bytes]]], wanted: Wanted
    ) -> tuple[int, list[Row]]:
        """Return status and rows; stop when the client goes, or the time is over."""
        self.images.take(len(samples))
        work = asyncio.ensure_future(self._answer_all(samples, wanted))
        gone = asyncio.ensure_future(_wait_until_gone(request))
        try:
            await asyncio.wait(
                (work, gone), timeout=self.limits.seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if work.done():
                return work.result()
            if gone.done():
                raise RefusedError(_GONE, "the client has gone", closes=True)
            raise RefusedError(503, f"no answer within {self.limits.seconds:g} seconds; try again")
        finally:
            for task in (work, gone):
                task.cancel()
            self.images.give_back(len(samples))

    async def _answer_all(
        self, samples: Sequence[tuple[str, list[bytes]]], wanted: Wanted
    ) -> tuple[int, list[Row]]:
        rows: list[Row] = [{} for _ in samples]
        statuses = [200] * len(samples)

        async def answer(place: int) -> None:
            statuses[place], rows[place] = await self._answer(*samples[place], wanted)

        tasks = [asyncio.ensure_future(answer(place)) for place in range(len(samples))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return max(statuses), rows

    async def _answer(self, name: str, files: list[bytes], wanted: Wanted) -> tuple[int, Row]:
        """Return status and row of one image."""
        loop = asyncio.get_running_loop()
        read = partial(self.network.read, name, files, self.limits.pixels, draw=wanted.heat_map)
        try:
            image = await loop.run_in_executor(self.decoders, read)
        except ImageError as error:
            self.metrics.images["unreadable"] += 1
            status = _TOO_LARGE if isinstance(error, TooLargeError) else _UNREADABLE
            return status, self.network.unreadable_row(name, str(error), wanted)
        answer = await self.batches.ask(image)
        draw = partial(self.network.row, name, image, answer, wanted)
        row = await loop.run_in_executor(self.decoders, draw) if wanted.heat_map else draw()
        self.metrics.images["answered"] += 1
        return 200, row


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        await anyio.sleep(0)


def _refusal(error: RefusedError) -> Response:
    headers = {"connection": "close"} if error.closes else {}
    if error.status == 503:
        headers["retry-after"] = "1"
    return _json({"error": str(error)}, error.status, headers)


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    r"""Return a value as one line of JSON; what is no ASCII is written as ``\u00e9``."""
    body = json.dumps(value, allow_nan=False) + "\n"
    return Response(body, status, headers, "application/json")
