"""The body of a request, within bounds of bytes and time."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from cnncli.serving.batches import Room
from cnncli.serving.errors import RefusedError
from cnncli.serving.limits import Limits

# The name of an image, and the bytes of its file.
Sent = tuple[str, bytes]

# A client that sends too much hears of it when it has sent all. So much is thrown away for that,
# in times of the bound, and so many seconds are waited.
_DRAINED, _DRAIN_SECONDS = 4, 5.0
_FIELDS = 8  # of a form that are no files


class _InMemory(MultiPartParser):
    spool_max_size = 2**40  # the body is bounded: nothing goes to the disk


async def read_images(request: Request, limits: Limits, held: Room) -> tuple[list[Sent], bool]:
    """Read the images of a request.

    Args:
        request: Its body is the bytes of one image, or a form with files (multipart/form-data).
        limits: Bounds of bytes, images and time.
        held: Counts the bytes of all requests; what is taken here is given back by the caller, who
            reads it in ``request.state.held``.

    Returns:
        Name and bytes of each, and whether the request could have held several.

    Raises:
        RefusedError: If the body is too large, too slow, cut, empty, or no form that can be read.
    """
    request.state.held = 0
    is_form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    try:
        with anyio.fail_after(limits.seconds):
            if is_form:
                return await _read_form(request, limits, held), True
            data = b"".join([chunk async for chunk in _chunks(request, limits, held)])
    except TimeoutError:
        raise RefusedError(
            408, f"the request did not arrive within {limits.seconds:g} seconds", closes=True
        ) from None
    if not data:
        raise RefusedError(400, "no image: send its bytes, or a form with files")
    return [(_base_name(request.query_params.get("name", "")), data)], False


async def _read_form(request: Request, limits: Limits, held: Room) -> list[Sent]:
    parser = _InMemory(
        request.headers,
        _chunks(request, limits, held),
        max_files=limits.images,
        max_fields=_FIELDS,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError) as error:
        reason = getattr(error, "message", error)
        raise RefusedError(400, f"not a form that can be read: {reason}") from None
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    sent = [(_base_name(file.filename or ""), await file.read()) for file in files]
    await form.close()
    if not sent:
        raise RefusedError(400, "no image in the form: send one or several files")
    return sent


def _base_name(name: str) -> str:
    """Return the last part of a file's name: a client's folders are no concern of ours."""
    return name.replace("\\", "/").rpartition("/")[2]


async def _chunks(request: Request, limits: Limits, held: Room) -> AsyncGenerator[bytes, None]:
    """Yield the body as it arrives, and count it."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.bytes:
        if request.headers.get("expect", "").lower() != "100-continue":
            await _drain(request, limits)
        raise _too_large(limits)
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the request was cut off", closes=True)
        chunk, more = message.get("body", b""), message.get("more_body", False)
        if request.state.held + len(chunk) > limits.bytes:
            if more:
                await _drain(request, limits)
            raise _too_large(limits)
        held.take(len(chunk))
        request.state.held += len(chunk)
        yield chunk


def _too_large(limits: Limits) -> RefusedError:
    return RefusedError(413, f"too large: more than {limits.bytes:,} bytes", closes=True)


async def _drain(request: Request, limits: Limits) -> None:
    """Take what a client still sends, for a while: it reads the answer when it has sent all."""
    count = 0
    with anyio.move_on_after(_DRAIN_SECONDS):
        while count < _DRAINED * limits.bytes:
            message = await request.receive()
            count += len(message.get("body", b""))
            if not message.get("more_body"):
                return
