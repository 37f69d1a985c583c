"""``cnncli visualize shift``: what a shift of the image by some pixels changes in each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.errors import CnncliError
from cnncli.explain.layers import find_layer
from cnncli.explain.shift import Difference, compare_maps, shift_right
from cnncli.explain.units import Grid, find_grid, run_layers
from cnncli.models.head import main_logits
from cnncli.models.tracing.receptive_field import Span
from cnncli.models.tracing.trace import Record, trace_network
from cnncli.plots.shift import ShiftRows, save_shifts
from cnncli.recipes.visualize.photos import as_batch, choose_photo
from cnncli.recipes.visualize.settings import View, VisualizeSettings, open_answering
from cnncli.reporting import Reporter
from cnncli.run.subject import Subject

_FARTHEST = 16  # pixels
_MOST_LAYERS = 26
COLUMNS = ("layer", "jump", "shift", "multiple", "difference", "interior", "answer", "probability")
PROBABILITIES = "probabilities"  # the last rows of the table, in place of a layer


@dataclass(frozen=True)
class _Layer:
    """A layer whose outputs are compared.

    Attributes:
        name: Its name.
        grid: Where channels and positions lie in its output.
        span: What its positions see along the columns.
    """

    name: str
    grid: Grid
    span: Span

    @property
    def jump(self) -> int | None:
        """Pixels between neighbouring columns; None if it has none."""
        return None if self.grid.column is None else self.span.jump

    def compare(self, moved: torch.Tensor, still: torch.Tensor, shift: int) -> Difference:
        """Compare the output for the shifted image with the shifted output."""
        if self.grid.column is None or self.span.jump is None:  # nothing is left to be shifted
            return compare_maps(moved, still, 0, Span(1, None), 1, 1)
        return compare_maps(moved, still, shift, self.span, self.span.jump, self.grid.column + 1)


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw how far each layer is from shifting its output when the image shifts.

    Raises:
        CnncliError: If there is no such run, network, layer or image.
    """
    subject = open_answering(settings, reporter)
    layers = _choose_layers(subject, settings.layer)
    photo = choose_photo(settings, subject, reporter)
    image = subject.classifier().normalise(as_batch([photo])).detach().contiguous()
    shifts = range(1, min(_FARTHEST, image.shape[3] - 1) + 1)
    found, probabilities = _measure(subject, layers, image, shifts)
    answers = probabilities.argmax(axis=1)
    first = int(answers[0])
    names = subject.class_names
    changed = int((answers != first).sum())
    reporter.note(
        f"{photo.name}: {names[first]} {probabilities[0, first]:.3f}; of {len(shifts)} shifts, "
        f"{changed} change the answer"
    )
    rows = _list_rows(layers, found, probabilities, names)
    values = np.array(
        [[np.nan if one.value is None else one.value for one in line] for line in found]
    ).reshape(len(layers), len(shifts))
    weights = "" if subject.is_trained else " with random weights"
    table = ShiftRows(
        names=[layer.name for layer in layers],
        jumps=[layer.jump for layer in layers],
        values=values,
        interior=np.array([[one.interior for one in line] for line in found], bool).reshape(
            values.shape
        ),
    )
    return View(
        draw=partial(
            save_shifts,
            rows=table,
            probabilities=probabilities[:, first],
            same=answers == first,
            answer=names[first],
            note=f"{subject.model}{weights}; what leaves at the right comes in at the left\n"
            "dot: the shift is a multiple of the layer's jump; stroke: borders are included",
        ),
        rows=rows,
        columns=COLUMNS,
        array=values,
        document={
            "image": photo.name,
            "answer": names[first],
            "probability": float(probabilities[0, first]),
            "changed": changed,
            "rows": rows,
        },
    )


