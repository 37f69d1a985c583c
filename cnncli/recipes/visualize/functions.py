"""``cnncli visualize functions``: activation functions and their slopes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import get_args

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.choices import ActivationName
from cnncli.choices.spelling import find_choice
from cnncli.errors import CnncliError, did_you_mean
from cnncli.models.swap import ACTIVATIONS
from cnncli.plots.functions import save_functions
from cnncli.recipes.visualize.settings import View, VisualizeSettings
from cnncli.reporting import Reporter

_END, _PER_ONE = 4, 20  # the inputs go from -4 to 4 in steps of 1/20
_BESIDE = 1e-9


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw activation functions and their slopes, which torch computes.

    Raises:
        CnncliError: If a name is no activation function.
    """
    known = get_args(ActivationName)
    given = "" if settings.target is None else settings.target
    if re.search(r"(^|,)\s*(,|$)", given) and given.strip(" ,"):
        raise CnncliError(f"{given!r}: a name is missing beside a comma; write relu,gelu")
    words = given.replace(",", " ").split()
    names = known if settings.target is None else tuple(find_choice(w, known) or w for w in words)
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f"; there are {', '.join(known)}"
            raise CnncliError(f"{name}: no activation function{near}")
    if not names:
        raise CnncliError(f"{settings.target!r}: names no function; there are {', '.join(known)}")
    inputs = torch.arange(-_END * _PER_ONE, _END * _PER_ONE + 1, dtype=torch.float64) / _PER_ONE
    array = _compute(names, inputs)
    # A slope that jumps at 0 is drawn as a step: a second point stands directly beside it.
    drawn = torch.cat([inputs, torch.tensor([_BESIDE], dtype=torch.float64)]).sort().values
    rows = [
        {"function": name, "x": float(x), "y": float(y), "slope": float(slope)}
        for name, ys, ds in zip(names, *array, strict=True)
        for x, y, slope in zip(inputs, ys, ds, strict=True)
    ]
    return View(
        draw=partial(
            save_functions, names=names, inputs=drawn.numpy(), values=_compute(names, drawn)
        ),
        rows=rows,
        columns=("function", "x", "y", "slope"),
        array=array,
    )


def _compute(names: Sequence[str], inputs: torch.Tensor) -> Array:
    """Return (2, F, N): the values and the slopes of F functions at N inputs."""
    values, slopes = [], []
    for name in names:
        x = inputs.clone().requires_grad_()
        y = ACTIVATIONS[name]()(x)
        values.append(y.detach().numpy())
        slopes.append(torch.autograd.grad(y.sum(), x)[0].numpy())
    return np.stack([np.stack(values), np.stack(slopes)])
