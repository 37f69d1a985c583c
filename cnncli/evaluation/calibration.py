"""Temperature scaling: one number that makes probabilities as sure as they are right."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cnncli.evaluation.metrics import FloatArray, IntArray

# The range that a temperature is looked for in.
LOWEST, HIGHEST = 0.01, 100.0
# What is assumed of a temperature before any image is seen: two in three are between 0.37 and 2.7.
_SPREAD = 1.0
# Of a careful temperature's logarithm: a thousandth of what can be seen in a probability.
_STEP = 1e-6
# Probabilities of 0 count as the smallest number that float32 holds in full: the logarithm of 0 is
# no number.
_SMALLEST = float(np.finfo(np.float32).tiny)


def apply_temperature(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Return the probabilities that the logits divided by a temperature have.

    The logits themselves are not needed: the logarithm of the probabilities is the logits but for
    a constant of each image, which the softmax does not see.

    Args:
        probabilities: (N, K) or (K,).
        temperature: Above 0. Above 1 the probabilities move away from 0 and 1, below 1 towards
            them; the order of an image's classes stays.

    Returns:
        Probabilities of the same shape and type; each row sums to 1.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 9.
    """
    from scipy.special import softmax  # type: ignore[import-untyped]

    scaled: FloatArray = softmax(_logarithm(probabilities) / temperature, axis=-1)
    return scaled.astype(probabilities.dtype)


def fit_temperature(targets: IntArray, probabilities: FloatArray) -> float:
    """Return the temperature under which the mean log loss of images is smallest.

    As a function of 1/temperature the loss is convex: there is one smallest value.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K).

    Returns:
        The temperature; NaN where the loss falls up to an end of the range from 0.01 to 100, as it
        does where every image is predicted rightly: then no temperature is the best.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    loss = _build_loss(targets, probabilities)
    low, high = math.log(LOWEST), math.log(HIGHEST)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    if min(found.x - low, high - found.x) < 1e-3:
        return math.nan
    return math.exp(found.x)


def _build_loss(
    targets: IntArray, probabilities: FloatArray, spread: float = math.inf
) -> Callable[[float], float]:
    """Return the mean log loss as a function of a temperature's natural logarithm.

    With 50,000 images of 1,000 classes each value takes half a second: no array is copied for it.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K).
        spread: Standard deviation of the logarithm around 0, as it is known before any image was
            seen; few images then give a temperature near 1. Infinite for no such knowledge.
    """
    logits = _logarithm(probabilities)
    logits -= logits.max(axis=1, keepdims=True)  # at most 0, so that no exponential is too large
    rows = np.arange(len(targets))
    wanted = logits[rows, targets].mean()
    # The largest class's power is 1. It is left to log1p, which is exact where the others are tiny.
    logits[rows, logits.argmax(axis=1)] = -np.inf
    powers = np.empty_like(logits)

    def loss(log_temperature: float) -> float:
        temperature = math.exp(log_temperature)
        np.exp(np.divide(logits, temperature, out=powers), out=powers)
        known = log_temperature**2 / (2 * spread**2 * len(targets))
        return float(np.log1p(powers.sum(axis=1)).mean() - wanted / temperature) + known

    return loss


def fit_careful_temperature(targets: IntArray, probabilities: FloatArray) -> float:
    """Return a temperature of at least 1, one that makes less sure or changes nothing.

    To be too sure costs more than to be too unsure, and a few dozen images, most of them predicted
    rightly, too easily say that a network may be surer than it is.

    Args:
        targets: (N,) class indices, at least one.
        probabilities: (N, K).

    Returns:
        The temperature, rounded to four digits after the point: 1 where it would be below, 100
        where it would be above, as for thousands of images predicted wrongly without any doubt.
    """
    from scipy.optimize import minimize_scalar

    loss = _build_loss(targets, probabilities, _SPREAD)
    if loss(_STEP) >= loss(0.0):
        return 1.0
    bounds = (0.0, math.log(HIGHEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": _STEP})
    return max(1.0, round(math.exp(found.x), 4))


def _logarithm(probabilities: FloatArray) -> FloatArray:
    values: FloatArray = np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST))
    return values
