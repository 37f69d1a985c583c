"""The drawn windows, read back from the files, against torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from windows import build_layer

from cnncli.arithmetic.convolution import Size, SlidingWindow
from cnncli.plots.animation import Animation, Box, Text
from cnncli.plots.sliding_window import draw_sliding_window, save_sliding_window

INPUT = "#CFE3F5"  # the ground of a pixel that some window reaches
TRANSPOSED = SlidingWindow((3, 3), (2, 2), (1, 1), output_padding=(1, 1), kind="transposed")
CASES = {
    "plain": (SlidingWindow((3, 3)), (5, 5)),
    "stride and padding": (SlidingWindow((3, 3), (2, 2), (1, 1)), (5, 5)),
    "dilation": (SlidingWindow((3, 3), dilation=(2, 2)), (7, 7)),
    "drops a row": (SlidingWindow((3, 3), (2, 2)), (6, 6)),
    "gaps": (SlidingWindow((2, 1), (3, 2)), (6, 5)),
    "not square": (SlidingWindow((3, 2), (1, 2), (1, 0)), (4, 6)),
    "pool": (SlidingWindow((2, 2), (2, 2), kind="pool"), (4, 4)),
    "ceil mode": (SlidingWindow((3, 3), (2, 2), kind="pool", ceil_mode=True), (6, 5)),
    "transposed": (TRANSPOSED, (3, 3)),
    "transposed and cut off": (SlidingWindow((2, 3), (2, 1), (3, 3), kind="transposed"), (5, 6)),
    "many": (SlidingWindow((5, 5), (1, 2)), (28, 28)),
}
Point = tuple[float, float]

every_case = pytest.mark.parametrize(("window", "size"), CASES.values(), ids=CASES)


def _ask_torch(window: SlidingWindow, size: Size) -> torch.Tensor:
    """Return (pixels, outputs): whether an output depends on a pixel, without those never seen."""
    layer = build_layer(window).double()
    for parameter in layer.parameters():
        torch.nn.init.constant_(parameter, float(parameter.dim() > 1))
    one_hot = torch.eye(size[0] * size[1], dtype=torch.float64).reshape(-1, 1, *size)
    with torch.no_grad():
        depends = (layer(one_hot) > 0).flatten(1)
    return depends[depends.any(1)]


def _find_pixels(animation: Animation) -> list[Point]:
    """Return the middles of the drawn pixels that are seen, row by row."""
    boxes = [box for box in animation.still if isinstance(box, Box) and box.fill == INPUT]
    in_grid = boxes[:-1]  # the last one belongs to the legend
    return [(box.x + box.width / 2, box.y + box.height / 2) for box in in_grid]


@every_case
def test_a_gif_marks_the_pixels_that_torch_depends_on(
    tmp_path: Path, window: SlidingWindow, size: Size
) -> None:
    expected = _ask_torch(window, size)
    save_sliding_window(tmp_path / "a.gif", window, size)
    pixels = _find_pixels(draw_sliding_window(window, size))
    assert len(pixels) == len(expected)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == expected.shape[1]  # type: ignore[attr-defined]
        for step in range(expected.shape[1]):
            gif.seek(step)
            frame = gif.convert("RGB")
            colours = {frame.getpixel((int(x), int(y))) for x, y in pixels}
            assert len(colours) <= 2, "flat colours stay flat"
            plain = tuple(bytes.fromhex(INPUT[1:]))
            marked = [frame.getpixel((int(x), int(y))) != plain for x, y in pixels]
            assert marked == expected[:, step].tolist()


def _elements_at(document: str, seconds: float) -> Iterator[tuple[ElementTree.Element, Point]]:
    """Yield what an SVG shows at a time, with the offset of its group, by the rules of SMIL."""
    root = ElementTree.fromstring(document)
    for child in root:
        if not child.tag.endswith("}g"):
            yield child, (0, 0)
            continue
        group = dict(child.attrib)
        for animate in child:
            if "animate" not in animate.tag:
                continue
            total = float(animate.attrib["dur"].removesuffix("s"))
            times = [float(time) for time in animate.attrib["keyTimes"].split(";")]
            values = animate.attrib["values"].split(";")
            assert times == sorted(times)
            assert (times[0], len(times)) == (0, len(values))
            assert animate.attrib["calcMode"] == "discrete"
            assert animate.attrib["repeatCount"] == "indefinite"
            last = [i for i, time in enumerate(times) if time <= seconds % total / total][-1]
            group[animate.attrib["attributeName"]] = values[last]
        if group.get("opacity", "1") == "1":
            numbers = re.findall(r"[\d.]+", group.get("transform", "0 0"))
            x, y = map(float, numbers)
            yield from ((element, (x, y)) for element in child if "animate" not in element.tag)


def _covers(element: ElementTree.Element, offset: Point, point: Point) -> bool:
    x, y, width, height = (float(element.attrib[k]) for k in ("x", "y", "width", "height"))
    return (0 < point[0] - offset[0] - x < width) and (0 < point[1] - offset[1] - y < height)


@every_case
def test_an_svg_marks_the_pixels_that_torch_depends_on(
    tmp_path: Path, window: SlidingWindow, size: Size
) -> None:
    expected = _ask_torch(window, size)
    steps, pace = save_sliding_window(tmp_path / "a.svg", window, size)
    assert steps == expected.shape[1]
    document = (tmp_path / "a.svg").read_text("utf-8")
    pixels = _find_pixels(draw_sliding_window(window, size))
    for step in {*range(min(steps, 12)), steps // 2, steps - 1}:
        shown = list(_elements_at(document, (step + 0.5) * pace))
        taps = [(e, offset) for e, offset in shown if e.attrib.get("fill") == "#E69F00"]
        marked = [any(_covers(e, offset, point) for e, offset in taps[1:]) for point in pixels]
        assert marked == expected[:, step].tolist()
        captions = [e.text for e, _ in shown if (e.text or "").startswith("step ")]
        assert [text.split(":")[0] for text in captions if text] == [f"step {step + 1} of {steps}"]
        filled = [e for e, _ in shown if e.attrib.get("fill") == "#BFE5D6"]
        assert len(filled) - 1 == step + 1  # - legend


def _texts(window: SlidingWindow, size: Size) -> list[str]:
    animation = draw_sliding_window(window, size)
    return [shape.text for shape in animation.still if isinstance(shape, Text)]


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        ("stride and padding", ["(5 + 2·1 − 3)/2 + 1 = 3", "input 5×5, with padding 7×7"]),
        ("drops a row", ["⌊(6 + 2·0 − 3)/2⌋ + 1 = ⌊3/2⌋ + 1 = 2", "output 2×2",
                         "The last row and the last column are never seen."]),
        ("not square", ["height: (4 + 2·1 − 3)/1 + 1 = 4", "width: (6 + 2·0 − 2)/2 + 1 = 3"]),
        ("ceil mode", ["The last window is partial: what lies outside does not count."]),
        ("transposed", ["(3 − 1)·2 − 2·1 + (3 − 1) + 1 + 1 = 6", "input 3×3, with zeros 8×8",
                        "Zeros between two pixels: stride − 1 = 1. The window moves by 1.",
                        "Zeros around: kernel − 1 − padding = 1."]),
    ],
)  # fmt: skip
def test_the_words_have_the_numbers(case: str, lines: list[str]) -> None:
    texts = _texts(*CASES[case])
    assert [line for line in lines if line not in texts] == []


@every_case
def test_all_stays_inside_the_picture(window: SlidingWindow, size: Size) -> None:
    animation = draw_sliding_window(window, size)
    assert animation.width == 800
    for shape in animation.still:
        assert 0 <= shape.x <= 800
        assert 0 <= shape.y <= animation.height
        if isinstance(shape, Box):
            assert shape.x + shape.width <= 800
            assert shape.y + shape.height <= animation.height
    grid = [box for box in animation.still if isinstance(box, Box) and box.fill == INPUT]
    outputs = [shapes[0] for shapes in animation.appearing]
    assert max(box.x + box.width for box in grid[:-1]) < min(box.x for box in outputs)


@pytest.mark.parametrize("suffix", [".gif", ".svg"])
def test_the_same_layer_gives_the_same_file(tmp_path: Path, suffix: str) -> None:
    contents = set()
    for name in ("a", "b"):
        save_sliding_window(tmp_path / f"{name}{suffix}", *CASES["plain"])
        contents.add((tmp_path / f"{name}{suffix}").read_bytes())
    assert len(contents) == 1


def test_a_gif_repeats_for_ever_and_rests_at_the_end(tmp_path: Path) -> None:
    save_sliding_window(tmp_path / "a.gif", *CASES["plain"])
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.info["loop"], gif.info["duration"], gif.width) == (0, 500, 800)
        assert gif.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
        gif.seek(8)
        assert gif.info["duration"] == 2000


def test_many_steps_go_faster() -> None:
    paces = [draw_sliding_window(SlidingWindow((5, 5)), (n, n)).pace for n in (12, 20, 28)]
    assert paces == [0.5, 0.12, 0.05]  # 64, 256 and 576 steps


def test_numbers_that_would_be_too_small_are_left_out() -> None:
    small = draw_sliding_window(SlidingWindow((3, 3)), (6, 6))
    large = draw_sliding_window(*CASES["many"])
    assert [shape.text for shape in small.appearing[4] if isinstance(shape, Text)] == ["5"]
    assert [shape for shape in large.appearing[4] if isinstance(shape, Text)] == []
    assert "step 5 of" in large.captions[4][0].text  # type: ignore[union-attr]


def test_an_svg_is_one_still_picture_where_nothing_moves(tmp_path: Path) -> None:
    """Without its animations it shows the last step, and it never has a script."""
    save_sliding_window(tmp_path / "a.svg", *CASES["plain"])
    document = (tmp_path / "a.svg").read_text("utf-8")
    assert "<script" not in document
    root = ElementTree.fromstring(document)
    visible = [g for g in root if g.tag.endswith("}g") and g.attrib.get("opacity") != "0"]
    texts = [element.text for group in visible for element in group if element.text]
    assert [text for text in texts if text.startswith("step")] == [
        "step 9 of 9: output row 3, column 3"
    ]
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == "Convolution: input 5×5, kernel 3×3, stride 1, padding 0"
