"""Judge images by a cross-validation: by the network that did not see them, or by all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.augmentation.notation import Tta
from cnncli.choices import OnBadImage
from cnncli.choices.decision import DecisionFlags
from cnncli.data.samples import Samples
from cnncli.errors import CnncliError
from cnncli.files import OUT_OF_FOLD
from cnncli.reporting import Reporter
from cnncli.run.judge_images import Member, judge_images
from cnncli.training.device import Compute


@dataclass(frozen=True)
class JudgedByFolds:
    """Images that a cross-validation has judged.

    Attributes:
        samples: The N images that could be read.
        targets: (N,) their class numbers.
        raw: (N, K) their probabilities.
        split: What the images are called in the report.
        folds: (N,) fold of each image, from 1, where each was judged by the network that did not
            see it; None where some were judged by all.
    """

    samples: Samples
    targets: Array
    raw: Array
    split: str
    folds: Array | None


def refuse_decisions(flags: DecisionFlags, folder: Path) -> None:
    """Refuse to choose a threshold or a temperature for all networks of a cross-validation.

    Raises:
        CnncliError: If a flag asks for it.
    """
    asked = {
        "--operating-point": flags.operating_point is not None,
        "--threshold": flags.threshold is not None,
        "--calibrate": flags.calibrate,
        "--abstain-below": flags.abstain_below is not None,
        "--prevalence": flags.prevalence is not None,
    }
    given = [flag for flag, is_given in asked.items() if is_given]
    if given:
        raise CnncliError(
            f"{given[0]}: is of one network and its val images, and {folder} has one for each "
            f"fold; name one: --checkpoint {folder}/fold1"
        )


def judge_by_folds(
    samples: Samples,
    members: Sequence[Member],
    split: str,
    compute: Compute,
    reporter: Reporter,
    *,
    folder: Path,
    on_bad_image: OnBadImage,
    tta: Tta | None,
) -> JudgedByFolds:
    """Compute the probabilities of images that were chosen by `choose_of_folds`.

    Args:
        samples: The chosen images, their classes those of the networks.
        members: The networks, with the images of each.
        split: What the images are called in the report.
        compute: Device, precision and processes.
        reporter: Gets warnings and progress.
        folder: The folder of the cross-validation.
        on_bad_image: ``error`` refuses images that cannot be read, ``skip`` leaves them out.
        tta: Views of each image; None for the image alone.

    Raises:
        CnncliError: If no image is left, or one cannot be read.
    """
    judged = judge_images(
        samples,
        members,
        compute,
        reporter,
        on_bad_image=on_bad_image,
        tta=tta,
        run_dir=folder,
    )
    folds = _find_folds(members, judged.kept) if split == OUT_OF_FOLD else None
    found = judged.samples
    return JudgedByFolds(found, found.targets, judged.probabilities, split, folds)


def _find_folds(members: Sequence[Member], kept: Array) -> Array:
    """Return (N,) the fold of each of the images ``kept``, each of which one network judged."""
    folds = np.zeros(1 + int(kept.max()), np.int64)
    for number, member in enumerate(members, start=1):
        folds[member.indices[member.indices < len(folds)]] = number
    return folds[kept]