def _choose_layers(subject: Subject, wanted: str | None) -> list[_Layer]:
    """Return the layer that was named, or those that can be compared, in the order they run.

    Blocks are compared as a whole. Rows of blocks are so too where there would be more than
    `_MOST_LAYERS` otherwise.

    Raises:
        CnncliError: If the layer that was named is not there or cannot be compared.
    """
    pre = subject.preprocess
    records = trace_network(subject.network, pre.image_size, pre.channels)
    if wanted is not None:
        find_layer(subject.network, wanted)
        layer = _read_layer(wanted, records[wanted])
        if layer is None:
            raise CnncliError(
                f"--layer {wanted}: has neither columns nor values of the whole image that could "
                "be compared"
            )
        return [layer]
    modules = dict(subject.network.named_modules())
    chosen: list[_Layer] = []
    deepest = max((name.count(".") + 1 for name in modules if name), default=1)
    for depth in range(1, deepest + 1):
        names = [name for name in records if _is_shown(name, modules, depth)]
        names.sort(key=lambda name: records[name].order)
        read = [_read_layer(name, records[name]) for name in names]
        layers = [layer for layer in read if layer is not None]
        if chosen and len(layers) > _MOST_LAYERS:
            break
        chosen = layers
    return chosen


def _is_shown(name: str, modules: Mapping[str, nn.Module], depth: int) -> bool:
    """Return whether a module is compared by itself if names have ``depth`` parts at most.

    A sequence of layers is taken apart; any other block does more than its layers one by one, such
    as adding its input, and is compared as a whole.
    """
    parts = name.split(".")
    above = [modules[".".join(parts[:length])] for length in range(1, len(parts))]
    if not name or len(parts) > depth or not all(map(_is_sequence, above)):
        return False
    module = modules[name]
    if next(module.children(), None) is not None:
        return len(parts) == depth or not _is_sequence(module)
    # What treats each position by itself, such as ReLU and BatchNorm, changes nothing here.
    mixes = hasattr(module, "kernel_size") or hasattr(module, "output_size")
    return mixes or isinstance(module, nn.Linear)


def _is_sequence(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList)


def _read_layer(name: str, record: Record) -> _Layer | None:
    """Return what is needed to compare a layer; None if it cannot be compared."""
    if record.field is None or record.output_shape is None or record.field.layout is None:
        return None
    grid, span = find_grid(record.field, record.output_shape), record.field.spans[1]
    layer = _Layer(name, grid, span)
    if layer.jump is None and any(atom.axes for dim in record.field.layout for atom in dim):
        return None  # positions that are not in columns, such as those of a flattened map
    return layer


def _measure(
    subject: Subject, layers: Sequence[_Layer], image: torch.Tensor, shifts: range
) -> tuple[list[list[Difference]], Array]:
    """Return the differences, one list for each layer, and the probabilities (S + 1, K)."""
    network = subject.network
    names = [*(layer.name for layer in layers), ""]  # "" is the network itself
    found: list[list[Difference]] = [[] for _ in layers]
    with torch.no_grad():
        still = run_layers(network, image, names)
        logits = [main_logits(still[""])]
        for shift in shifts:
            moved = run_layers(network, shift_right(image, shift, 3), names)
            logits.append(main_logits(moved[""]))
            for layer, line in zip(layers, found, strict=True):
                line.append(layer.compare(moved[layer.name], still[layer.name], shift))
    scaled = torch.cat(logits).double() / subject.temperature
    probabilities: Array = scaled.softmax(dim=1).numpy()
    return found, probabilities


def _list_rows(
    layers: Sequence[_Layer],
    found: Sequence[Sequence[Difference]],
    probabilities: Array,
    names: Sequence[str],
) -> list[dict[str, object]]:
    """Return a row for each layer and shift, then one for the probabilities at each shift."""
    rows: list[dict[str, object]] = [
        {
            "layer": layer.name,
            "jump": layer.jump,
            "shift": shift,
            "multiple": None if layer.jump is None else shift % layer.jump == 0,
            "difference": one.value,
            "interior": one.interior,
        }
        for layer, line in zip(layers, found, strict=True)
        for shift, one in enumerate(line, 1)
    ]
    first = int(probabilities[0].argmax())
    for shift, given in enumerate(probabilities[1:], 1):
        length = float(np.linalg.norm(probabilities[0]))
        rows.append(
            {
                "layer": PROBABILITIES,
                "shift": shift,
                "difference": float(np.linalg.norm(given - probabilities[0])) / length,
                "answer": names[int(given.argmax())],
                "probability": float(given[first]),
            }
        )
    return rows
