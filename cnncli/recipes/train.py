"""Train and fine-tune: from a config to a run folder."""

from __future__ import annotations

from pathlib import Path

import torch

from cnncli.choices import SPLITS
from cnncli.config import RunConfig, dump_config
from cnncli.data.manifest import save_manifest
from cnncli.data.splits import TEST, VAL
from cnncli.models.registry import short_name
from cnncli.recipes.bad_images import save_bad
from cnncli.recipes.check import check_config
from cnncli.recipes.fit import fit
from cnncli.recipes.judge import Report, evaluation_batch, judge, save_report, summary_rows
from cnncli.recipes.prepare import Prepared, prepare
from cnncli.reporting import Reporter
from cnncli.training.checkpoint import BEST, load_checkpoint, write_atomically
from cnncli.training.device import deterministic_algorithms, keep_freed_memory, pick_compute
from cnncli.training.loop import predict_split
from cnncli.training.run_dir import new_run_dir


def train_run(config: RunConfig, reporter: Reporter) -> Path:
    """Train a classifier and evaluate its best epoch.

    Returns:
        The run folder.

    Raises:
        CnncliError: If a setting or an image is wrong, before anything is trained; or if
            training fails, with the best epoch so far in the run folder.
    """
    check_config(config)
    compute = pick_compute(config.device, config.precision)
    keep_freed_memory()
    with new_run_dir(config.output, short_name(config.model)) as run_dir:
        run = prepare(config, compute, reporter)
        text = dump_config(run.config)
        write_atomically(run_dir / "config.yaml", lambda part: part.write_text(text, "utf-8"))
        save_manifest(run_dir / "splits.csv", run.samples, run.splits, run.facts)
        save_bad(run_dir, run.samples, run.bad)
        with deterministic_algorithms(compute.device):
            fit(run, run_dir, reporter)
            report = _evaluate_best(run, run_dir, reporter)
        save_report(run_dir / "report.json", report)
        reporter.table(f"{report['split']}, {report['images']} images", summary_rows(report))
    return run_dir


def _evaluate_best(run: Prepared, run_dir: Path, reporter: Reporter) -> Report:
    """Judge the checkpoint as it was written, on test if there is one, else on val."""
    network, checkpoint = load_checkpoint(run_dir / BEST)
    network.to(run.compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    classifier = checkpoint.classifier(network).to(run.compute.device)
    split = TEST if len(run.indices(TEST)) else VAL
    loader = run.loader(split, batch_size=evaluation_batch(checkpoint.preprocess))
    targets, probabilities = predict_split(classifier, loader, run.compute)
    name = SPLITS[split] if split == TEST else "val (chosen on)"
    return judge(targets, probabilities, checkpoint, split=name, reporter=reporter)
