"""The end of a run: its best epoch is judged, and what it says of val and test is kept."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import torch

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.data.samples import Samples, select_samples
from cnncli.data.splits import TEST, VAL
from cnncli.files import BEST_FILE, PREDICTIONS_FILE, VAL_PREDICTIONS_FILE
from cnncli.models.build import Classifier
from cnncli.reporting import Reporter
from cnncli.run.prepared_run import PreparedRun
from cnncli.run.report import Report, evaluation_batch, report_split
from cnncli.run.save_evaluation import save_predictions
from cnncli.run.unreadable import settle_last
from cnncli.training.checkpoint import Checkpoint, load_checkpoint
from cnncli.training.predictions import predict_split

# Predictions of more values than this, 9 bytes each, are not written unasked.
_MOST_VALUES = 5_000_000


def report_best(run: PreparedRun, run_dir: Path, reporter: Reporter) -> Report:
    """Return the report of the best checkpoint, on the test split if there is one, else on val.

    Writes the predictions of that split, and of val beside a test split, into the run's folder.

    Args:
        run: The run, trained.
        run_dir: Its folder.
        reporter: Gets remarks and warnings.

    Raises:
        CnncliError: If an image of the split that is judged cannot be read any more, and such
            images are not to be skipped.
    """
    network, checkpoint = load_checkpoint(run_dir / BEST_FILE)
    compute = run.compute.for_evaluation()
    network.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    classifier = checkpoint.classifier(network).to(compute.device)
    split = TEST if len(run.indices(TEST)) else VAL
    samples, probabilities = _predict(run, split, classifier, checkpoint, run_dir, reporter)
    if split == TEST:
        _predict(run, VAL, classifier, checkpoint, run_dir, reporter)
    name = SPLITS[split] if split == TEST else "val (chosen on)"
    return report_split(
        samples.targets,
        probabilities,
        checkpoint,
        split=name,
        reporter=reporter,
        groups=samples.groups,
    )


def _predict(
    run: PreparedRun,
    split: int,
    classifier: Classifier,
    checkpoint: Checkpoint,
    run_dir: Path,
    reporter: Reporter,
) -> tuple[Samples, Array]:
    """Return the N images of a split and their probabilities (N, K), and write these."""
    is_judged = split == TEST or not len(run.indices(TEST))
    batch_size = evaluation_batch(checkpoint.preprocess)
    with closing(run.loader(split, batch_size=batch_size, sliced=True)) as loader:
        _, probabilities = predict_split(
            classifier, loader, run.compute.for_evaluation(), sliced=True
        )
        if is_judged:
            run = settle_last(loader, run, run_dir, reporter)
        else:
            parts = run.compute.world.gather(dict(loader.bad))
            run = run.leave_out({index: why for part in parts for index, why in part.items()})
    samples = select_samples(run.samples, run.indices(split))
    if run.compute.world.is_first and probabilities.size <= _MOST_VALUES:
        name = PREDICTIONS_FILE if is_judged else VAL_PREDICTIONS_FILE
        save_predictions(run_dir / name, samples, probabilities)
    return samples, probabilities
