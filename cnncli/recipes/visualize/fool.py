"""``cnncli visualize fool``: the smallest step of FGSM that changes the answer."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.errors import CnncliError, did_you_mean, shorten
from cnncli.explain.fool import (
    LARGEST,
    LEVELS,
    Fooled,
    answers_as_wanted,
    find_direction,
    find_step,
    find_whole_step,
)
from cnncli.images.preprocess import FULL_SCALE
from cnncli.plots.fool import save_fooled
from cnncli.recipes.visualize.photos import choose_photo
from cnncli.recipes.visualize.settings import View, VisualizeSettings, open_answering
from cnncli.reporting import Reporter
from cnncli.run.subject import Subject

COLUMNS = (
    *("image", "answer", "probability", "changed", "fooled_answer", "fooled_probability"),
    *("epsilon", "epsilon_below", "survives_rounding", "whole_levels"),
)
_FACTORS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw an image, the smallest step found that fools the network, and their sum.

    Raises:
        CnncliError: If there is no such run, network, class or image, or only one class.
    """
    subject = open_answering(settings, reporter)
    names = subject.class_names
    if len(names) < 2:
        raise CnncliError(f"{subject.model} has one class: there is no other answer")
    target = _find_class(settings.class_name, names)
    photo = choose_photo(settings, subject, reporter)
    classifier = subject.classifier()
    full = FULL_SCALE[subject.preprocess.dtype]

    def logits(images: torch.Tensor) -> torch.Tensor:
        return classifier.logits(images * full) / classifier.temperature

    image = torch.from_numpy(photo.pixels.astype(np.float32) / full)
    with torch.no_grad():
        before = logits(image[None])[0].double().softmax(dim=0).numpy()
    answer = int(before.argmax())
    if answer == target:
        raise CnncliError(f"--class {names[answer]}: is the answer already; name another class")
    direction = find_direction(logits, image, answer, target)
    fooled = find_step(logits, image, direction, answer, target)
    survives = whole = None
    if fooled.changed:
        survives = answers_as_wanted(logits, fooled.image * LEVELS, answer, target)
        whole = find_whole_step(logits, image, direction, answer, target)
    after = int(fooled.probabilities.argmax())
    row: dict[str, object] = {
        "image": photo.name,
        "answer": names[answer],
        "probability": float(before[answer]),
        "changed": fooled.changed,
        "fooled_answer": names[after],
        "fooled_probability": float(fooled.probabilities[after]),
        "epsilon": fooled.epsilon,
        "epsilon_below": fooled.missed,
        "survives_rounding": survives,
        "whole_levels": whole,
    }
    told = _describe(fooled, direction, survives, whole, settings.class_name)
    reporter.note(told)
    return _assemble(subject, image.numpy(), fooled, row, told)


def _assemble(
    subject: Subject, image: Array, fooled: Fooled, row: dict[str, object], told: str
) -> View:
    """Return the two images and their difference as a picture and as numbers."""
    return View(
        draw=partial(
            save_fooled,
            image=image,
            fooled=fooled.image,
            titles=(
                f"answer: {row['answer']}\n{row['probability']:.3f}",
                f"difference ×{_choose_factor(fooled)}\n{fooled.epsilon:.3g}/255",
                f"answer: {row['fooled_answer']}\n{row['fooled_probability']:.3f}",
            ),
            note=_wrap(subject, told),
            factor=_choose_factor(fooled),
        ),
        rows=[row],
        columns=COLUMNS,
        array=np.stack([image, fooled.image - image, fooled.image]),
        document=row,
    )


def _find_class(name: str | None, names: tuple[str, ...]) -> int | None:
    if name is None:
        return None
    if name not in names:
        near = did_you_mean(name, names) or f"; it has {shorten(names, 8)}"
        raise CnncliError(f"--class {name}: the network has no such class{near}")
    return names.index(name)


def _choose_factor(fooled: Fooled) -> int:
    """Return the largest factor that keeps the step within the range of the colours."""
    return max(factor for factor in _FACTORS if factor * fooled.epsilon <= LEVELS / 2)


def _describe(
    fooled: Fooled, direction: Array, survives: bool | None, whole: int | None, target: str | None
) -> str:
    goal = "changes the answer" if target is None else f"leads to {target}"
    if not direction.any():
        return "the gradient is 0 at every pixel: there is no direction to step in"
    if not fooled.changed:
        return f"no step up to {LARGEST}/255 {goal}; the picture shows the largest"
    told = f"a step of {fooled.epsilon:.3g}/255 {goal}"
    if survives:
        return f"{told}, also when the image is rounded to 8 bits"
    if whole is None:
        return f"{told}, but not when the image is rounded to 8 bits"
    return f"{told}; rounded to 8 bits the answer stays, and it takes {whole}/255"


def _wrap(subject: Subject, told: str) -> str:
    weights = "" if subject.is_trained else " with random weights"
    return f"{subject.model}{weights}; mid-grey is no difference\n{told}"
