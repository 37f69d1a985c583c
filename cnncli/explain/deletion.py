"""Whether a heat map is better than chance: what is left when its hottest pixels are removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.explain.occlusion import Probabilities
from cnncli.reporting import Advance

STEPS = 10  # of the deletion curve
COPIES = 39  # shifted copies of a map
NEEDED = 0.95  # share of the copies that a good map beats: 38 of 39
_LEAST_SHIFT = 0.25  # of a side, along at least one of the two
_BLUR = 1 / 12  # standard deviation of the blur, of the shorter side
_TIE = 1e-6  # areas that differ less are equal: float32 gives no more
_BATCH = 32

# Passes through the network for one map, but for the two ends of the curve.
PASSES = (COPIES + 1) * (STEPS - 1)


@dataclass(frozen=True)
class DeletionTest:
    """The deletion curves of a map and of its shifted copies.

    Attributes:
        curve: (S + 1,) the class's probability after 0, 1/S, … of all pixels were removed.
        shifted: (n, S + 1) the same for each shifted copy.
    """

    curve: Array
    shifted: Array

    @property
    def fractions(self) -> Array:
        """(S + 1,) the fractions of pixels that were removed, from 0 to 1."""
        return np.linspace(0, 1, len(self.curve))

    @property
    def area(self) -> float:
        """The area under the map's curve, 0–1; small if the hottest pixels are what counts."""
        return float(_areas(self.curve))

    @property
    def shifted_areas(self) -> list[float]:
        """The areas under the curves of the shifted copies."""
        return [float(area) for area in _areas(self.shifted)]

    @property
    def beaten(self) -> int:
        """Number of shifted copies whose area is larger than the map's."""
        return sum(area > self.area + _TIE for area in self.shifted_areas)

    @property
    def share_beaten(self) -> float:
        """Fraction of the shifted copies whose area is larger than the map's."""
        return self.beaten / len(self.shifted)

    @property
    def is_better(self) -> bool:
        """Whether the map beats at least 95 % of its shifted copies."""
        return self.share_beaten >= NEEDED


def _areas(curves: Array) -> Array:
    """Return the areas under curves (…, S + 1) by the trapezoidal rule, their width being 1."""
    areas: Array = np.trapezoid(curves, dx=1 / (curves.shape[-1] - 1), axis=-1)
    return areas


def deletion_test(
    probabilities: Probabilities,
    image: torch.Tensor,
    target: int,
    heat: Array,
    *,
    seed: int = 0,
    advance: Advance | None = None,
) -> DeletionTest:
    """Remove pixels from the hottest on, and compare with randomly shifted copies of the map.

    A tenth of the pixels at a time is replaced by a blurred version of the image (black would be an
    edge of its own). A map that points at what the class is seen by makes the probability fall
    early. Its copies have the same forms but point elsewhere: they are shifted along both axes
    around the edges, by at least a quarter of the side along one of them.

    A map that has nothing to do with the image has no reason to be better than its copies: it is
    among the best 2 of 40 in about 5 of 100 cases.

    Args:
        probabilities: The network with its softmax.
        image: (C, H, W), normalised.
        target: Index of the class.
        heat: (H, W) floats, hot where the class is seen. Values below zero are ranked too.
        seed: Seed of the shifts.
        advance: Is called with the number of passes after each batch, `PASSES` in all.

    Source: V. Petsiuk, A. Das, K. Saenko (2018), RISE: Randomized Input Sampling for Explanation of
    Black-box Models, section 4.2, for the deletion curve.
    """
    removed_at = _rank(heat)
    shifts = [(0, 0), *_draw_shifts(heat.shape, COPIES, np.random.default_rng(seed))]
    blurred = blur(image)
    jobs = [(shift, step) for shift in shifts for step in range(1, STEPS)]
    found: list[torch.Tensor] = []
    with torch.no_grad():
        first, last = probabilities(torch.stack([image, blurred]))[:, target].tolist()
        for start in range(0, len(jobs), _BATCH):
            masks = [
                np.roll(removed_at, shift, axis=(0, 1)) < step / STEPS
                for shift, step in jobs[start : start + _BATCH]
            ]
            removed = torch.from_numpy(np.stack(masks))[:, None]
            batch = torch.where(removed, blurred, image)
            batch = batch.contiguous(memory_format=torch.channels_last)
            found.append(probabilities(batch)[:, target])
            if advance is not None:
                advance(len(batch))
    inner = torch.cat(found).double().view(len(shifts), STEPS - 1).numpy()
    ends = np.full((len(shifts), 1), first), np.full((len(shifts), 1), last)
    curves = np.concatenate([ends[0], inner, ends[1]], axis=1)
    return DeletionTest(curves[0], curves[1:])


def blur(image: torch.Tensor) -> torch.Tensor:
    """Return an image (C, H, W) blurred so far that its details are gone."""
    from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

    sigma = _BLUR * min(image.shape[1:])
    blurred = gaussian_filter(image.numpy(), (0, sigma, sigma), mode="nearest")
    return torch.from_numpy(np.ascontiguousarray(blurred))


def _rank(heat: Array) -> Array:
    """Return for each pixel the fraction of pixels that are hotter, from 0 to below 1."""
    order = np.argsort(-heat.ravel(), kind="stable")
    ranks = np.empty(heat.size)
    ranks[order] = np.arange(heat.size) / heat.size
    return ranks.reshape(heat.shape)


def _draw_shifts(
    size: tuple[int, ...], count: int, rng: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Draw shifts (rows, columns) that take a map to elsewhere."""
    height, width = size
    while count:
        down, right = int(rng.integers(height)), int(rng.integers(width))
        far = max(min(down, height - down) / height, min(right, width - right) / width)
        if far >= _LEAST_SHIFT:
            count -= 1
            yield down, right
