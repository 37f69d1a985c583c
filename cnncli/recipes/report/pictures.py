"""The pictures of the page."""

from __future__ import annotations

import math
import time

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.data.store import map_in_threads
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.page.pictures import picture_uri
from cnncli.plots.grid import to_picture
from cnncli.reporting import Reporter
from cnncli.run.draw_sample import draw_sample
from cnncli.training.cores import count_cpus


def draw_pictures(
    samples: Samples,
    order: Array,
    preprocess: Preprocess,
    reporter: Reporter,
    *,
    most: int | None,
    room: int,
    end: float = math.inf,
) -> tuple[dict[int, str], int]:
    """Return pictures as data URIs, by the images' numbers; and for how many there was no time.

    Args:
        samples: The images.
        order: (M,) their numbers, those that matter most first.
        preprocess: How the network gets its images.
        reporter: Gets the progress, and how many cannot be read any more.
        most: Number of pictures; None takes as many as there is room for.
        room: Number of characters of all pictures together.
        end: From when on no more are drawn, by ``time.monotonic``.
    """
    wanted = order[: len(order) if most is None else most].tolist()

    def draw(index: int) -> str | None:
        try:
            return picture_uri(to_picture(draw_sample(samples, index, preprocess)))
        except (ImageError, OSError):
            return None

    pictures: dict[int, str] = {}
    lost = taken = left = 0
    with reporter.progress("pictures", len(wanted)) as advance:
        drawn = map_in_threads(draw, wanted, count_cpus())
        for number, (index, uri) in enumerate(zip(wanted, drawn, strict=True)):
            advance(1)
            if uri is None:
                lost += 1
                continue
            taken += len(uri)
            if most is None and taken > room:
                break
            if time.monotonic() > end:
                left = len(wanted) - number
                break
            pictures[index] = uri
    if lost:
        reporter.warn(f"{lost} images cannot be read any more; the page has no picture of them")
    return pictures, left
