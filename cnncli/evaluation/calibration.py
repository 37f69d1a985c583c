"""Temperature scaling: one number that makes probabilities as sure as they are right."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnncli.evaluation.metrics import FloatArray, IntArray

# The range that a temperature is looked for in.
LOWEST, HIGHEST = 0.01, 100.0
# What is assumed of a temperature before any image is seen: two in three are between 0.37 and 2.7.
_SPREAD = 1.0
# A logarithm so near to an end of the range is taken for that end.
_AT_END = 1e-3
# So many probabilities are looked at together: 2 MB as float64, which stay in a processor's cache.
_BLOCK = 2**18
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
    rows = probabilities.reshape(-1, probabilities.shape[-1])
    scaled = np.empty_like(rows)
    for part in _blocks(rows):
        powers = np.exp(_logits(rows[part], np.float64) / temperature)
        scaled[part] = powers / powers.sum(axis=1, keepdims=True)
    return scaled.reshape(probabilities.shape)


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
    low, high = math.log(LOWEST) + _AT_END, math.log(HIGHEST) - _AT_END
    found = _find_lowest(targets, probabilities, low, high)
    return math.exp(found) if low < found < high else math.nan


def _find_lowest(
    targets: IntArray,
    probabilities: FloatArray,
    low: float,
    high: float,
    spread: float = math.inf,
) -> float:
    """Return the logarithm of the temperature with the lowest mean log loss.

    The slope is brought near to zero with float32's numbers, which are several times as fast, and
    to its end by a step of Newton's method with float64's.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K).
        low: The lowest logarithm; it is returned where the loss rises from there on.
        high: The highest logarithm; it is returned where the loss falls up to it.
        spread: Standard deviation of the logarithm around 0, as it is known before any image was
            seen; few images then give a temperature near 1. Infinite for no such knowledge.
    """
    from scipy.optimize import brentq  # type: ignore[import-untyped]

    def slope(log_temperature: float) -> float:
        return _slopes(targets, probabilities, log_temperature, spread, np.float32)[0]

    if slope(low) >= 0:
        return low
    if slope(high) <= 0:
        return high
    found = float(brentq(slope, low, high, xtol=1e-5))
    first, second = _slopes(targets, probabilities, found, spread, np.float64)
    return min(high, max(low, found - first / second))


def _slopes(
    targets: IntArray, probabilities: FloatArray, log_temperature: float, spread: float, kind: Any
) -> tuple[float, float]:
    """Return the first and second derivative of the mean log loss by ln(temperature).

    With b = 1/temperature and an image's logits z, of which t is that of its label, the loss is
    ln(sum of exp(b z)) - b t. By b its derivatives are the mean of z minus t, and the variance of
    z, both with the probabilities as weights.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K).
        log_temperature: Where the derivatives are wanted.
        spread: As in `_find_lowest`.
        kind: The type of number to compute with.
    """
    inverse = math.exp(-log_temperature)
    first = second = 0.0
    for part in _blocks(probabilities):
        logits = _logits(probabilities[part], kind)
        wanted = logits[np.arange(len(logits)), targets[part]]
        powers = np.exp(logits * kind(inverse))
        whole = powers.sum(axis=1)
        powers *= logits
        mean = powers.sum(axis=1) / whole
        square = np.einsum("nk,nk->n", powers, logits) / whole
        first += float((mean - wanted).sum(dtype=np.float64))
        second += float((square - mean**2).sum(dtype=np.float64))
    by_log = -inverse * first + log_temperature / spread**2
    return by_log, inverse**2 * second + inverse * first + 1 / spread**2


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
    found = _find_lowest(targets, probabilities, 0.0, math.log(HIGHEST), _SPREAD)
    return round(math.exp(found), 4)


def _blocks(probabilities: FloatArray) -> Iterator[slice]:
    """Yield the rows of (N, K) in parts of about ``_BLOCK`` numbers."""
    rows = max(1, _BLOCK // probabilities.shape[1])
    yield from (slice(at, at + rows) for at in range(0, len(probabilities), rows))


def _logits(probabilities: FloatArray, kind: Any) -> FloatArray:
    """Return logits, the largest of each row 0, so that no exponential is too large."""
    logits: FloatArray = np.log(np.maximum(probabilities.astype(kind), _SMALLEST))
    logits -= logits.max(axis=1, keepdims=True)
    return logits
