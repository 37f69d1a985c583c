"""The number of threads with which a run begins: as asked, as saved, or measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from cnncli.errors import count_of
from cnncli.models.build import Classifier
from cnncli.reporting import Reporter
from cnncli.run.prepared_run import PreparedRun
from cnncli.training.cores import count_cpus
from cnncli.training.device import bound_threads
from cnncli.training.epoch_inputs import EpochInputs
from cnncli.training.feature_head import HeadClassifier
from cnncli.training.features import FeatureLoader
from cnncli.training.state import State
from cnncli.training.thread_count import ThreadCount
from cnncli.training.threads import Choice, choose_threads, copied_steps


def start_threads(
    run: PreparedRun, inputs: EpochInputs, state: State | None, reporter: Reporter
) -> ThreadCount:
    """Return the number of threads that a run begins with, and give torch that number.

    Args:
        run: The images and settings.
        inputs: What an epoch trains; where features are kept, what computes them.
        state: What was saved when the run was interrupted; None for a new run.
        reporter: Gets a warning where results may differ.
    """
    threads = _count_threads(run, inputs, state, reporter)
    had = state["threads"] if state else run.kept.threads if run.kept else 0
    if had and threads.now != had:
        reporter.warn(
            f"{count_of(threads.now, 'thread')} where the run had {had}: results may differ in the "
            "last digits"
        )
    elif state is not None and state["rows"]:  # rows of an older run do not have the column
        threads.first = int(state["rows"][0].get("threads") or threads.now)
    torch.set_num_threads(threads.first)
    return threads


def _count_threads(
    run: PreparedRun, inputs: EpochInputs, state: State | None, reporter: Reporter
) -> ThreadCount:
    config, world = run.config, run.compute.world
    if config.threads != "auto":
        number, cores = int(config.threads), count_cpus()
        if number > cores:
            reporter.warn(
                f"--threads {number}: this process may use {count_of(cores, 'core')}; more threads "
                "than cores are slower"
            )
        return ThreadCount(number)
    most = find_most(run)
    if run.compute.device.type != "cpu":
        return ThreadCount(most)
    threads = ThreadCount(
        now=most,
        most=most,
        find=lambda inputs: measure_threads(run, inputs, most),
        world=world,
        fixed=config.compile,  # it would be compiled anew for another number
        measured=run.threads.number > 0,
        rate=run.threads.rate if state is None else 0.0,
        has_workers=bool(config.workers),
    )
    handed_on = run.threads.number or (run.kept.threads if run.kept else 0)
    if known := handed_on if state is None else state["threads"]:
        threads.now = min(most, known)
    elif most > 1:
        threads.measure(inputs)
    threads.first = threads.now
    return threads


def find_most(run: PreparedRun) -> int:
    """Return the largest number of threads of a process, the same one in all processes."""
    world = run.compute.world
    return min(world.gather(bound_threads(world.local_size)))


def measure_early(run: PreparedRun) -> PreparedRun:
    """Return the run with the number of its threads, where its network works before it is trained.

    Args:
        run: The images and settings of a run that one process begins; torch is given the number.
    """
    config, most = run.config, find_most(run)
    if config.threads != "auto":
        torch.set_num_threads(int(config.threads))
        return run
    if run.compute.device.type != "cpu" or most == 1:
        return run
    choice = Choice(min(most, run.kept.threads) if run.kept else 0)
    if not choice.number:
        classifier = run.checkpoint.classifier(run.network)
        choice = _measure(run, classifier, _draw_batch(run), run.network.train, most)
    torch.set_num_threads(choice.number)
    return replace(run, threads=choice)


def measure_threads(run: PreparedRun, inputs: EpochInputs, most: int) -> Choice:
    """Return the number of threads with which this process takes its steps the quickest.

    Args:
        run: The images and settings.
        inputs: What an epoch trains; it is left as it is.
        most: Largest number to try.
    """
    images = _draw_batch(run)
    if isinstance(inputs.train, FeatureLoader):
        features = inputs.train.features
        images = features.values[0][: len(images)].contiguous(memory_format=features.layout)
    return _measure(run, inputs.classifier, images, inputs.train_mode, most)


def _measure(
    run: PreparedRun,
    classifier: Classifier | HeadClassifier,
    images: torch.Tensor,
    train_mode: Callable[[], object],
    most: int,
) -> Choice:
    """Return the number of threads with which a classifier's steps on images are the quickest."""
    # A head alone is fitted to features in exact float32.
    only_fits = run.config.fits_head and not run.config.epochs
    compute = run.compute.for_evaluation() if only_fits else run.compute
    count = len(run.samples.class_names)
    with (
        torch.set_grad_enabled(not only_fits),
        copied_steps(classifier, images, count, compute, train_mode) as take_step,
    ):
        return choose_threads(take_step, len(images), most)


def _draw_batch(run: PreparedRun) -> torch.Tensor:
    """Return a batch like those of training, without reading an image or drawing from a stream.

    Its images are one image, which is in memory once.
    """
    form, draws = run.store.preprocess, np.random.default_rng(0)
    shape = (*form.image_size, form.channels)
    if form.dtype == "uint8":
        image = torch.from_numpy(draws.integers(0, 256, shape, dtype=np.uint8))
    else:
        image = torch.from_numpy(draws.random(shape, dtype=np.float32))
    return image.expand(max(2, run.config.batch_size), *shape)
