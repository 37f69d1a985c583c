"""Cross-validate: a run for each fold, and one report of the images that each run did not see."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from cnncli.config import RunConfig, dump_folds_config, load_folds_config, older_settings
from cnncli.errors import CnncliError, count_of
from cnncli.files import (
    BAD_IMAGES_FILE,
    BEST_FILE,
    CONFIG_FILE,
    LAST_FILE,
    REPORT_FILE,
    SPLITS_FILE,
    write_atomically,
)
from cnncli.models.registry import short_name
from cnncli.reporting import Reporter, SilentReporter, TableLayout
from cnncli.run.afters import After, finish_run, make_afters
from cnncli.run.check import check_candidates
from cnncli.run.check_fold_settings import check_fold_settings, warn_of_other_settings
from cnncli.run.check_folds import check_folds
from cnncli.run.damaged_folds import check_fold_files
from cnncli.run.fold import Fold, has_begun
from cnncli.run.fold_clock import FoldClock
from cnncli.run.fold_figures import count_seconds, fold_rows, read_fold, read_threads
from cnncli.run.fold_reporter import FoldReporter
from cnncli.run.folder import check_output, check_unfinished, new_run_dir, tell_finished
from cnncli.run.lock import lock_run
from cnncli.run.opened_images import OpenedImages
from cnncli.run.plan_folds import FoldPlan, plan_folds
from cnncli.run.pool_folds import pool_folds
from cnncli.run.report import summary_rows, tell_images
from cnncli.training.device import choose_evaluation_compute, keep_freed_memory
from cnncli.training.distributed import World

TrainRun = Callable[..., Path]
_LAYOUT = TableLayout(
    drop=("mcc", "ece", "balanced_accuracy", "log_loss", "macro_f1"), drop_equal=False, rounded=True
)


@dataclass(frozen=True)
class Trainers:
    """The jobs that a cross-validation starts, which it is handed.

    Attributes:
        train: Runs a fold; it is called like ``train_run``.
        resume: Goes on with one; it is called like ``resume_run``.
    """

    train: TrainRun
    resume: TrainRun


def cross_validate(
    config: RunConfig,
    folds: int | None,
    reporter: Reporter,
    trainers: Trainers,
    *,
    world: World,
    started: float,
    afters: Sequence[After] = (),
) -> Path:
    """Train a network for each fold, and report on the images that each of them did not see.

    Args:
        config: The settings of the runs.
        folds: Number of folds; None for that of the file of ``--splits``, or 5.
        reporter: Gets remarks, warnings and progress.
        trainers: Train the folds.
        world: The processes that train together; only rank 0 writes files.
        started: From when on the time limit counts, by ``time.monotonic``.
        afters: What is made from the folder when all folds have finished.

    Returns:
        The folder of the cross-validation.

    Raises:
        CnncliError: If a setting or an image is wrong, before anything is trained; or if a fold
            fails, with all that was trained before in the folder.
    """
    check_candidates(config)
    check_output(config.output)
    plan = plan_folds(config, folds, reporter)
    with _make_folder(config, plan.folds, world, reporter) as folder:
        if world.is_first:
            text = dump_folds_config(config, plan.folds)
            write_atomically(folder / CONFIG_FILE, lambda part: part.write_text(text, "utf-8"))
        _Job(folder, config, plan, reporter, trainers, world, started).run(afters)
    return folder


def resume_folds(
    folder: Path,
    reporter: Reporter,
    trainers: Trainers,
    *,
    world: World,
    started: float,
    afters: Sequence[After] = (),
) -> Path:
    """Go on with a cross-validation where it was broken off; one that is finished is left as it is.

    Args:
        folder: Its folder.
        reporter: Gets remarks, warnings and progress.
        trainers: Train the folds.
        world: The processes that train together; only rank 0 writes files.
        started: From when on the time limit counts, by ``time.monotonic``.
        afters: What is made from the folder when all folds have finished.

    Returns:
        The folder.

    Raises:
        CnncliError: If another process has it, or if its settings or images have changed.
    """
    if not check_unfinished(folder):
        reporter.note(tell_finished(folder))
        return folder
    with lock_run(folder, reporter.note) if world.is_first else nullcontext():
        if world.from_first(check_unfinished(folder)):
            path = str(folder / CONFIG_FILE)
            config, folds = load_folds_config(path, older_settings(path))
            # Before the first fold has begun, its splits.csv may be without unreadable images.
            begun = folder if world.from_first(has_begun(folder)) else None
            if begun is not None:
                check_folds(folder)
                check_fold_settings(folder, config)
                check_fold_files(folder)
            plan = plan_folds(config, folds, reporter, begun=begun)
            if world.is_first:  # of a fold that is lost
                (folder / REPORT_FILE).unlink(missing_ok=True)
            _Job(folder, config, plan, reporter, trainers, world, started).run(afters)
    return folder


@contextmanager
def _make_folder(config: RunConfig, folds: int, world: World, reporter: Reporter) -> Iterator[Path]:
    """Let rank 0 make the folder and lock it, and yield it in all processes."""
    if not world.is_first:
        yield world.from_first(Path())
        return
    name = f"{short_name(config.model)}_{folds}folds"
    with (
        new_run_dir(config.output, name, lambda path: any(path.glob("fold*"))) as folder,
        lock_run(folder, reporter.note),
    ):
        yield world.from_first(folder)


class _Job:
    """Trains the folds that are not finished, one after the other, and pools what they say."""

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        plan: FoldPlan,
        reporter: Reporter,
        trainers: Trainers,
        world: World,
        started: float,
    ) -> None:
        self._folder, self._config, self._plan = folder, config, plan
        self._reporter, self._trainers, self._world = reporter, trainers, world
        self._started = started - world.from_first(count_seconds(folder))
        self._clock = FoldClock(config.time_limit, self._started)

    def run(self, afters: Sequence[After]) -> None:
        """Train and report, and make what is made from the folder then."""
        folds, kept = self._plan.folds, self._plan.kept_out
        told = count_of(int((self._plan.numbers > 0).sum()), "image")
        out = f"; {count_of(kept, 'test image is', 'test images are')} kept out" if kept else ""
        self._reporter.note(f"{folds} folds of {told}{out}; {self._folder}")
        reporter = FoldReporter(self._reporter, folds)
        images = OpenedImages()
        paths = [self._folder / f"fold{number}" for number in range(1, folds + 1)]
        todo = [p for p in paths if not self._world.from_first((p / REPORT_FILE).is_file())]
        if len(todo) < folds:
            images.features.threads = self._world.from_first(read_threads(self._folder))
            self._reporter.note(f"finished before: {folds - len(todo)} of {folds} folds")
        if len(todo) > 1:
            told = f"the end of fold {paths.index(todo[0]) + 1} tells how long the others take"
            self._reporter.note(f"{len(todo)} trainings one after the other; {told}")
        with self._named_command():
            for done, path in enumerate(todo):
                number = paths.index(path) + 1
                reporter.begin(number)
                begun = time.monotonic()
                self._train(path, number, len(todo) - done, reporter, images)
                self._tell(number, time.monotonic() - begun, len(todo) - done - 1)
                if not done:
                    self._leave_out_bad()
            images.found.clear()
            images.features.found.clear()
            self._pool()
        if self._world.is_first:
            limit, samples = self._config.time_limit, self._plan.samples
            finished = finish_run(self._folder, self._started, limit, samples)
            make_afters(afters, finished, self._reporter)

    @contextmanager
    def _named_command(self) -> Iterator[None]:
        """Say how to go on, whatever ends the work, if a fold is there to go on from."""
        command = f"cnncli cross-validate --resume {self._folder}"
        try:
            yield
        except BaseException as error:
            if command not in str(error) and any(self._folder.glob("fold*")):
                self._reporter.note(f"what is trained is kept; go on with: {command}")
            raise

    def _leave_out_bad(self) -> None:
        """Plan without the images that the first fold could not read, as a resumed job does."""
        if self._world.from_first((self._folder / BAD_IMAGES_FILE).is_file()):
            self._plan = plan_folds(
                self._config, self._plan.folds, SilentReporter(), begun=self._folder
            )

    def _train(
        self, path: Path, number: int, left: int, reporter: FoldReporter, images: OpenedImages
    ) -> None:
        plan, world = self._plan, self._world
        fold = Fold(
            run_dir=path,
            plan=plan,
            number=number,
            images=images,
            share=lambda: self._clock.share(left),
        )
        # So that the fold's settings, by themselves, give the same run.
        own = {"output": str(self._folder), "splits": str(path / SPLITS_FILE), "split_col": None}
        config = self._config.model_copy(update=own)
        has_state = (path / LAST_FILE).is_file() or (path / BEST_FILE).is_file()
        try:
            if world.from_first(has_state):
                self._trainers.resume(path, reporter, world=world, fold=fold)
            else:
                self._trainers.train(config, reporter, world=world, fold=fold)
        except CnncliError as error:
            error.args = (_name_command(str(error), path, self._folder),)
            raise

    def _tell(self, number: int, seconds: float, left: int) -> None:
        """Report how a fold went, and how long the others will take."""
        if not self._world.is_first:
            return
        figures = read_fold(self._folder / f"fold{number}", number)
        rest = f"; {count_of(left, 'fold')} to go, about {_tell_time(left * seconds)}"
        self._reporter.note(
            f"fold {number}/{self._plan.folds} done in {_tell_time(seconds)}: accuracy "
            f"{figures['accuracy']:.4f} on the {count_of(figures['images'], 'image')} held out"
            f"{rest if left else ''}"
        )

    def _pool(self) -> None:
        """Report on all images, each judged by the network that did not see it."""
        compute = choose_evaluation_compute(self._config.device, None, self._world)
        keep_freed_memory()
        report = pool_folds(
            self._folder,
            self._plan,
            compute,
            self._reporter,
            on_bad_image=self._config.on_bad_image,
        )
        warn_of_other_settings(self._folder, self._reporter)
        self._reporter.table("folds", fold_rows(report["folds"]), _LAYOUT)
        self._reporter.table(tell_images(report), summary_rows(report), _LAYOUT)
        if self._plan.kept_out:
            self._reporter.note(
                "the data's test images are not looked at; judge the mean of the networks on them "
                f"once: cnncli evaluate --checkpoint {self._folder} --split test"
            )


def _tell_time(seconds: float) -> str:
    """Return a time for a person: ``"24 s"``, ``"12 min"`` or ``"3 h 20 min"``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _name_command(text: str, fold: Path, folder: Path) -> str:
    """Return a message with the command that goes on with all folds in place of one's."""
    return text.replace(f"train --resume {fold}", f"cross-validate --resume {folder}")
