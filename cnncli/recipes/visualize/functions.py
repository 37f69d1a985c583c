"""``cnncli visualize functions``: activation functions and their slopes."""

from __future__ import annotations

from functools import partial
from typing import get_args

import numpy as np
import torch

from cnncli.choices import ActivationName
from cnncli.errors import CnncliError, did_you_mean
from cnncli.models.swap import ACTIVATIONS
from cnncli.plots.functions import save_functions
from cnncli.recipes.visualize.settings import View, VisualizeSettings
from cnncli.reporting import Reporter

_ENDS, _STEPS = 4.0, 161  # the inputs go from -4 to 4 in steps of 0.05


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw activation functions and their slopes, which torch computes.

    Raises:
        CnncliError: If a name is no activation function.
    """
    known = get_args(ActivationName)
    names = known if settings.target is None else tuple(settings.target.replace(",", " ").split())
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f"; there are {', '.join(known)}"
            raise CnncliError(f"{name}: no activation function{near}")
    inputs = torch.linspace(-_ENDS, _ENDS, _STEPS, dtype=torch.float64)
    values, slopes = [], []
    for name in names:
        x = inputs.clone().requires_grad_()
        y = ACTIVATIONS[name]()(x)
        values.append(y.detach().numpy())
        slopes.append(torch.autograd.grad(y.sum(), x)[0].numpy())
    array = np.stack([np.stack(values), np.stack(slopes)])
    rows = [
        {"function": name, "x": round(float(x), 10), "y": float(y), "slope": float(slope)}
        for name, ys, ds in zip(names, values, slopes, strict=True)
        for x, y, slope in zip(inputs, ys, ds, strict=True)
    ]
    return View(
        draw=partial(save_functions, names=names, inputs=inputs.numpy(), values=array),
        rows=rows,
        columns=("function", "x", "y", "slope"),
        array=array,
    )
