"""Images that cannot be used: they end the run with an error, or are left out with a warning."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import OnBadImage
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.data.splits import TRAIN, VAL
from cnncli.data.store import Bad
from cnncli.errors import CnncliError, count_of, shorten
from cnncli.files import BAD_IMAGES_FILE, open_csv_writer, write_atomically
from cnncli.reporting import Reporter


def check_bad(samples: Samples, bad: Bad, policy: OnBadImage, reporter: Reporter) -> None:
    """Refuse images that cannot be used, or warn that they are left out.

    Args:
        samples: All images.
        bad: The numbers of the images that cannot be used, and why.
        policy: ``error`` refuses them, ``skip`` warns.
        reporter: Gets the warning.

    Raises:
        CnncliError: If there are any and the policy is ``error``; it names them.
    """
    if not bad:
        return
    described = describe_bad(samples, bad)
    if policy == "error":
        raise CnncliError(f"--data: {described}. Mend or remove them, or use --on-bad-image skip")
    reporter.warn(f"{described}; left out")


def exclude_bad(
    samples: Samples, splits: Array, bad: Bad, policy: OnBadImage, reporter: Reporter
) -> Array:
    """Return the splits without the images that cannot be used.

    Args:
        samples: All N images.
        splits: (N,) indices into SPLITS, or NO_SPLIT.
        bad: The numbers of the images that cannot be used, and why.
        policy: ``error`` refuses them, ``skip`` warns.
        reporter: Gets the warning.

    Returns:
        (N,) splits, NO_SPLIT for images that cannot be used.

    Raises:
        CnncliError: If there are such images and the policy is ``error``, or if too few are left:
            each class needs an image to train on, and val needs one.
    """
    # Images without a split are not used anyway; the run that left them out has warned of them.
    used = {index: reason for index, reason in bad.items() if splits[index] != NO_SPLIT}
    check_bad(samples, used, policy, reporter)
    splits = splits.copy()
    splits[list(bad)] = NO_SPLIT
    trained = set(samples.targets[splits == TRAIN].tolist())
    missing = [name for number, name in enumerate(samples.class_names) if number not in trained]
    if missing:
        raise CnncliError(f"--data: no image of {shorten(missing)} is left to train on")
    if not (splits == VAL).any():
        raise CnncliError("--data: no image is left for validation")
    return splits


def save_bad(run_dir: Path, samples: Samples, bad: Bad) -> None:
    """Write the images that were left out, and why, into the run's folder; none writes no file."""
    if not bad:
        return

    def write(part: Path) -> None:
        with open_csv_writer(part) as writer:
            writer.writerow(("path", "reason"))
            writer.writerows((samples.paths[index], bad[index]) for index in sorted(bad))

    write_atomically(run_dir / BAD_IMAGES_FILE, write)


def keep_good(count: int, bad: Bad) -> Array:
    """Return the numbers, in order, of those of ``count`` images that can be used."""
    return np.setdiff1d(np.arange(count), list(bad))


def describe_bad(samples: Samples, bad: Bad) -> str:
    """Return a sentence that lists images with their reasons, at most twenty of them."""
    listed = [f"{samples.paths[index]} {reason}" for index, reason in sorted(bad.items())]
    images = count_of(len(listed), "image")
    more = f"; and {len(listed) - 20} more" if len(listed) > 20 else ""
    return f"{images} cannot be used: {'; '.join(listed[:20])}{more}"
