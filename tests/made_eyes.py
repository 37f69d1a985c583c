"""Draws a small set in the form of a retinopathy competition: eyes of patients, graded 0 to 4."""

import csv
from pathlib import Path

import cv2
import numpy as np

# Shares of the grades, as in APTOS 2019: most eyes are healthy.
SHARES = (0.45, 0.15, 0.2, 0.1, 0.1)


def draw_eye(grade, rng, side=96):
    """Return a retina (side, side, 3) as OpenCV writes it; each grade has more red spots."""
    image = np.zeros((side, side, 3), np.float32)
    middle, radius = side / 2 + rng.normal(0, 1, 2), side * rng.uniform(0.42, 0.48)
    y, x = np.mgrid[:side, :side]
    inside = (y - middle[0]) ** 2 + (x - middle[1]) ** 2 < radius**2
    image[inside] = np.array((40, 90, 190)) * rng.uniform(0.8, 1.1)  # blue, green, red
    disc = middle + np.array((0, radius * rng.choice((-0.5, 0.5))))
    cv2.circle(image, (int(disc[1]), int(disc[0])), side // 12, (120, 200, 240), -1)
    for angle in rng.uniform(0, 2 * np.pi, 6):
        end = disc + radius * np.array((np.sin(angle), np.cos(angle)))
        cv2.line(image, (int(disc[1]), int(disc[0])), (int(end[1]), int(end[0])), (30, 40, 140), 1)
    for _ in range(rng.poisson(7 * grade)):
        angle, away = rng.uniform(0, 2 * np.pi), radius * np.sqrt(rng.uniform(0, 0.8))
        place = middle + away * np.array((np.sin(angle), np.cos(angle)))
        color = (90, 210, 250) if grade > 2 and rng.random() < 0.4 else (10, 10, 110)
        cv2.circle(image, (int(place[1]), int(place[0])), side // 48, color, -1)
    image[~inside] = 0
    return np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)


def write_eyes(root, patients=40, tested=6, seed=0):
    """Write ``train.csv``, ``train_images``, ``test_images`` and ``sample_submission.csv``.

    Args:
        root: The folder to make.
        patients: Number of patients with two graded eyes each.
        tested: Number of patients without grades.
        seed: Seed of the random numbers.

    Returns:
        The grades of the eyes in ``test_images``, by their ids.
    """
    root, rng = Path(root), np.random.default_rng(seed)
    for name in ("train_images", "test_images"):
        (root / name).mkdir(parents=True)
    rows, answers = [], {}
    for patient in range(patients + tested):
        grade = patient % 5 if patient < 30 else int(rng.choice(5, p=SHARES))
        for side in ("left", "right"):
            name = f"{patient:03d}_{side}"
            own = int(np.clip(grade + rng.choice((-1, 0, 0, 0, 1)), 0, 4))
            folder = "train_images" if patient < patients else "test_images"
            assert cv2.imwrite(str(root / folder / f"{name}.png"), draw_eye(own, rng))
            if patient < patients:
                rows.append((name, own, f"p{patient:03d}"))
            else:
                answers[name] = own
    with (root / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id_code", "diagnosis", "patient"), *rows])
    order = rng.permutation(sorted(answers)).tolist()
    with (root / "sample_submission.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id_code", "diagnosis"), *((name, 0) for name in order)])
    return answers
