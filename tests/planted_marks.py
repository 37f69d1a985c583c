"""Images whose class is a small mark at a random place on a noisy ground."""

from pathlib import Path

import cv2
import numpy as np

SIDE, MARK = 64, 14
FORMS = ("rows", "columns", "squares")


def draw_mark(form):
    """Return a mark (MARK, MARK) in bool; every form covers half of it."""
    y, x = np.mgrid[:MARK, :MARK] // 2
    return {"rows": y, "columns": x, "squares": x + y}[form] % 2 == 0


def draw_image(form, rng, side=SIDE):
    """Return an image (side, side, 3) uint8 and the (top, left) of its mark."""
    ground = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), 2.0)
    ground = 120 + 40 * ground / ground.std() + rng.normal(0, 12, (side, side))
    top, left = rng.integers(1, side - MARK - 1, 2)
    part = ground[top : top + MARK, left : left + MARK]
    part[draw_mark(form)] = 235 if rng.random() < 0.5 else 10
    grey = np.clip(ground, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2), (int(top), int(left))


def write_marks(root, per_class, seed=0, side=SIDE):
    """Write images ``root/<form>/<number>.png``; return (path, class, (top, left)) of each."""
    rng = np.random.default_rng(seed)
    found = []
    for label, form in enumerate(FORMS):
        folder = Path(root) / form
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            image, place = draw_image(form, rng, side)
            path = folder / f"{number:04d}.png"
            assert cv2.imwrite(str(path), image)
            found.append((path, label, place))
    return found
