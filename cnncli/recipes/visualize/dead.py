"""``cnncli visualize dead``: the channels that pass no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from cnncli.errors import CnncliError
from cnncli.explain.dead import ChannelCount, count_dead, share_of_all
from cnncli.models.registry import short_name
from cnncli.plots.layer_bars import LayerBar, save_layer_bars
from cnncli.recipes.visualize.photos import as_batch, choose_photos
from cnncli.recipes.visualize.settings import View, VisualizeSettings, open_subject
from cnncli.reporting import Reporter

_IMAGES = 100
_COLUMNS = ("layer", "function", "call", "channels", "dead", "dead_share", "negative")
_NOTE = (
    "dead 0 %: every channel has a slope at some place of some image, and can learn\n"
    "dead 100 %: no channel has a slope; no gradient passes this layer"
)
_MAIN = "dead: slope 0 at every place of every image"
_OTHER = "input below 0 at every place of every image; the function has no flat side, so not dead"


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Count, layer by layer, the channels whose activation has slope zero for every image.

    Raises:
        CnncliError: If there is no such run or network, no image, or no activation function.
    """
    subject = open_subject(settings, reporter)
    photos = choose_photos(settings, subject, reporter, count=settings.count or _IMAGES)
    images = subject.classifier().normalise(as_batch(photos))
    counts = count_dead(subject.network, images)
    if not counts:
        raise CnncliError(f"{subject.model}: has no activation function, so that nothing is dead")
    dead, possible = share_of_all(counts)
    looked = f"{len(photos)} image{'s'[: len(photos) > 1]}"
    title = f"{short_name(subject.model)}, {looked}: "
    title += (
        f"{dead:,} of {possible:,} channels are dead"
        if possible
        else "no activation has a flat side, so no channel can be dead"
    )
    return View(
        draw=partial(
            save_layer_bars,
            bars=_list_bars(counts),
            title=title,
            main=_MAIN,
            other=_OTHER,
            note=_NOTE if possible else "",
        ),
        rows=[_describe(count) for count in counts],
        columns=_COLUMNS,
        array=np.array([count.share for count in counts]),
        document={
            "images": len(photos),
            "channels": possible,
            "dead": dead,
            "layers": [
                {
                    **_describe(count),
                    "dead_channels": None
                    if count.dead is None
                    else np.flatnonzero(count.dead).tolist(),
                }
                for count in counts
            ],
        },
    )


def _describe(count: ChannelCount) -> dict[str, object]:
    dead = count.dead
    return {
        "layer": count.layer or "(network)",
        "function": count.function,
        "call": count.call,
        "channels": len(count.negative),
        "dead": None if dead is None else int(dead.sum()),
        "dead_share": None if dead is None else float(dead.mean()),
        "negative": int(count.negative.sum()),
    }


def _list_bars(counts: Sequence[ChannelCount]) -> list[LayerBar]:
    repeated = {count.layer for count in counts if count.call > 1}
    return [
        LayerBar(
            name=f"{count.layer or '(network)'}"
            + (f", call {count.call}" if count.layer in repeated else "")
            + f"  {count.function}",
            share=count.share,
            text=f"{count.counted.sum()} of {len(count.counted)}",
            is_main=count.has_flat_side,
        )
        for count in counts
    ]
