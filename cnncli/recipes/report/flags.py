"""What is to be known of single images: copies, and labels that look wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnncli.choices import SPLITS
from cnncli.data.samples import NO_SPLIT
from cnncli.data.split_file import SplitFile
from cnncli.errors import count_of
from cnncli.evaluation.suspects import find_suspects, is_no_better_than_one_class
from cnncli.files import OUT_OF_FOLD
from cnncli.recipes.report.answers import Answers

# The images that no network has seen that judged them.
_UNSEEN = ("test", OUT_OF_FOLD, "new images")
_MOST_SUSPECTS = 1000  # the worst of more


def flag_images(answers: Answers, splits: SplitFile | None, *, with_names: bool) -> dict[int, str]:
    """Return what is to be known of images, by their numbers.

    Args:
        answers: The images with their probabilities.
        splits: What is known of the files, if the images are those of the run; None for others.
        with_names: Whether other files may be named.
    """
    copies = {} if splits is None else _find_copies(answers, splits, with_names=with_names)
    suspects = _find_suspects(answers)
    return {
        index: "; ".join(filter(None, (copies.get(index), suspects.get(index))))
        for index in sorted({*copies, *suspects})
    }


def tell_flags(flags: Mapping[int, str]) -> str:
    """Return how many images have a flag, and what flags mean; empty if none has one."""
    if not flags:
        return ""
    have = "has" if len(flags) == 1 else "have"
    return (
        f"{count_of(len(flags), 'image')} {have} a flag (⚑). A flag says that an image has the "
        "bytes of another one, or that its label looks wrong by confident learning. Look at these "
        "first."
    )


def _find_copies(answers: Answers, splits: SplitFile, *, with_names: bool) -> dict[int, str]:
    """Return which images have the bytes of other images of the run, and where these are."""
    _, numbers, counts = np.unique(splits.hashes, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero((counts[numbers] > 1) & (splits.hashes != ""))
    alike: dict[int, list[int]] = {}
    for row in repeated.tolist():
        alike.setdefault(int(numbers[row]), []).append(row)
    of_path = {str(splits.paths[row]): row for row in repeated.tolist()}
    found = {}
    for index, path in enumerate(answers.paths):
        if path not in of_path:
            continue
        row = of_path[path]
        others = [other for other in alike[int(numbers[row])] if other != row]
        parts = sorted({int(splits.splits[other]) for other in others} - {NO_SPLIT})
        where = f" in {' and '.join(SPLITS[part] for part in parts)}" if parts else ""
        first = f" (such as {splits.paths[others[0]]})" if with_names else ""
        found[index] = f"copy: the bytes of {count_of(len(others), 'other image')}{where}{first}"
    return found


def _find_suspects(answers: Answers) -> dict[int, str]:
    """Return which labels look wrong, where the network can tell."""
    targets, probabilities = answers.targets, answers.probabilities
    if answers.split not in _UNSEEN or is_no_better_than_one_class(targets, answers.predicted):
        return {}
    suspects = find_suspects(targets, probabilities)
    return {
        index: f"suspect label: it seems to be {answers.class_names[proposed]}"
        for index, proposed in zip(
            suspects.indices[:_MOST_SUSPECTS].tolist(), suspects.proposed.tolist(), strict=False
        )
    }
