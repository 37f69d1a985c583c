"""An animation as a GIF, in the exact colours of the drawing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cnncli.arrays import Array
from cnncli.plots.animation import GROUND, Animation, Shape, Stroke, Text, find_font, measure

if TYPE_CHECKING:
    from PIL.Image import Image


def make_gif(animation: Animation) -> bytes:
    """Return an animation as the content of a GIF that repeats for ever."""
    from PIL import Image

    size = animation.width, animation.height
    used = np.zeros(2**24, bool)
    for frame in _draw_frames(animation):
        used[_pack(frame)] = True
    colours = np.flatnonzero(used)
    assert len(colours) < 256, "one index of the palette is for what stays as it was"
    palette = [level for colour in colours for level in int(colour).to_bytes(3, "little")]
    indices = np.zeros(2**24, np.uint8)
    indices[colours] = np.arange(len(colours))

    def pictures() -> Iterator[Image.Image]:
        for frame in _draw_frames(animation):
            picture = Image.frombytes("P", size, indices[_pack(frame)].tobytes())
            picture.putpalette(palette)
            yield picture

    pace, steps = round(1000 * animation.pace), len(animation.captions)
    rest = pictures()
    first = next(rest)
    content = io.BytesIO()
    first.save(
        content,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=[pace] * (steps - 1) + [pace + round(1000 * animation.pause)],
        loop=0,
        optimize=True,  # what does not change from frame to frame is not stored again
        disposal=1,
    )
    return content.getvalue()


def _draw_frames(animation: Animation) -> Iterator[Image]:
    from PIL import Image

    base = Image.new("RGB", (animation.width, animation.height), GROUND)
    for shape in animation.still:
        _paint(base, shape)
    for step, shapes in enumerate(animation.appearing):
        for shape in shapes:
            _paint(base, shape)
        frame = base.copy()
        for mover in animation.movers:
            for shape in mover.shapes:
                _paint(frame, _move(shape, *mover.places[step]))
        for shape in (*animation.over, *animation.captions[step]):
            _paint(frame, shape)
        yield frame


def _pack(frame: Image) -> Array:
    """Return the colour of every pixel (H·W,) as one number."""
    return np.frombuffer(frame.convert("RGBX").tobytes(), "<u4") & 0xFFFFFF


def _move(shape: Shape, x: float, y: float) -> Shape:
    if isinstance(shape, Stroke):
        return replace(shape, x=shape.x + x, y=shape.y + y, x2=shape.x2 + x, y2=shape.y2 + y)
    return replace(shape, x=shape.x + x, y=shape.y + y)


def _paint(image: Image, shape: Shape) -> None:
    """Draw a shape; edges lie half inside and half outside of a box, as in an SVG."""
    from PIL import ImageDraw

    if isinstance(shape, Text):
        left, top, mask = _draw_letters(shape.text, round(shape.size), shape.bold)
        start = shape.x - measure(shape.text, shape.size, bold=shape.bold) / 2 * shape.centred
        image.paste(shape.colour, (round(start + left), round(shape.y + top)), mask)
        return
    painter = ImageDraw.Draw(image, "RGBA")
    if isinstance(shape, Stroke):
        ends = (shape.x, shape.y, shape.x2, shape.y2)
        painter.line(ends, shape.colour, round(shape.thickness))
        return
    left, top = round(shape.x), round(shape.y)
    right, bottom = round(shape.x + shape.width), round(shape.y + shape.height)
    if shape.fill:
        alpha = f"{round(255 * shape.opacity):02X}"
        painter.rectangle((left, top, right - 1, bottom - 1), shape.fill + alpha)
    if shape.edge:
        thick = max(round(shape.thickness), 1)
        out, within = thick // 2, thick - thick // 2
        box = (left - out, top - out, right + within - 1, bottom + within - 1)
        painter.rectangle(box, None, shape.edge, thick)


@lru_cache(maxsize=4096)
def _draw_letters(text: str, size: int, bold: bool) -> tuple[int, int, Image]:
    """Return where a text begins beside its base line's left end, and its mask, of few levels.

    A palette has 256 colours; with five levels at the edges of letters, all that occur fit in.
    """
    from PIL import Image, ImageDraw

    left, top, right, bottom = map(round, find_font(size, bold).getbbox(text, anchor="ls"))
    mask = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(mask).text((-left, -top), text, 255, find_font(size, bold), "ls")
    return left, top, mask.point([round(level / 255 * 4) * 255 // 4 for level in range(256)])
