"""Images that turn out to be unreadable while a run trains, in sets that do not fit in memory.

Every epoch is validated on the same images, or the best epoch could not be chosen among them. What
cannot be read in epoch 1 is left out of the whole run. What is lost later ends the run before its
epoch is saved, so that the run can be resumed when the file is back; only a training image may be
left out then, by ``--on-bad-image skip``.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from cnncli.data.exclude import save_excluded
from cnncli.data.loader import Loader
from cnncli.data.manifest import save_manifest
from cnncli.data.splits import TEST, VAL
from cnncli.data.store import Bad
from cnncli.errors import CnncliError
from cnncli.files import SPLITS_FILE, write_atomically
from cnncli.images.header import ImageError
from cnncli.reporting import Reporter
from cnncli.run.bad_images import check_bad, describe_bad, exclude_bad, save_bad
from cnncli.run.prepared_run import PreparedRun
from cnncli.training.distributed import World
from cnncli.training.session import Session


def refuse_lost(session: Session, run: PreparedRun, *, together: bool) -> None:
    """Refuse to go on within an epoch if an image was lost that the first epoch could read.

    Args:
        session: The state of the training.
        run: The images and settings.
        together: Whether all processes make this call.

    Raises:
        CnncliError: If there is such an image, and it is not to be skipped.
    """
    if run.store.cached is not None or not session.epoch or run.config.on_bad_image == "skip":
        return
    if together or not session.world.joined:
        found = _new_unreadable(session, run)
        if found:
            raise _lost(session, run, found)


def settle_unreadable(session: Session, run: PreparedRun, reporter: Reporter) -> PreparedRun:
    """Return the run without the images that this epoch could not read, before it is saved.

    After epoch 1, the test split is read for it too.

    Args:
        session: The state of the training, after an epoch was trained and validated.
        run: The images and settings.
        reporter: Gets a warning about what is left out.

    Raises:
        CnncliError: If there are such images and they cannot be left out.
    """
    if run.store.cached is not None:
        return run
    found = _new_unreadable(session, run)
    if session.epoch == 0:
        found |= _read_test(session.world, run)
    if not found:
        return run
    lost_val = [index for index in found if run.splits[index] == VAL]
    if session.epoch > 0 and (run.config.on_bad_image == "error" or lost_val):
        raise _lost(session, run, found)
    exclude_bad(run.samples, run.splits, found, run.config.on_bad_image, reporter)
    run = run.leave_out(found)
    session.inputs.leave_out(found)
    if session.world.is_first:
        write_splits(session.run_dir, run)
    return run


def settle_last(loader: Loader, run: PreparedRun, run_dir: Path, reporter: Reporter) -> PreparedRun:
    """Return the run without what the evaluation at its end could not read.

    Args:
        loader: The split that was evaluated.
        run: The images and settings.
        run_dir: The run's folder; the images are added to its ``bad_images.csv``.
        reporter: Gets a warning about what is left out.

    Returns:
        The images that are left out: their numbers among the samples, and why.

    Raises:
        CnncliError: If there are such images, and they are not to be skipped.
    """
    world = run.compute.world
    found = _gather(world, loader.bad)
    if not found:
        return run
    check_bad(run.samples, found, run.config.on_bad_image, reporter)
    run = run.leave_out(found)
    if world.is_first:
        write_splits(run_dir, run)
    return run


def still_unreadable(run: PreparedRun, found: Bad) -> Bad:
    """Return the images that count as unreadable when a run is resumed in the middle of an epoch.

    Args:
        run: The images and settings.
        found: The images that the epoch could not read before, and why.

    Returns:
        All of them if they are skipped, else those that still cannot be read.
    """
    if run.config.on_bad_image == "skip":
        return found
    return {index: why for index, why in found.items() if not _can_be_read(run, index)}


def _can_be_read(run: PreparedRun, index: int) -> bool:
    try:
        run.store[index]
    except ImageError:
        return False
    return True


def write_splits(run_dir: Path, run: PreparedRun) -> None:
    """Write a run's ``splits.csv`` and, if images are left out, the lists of these."""
    save_excluded(run_dir, run.samples.excluded)
    write_atomically(
        run_dir / SPLITS_FILE,
        lambda part: save_manifest(part, run.samples, run.splits, run.digests),
    )
    save_bad(run_dir, run.samples, run.bad)


def _read_test(world: World, run: PreparedRun) -> Bad:
    with closing(run.loader(TEST, sliced=True)) as test:
        for _ in test.epoch(1):
            pass
    return _gather(world, test.bad)


def _new_unreadable(session: Session, run: PreparedRun) -> Bad:
    """Return the images that any process could not read and that are not left out yet."""
    found = _gather(session.world, session.inputs.unreadable)
    return {index: reason for index, reason in found.items() if index not in run.bad}


def _gather(world: World, bad: Bad) -> Bad:
    return {index: reason for part in world.gather(dict(bad)) for index, reason in part.items()}


def _lost(session: Session, run: PreparedRun, found: Bad) -> CnncliError:
    """Return the error about images that were lost after the first epoch."""
    epochs = f"epoch {session.epoch + 1} is not counted"
    if run.config.on_bad_image == "skip":  # then it is an image of val
        epochs = f"epochs can be compared on the same val images only, so {epochs}"
    return CnncliError(
        f"--data: {describe_bad(run.samples, found)}; {epochs}. Mend it and go on with: "
        f"{session.resume_command}"
    )
