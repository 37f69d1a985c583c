"""An animation as an SVG that moves by itself, without a script, also inside an ``<img>``."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from cnncli.plots.animation import GROUND, Animation, Shape, Stroke, Text

# Verdana has the widths of DejaVu Sans; the others are narrower.
_FAMILY = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"


def make_svg(animation: Animation) -> str:
    """Return an animation as an SVG document that repeats for ever.

    Viewers that cannot animate, and printers, show the last step.
    """
    return "".join(_write(animation))


def _write(animation: Animation) -> Iterator[str]:
    a, steps = animation, len(animation.captions)
    total = steps * a.pace + a.pause
    timing = f'dur="{total:.2f}s" repeatCount="indefinite" calcMode="discrete"'

    def at(step: int) -> str:
        return f"{step * a.pace / total:.5f}".rstrip("0").rstrip(".")

    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {a.width} {a.height}" '
        f'width="{a.width}" height="{a.height}" font-family="{_FAMILY}">\n'
        f"<title>{escape(a.title)}</title>\n"
        f'<rect width="{a.width}" height="{a.height}" fill="{GROUND}"/>\n'
    )
    yield from map(_to_svg, a.still)
    for step, shapes in enumerate(a.appearing):
        yield "<g>"
        if step:
            keys = f'values="0;1" keyTimes="0;{at(step)}"'
            yield f'<animate attributeName="opacity" {keys} {timing}/>'
        yield from map(_to_svg, shapes)
        yield "</g>\n"
    all_times = ";".join(map(at, range(steps)))
    for mover in a.movers:
        places = [f"{_number(x)} {_number(y)}" for x, y in mover.places]
        yield (
            f'<g transform="translate({places[-1]})"><animateTransform attributeName="transform" '
            f'type="translate" values="{";".join(places)}" keyTimes="{all_times}" {timing}/>'
        )
        yield from map(_to_svg, mover.shapes)
        yield "</g>\n"
    yield from map(_to_svg, a.over)
    for step, shapes in enumerate(a.captions):
        first, last = step == 0, step == steps - 1
        values = ["0"] * (not first) + ["1"] + ["0"] * (not last)
        times = ["0"] + [at(step)] * (not first) + [at(step + 1)] * (not last)
        yield f'<g opacity="{int(last)}">'
        if len(values) > 1:
            yield (
                f'<animate attributeName="opacity" values="{";".join(values)}" '
                f'keyTimes="{";".join(times)}" {timing}/>'
            )
        yield from map(_to_svg, shapes)
        yield "</g>\n"
    yield "</svg>\n"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _to_svg(shape: Shape) -> str:
    if isinstance(shape, Text):
        extra = ' font-weight="bold"' * shape.bold + ' text-anchor="middle"' * shape.centred
        return (
            f'<text x="{_number(shape.x)}" y="{_number(shape.y)}" font-size="{_number(shape.size)}"'
            f' fill="{shape.colour}"{extra}>{escape(shape.text)}</text>\n'
        )
    if isinstance(shape, Stroke):
        return (
            f'<path d="M{_number(shape.x)} {_number(shape.y)}L{_number(shape.x2)} '
            f'{_number(shape.y2)}" stroke="{shape.colour}" '
            f'stroke-width="{_number(shape.thickness)}"/>\n'
        )
    edge = f' stroke="{shape.edge}" stroke-width="{_number(shape.thickness)}"' if shape.edge else ""
    opacity = f' fill-opacity="{shape.opacity}"' if shape.opacity < 1 else ""
    return (
        f'<rect x="{_number(shape.x)}" y="{_number(shape.y)}" width="{_number(shape.width)}" '
        f'height="{_number(shape.height)}" fill="{shape.fill or "none"}"{opacity}{edge}/>\n'
    )
