"""Accuracy on sets that everybody can get: one command measures one row of docs/benchmarks.md.

    python tests/benchmarks/accuracy.py ROW [--data FOLDER] [--weights FILE] [--seed 0 1 2]

Each seed is a run of the command line without any flag but the data, the seed and what the row
itself names. The row is printed as Markdown: the mean accuracy with its 95 % interval, that of each
seed, AUROC, log loss, ECE with that of calibrated labels, seconds and CPU seconds of a run. A row
whose seeds draw different splits pools their images; one with a fixed test split counts its images
once. Seeds, threads and processor are on stderr.
"""

import argparse
import csv
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
from scipy.stats import binomtest

from cnncli.evaluation.metrics import expected_calibration_error

SHARED = Path(__file__).parents[3] / "shared"


@dataclass(frozen=True)
class Row:
    """One row: a set, and the command that learns it.

    Attributes:
        title: The set, and what it is judged on.
        data: Path below the folder of data, or a word that ``--data`` takes.
        flags: The command and its flags.
        fixed: Whether the images that it is judged on are the same for every seed.
    """

    title: str
    data: str
    flags: tuple[str, ...] = ("train",)
    fixed: bool = False


ROWS = {
    "ants-bees": Row(
        "ants and bees, SqueezeNet's ImageNet weights, val",
        "ants-bees",
        ("finetune", "--model", "squeezenet1_1"),
        fixed=True,
    ),
    "ants-bees-scratch": Row("ants and bees, from scratch, val", "ants-bees", fixed=True),
    "breastmnist": Row("BreastMNIST, 28 px, its test split", "breastmnist.npz", fixed=True),
    "defects": Row("NEU steel defects, 15 % kept", "defects"),
    "digits": Row("scikit-learn's digits, 15 % kept", "digits"),
    "mnist-t10k": Row(
        "MNIST's ten thousand, 2,000 kept",
        "mnist-t10k",
        ("train", "--val-fraction", "0.1", "--test-fraction", "0.2"),
    ),
    "xray-sample": Row("90 chest X-rays, 15 % kept", "xray-sample"),
}


@dataclass(frozen=True)
class Run:
    """What one run gave: the figures of its report, its probabilities, its time."""

    seed: int
    report: dict
    targets: np.ndarray
    probabilities: np.ndarray
    seconds: float
    cpu_seconds: float

    @property
    def accuracy(self):
        return self.report["accuracy"]["value"]


def run_once(row, data, weights, seed, output):
    """Run the command line once; return what it gave."""
    command, *flags = row.flags
    path = row.data if row.data == "digits" else str(data / row.data)
    if command == "finetune":
        flags += ["--weights", str(weights)]
    before, start = _cpu(), time.perf_counter()
    flags += ["--data", path, "--seed", str(seed), "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-m", "cnncli", command, *flags],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    run_dir = Path(done.stdout.strip())
    report = json.loads((run_dir / "report.json").read_text("utf-8"))
    names = report["class_names"]
    with (run_dir / "predictions.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    targets = np.array([names.index(line["target"]) for line in lines])
    columns = [[float(line[f"probability_{name}"]) for name in names] for line in lines]
    return Run(seed, report, targets, np.array(columns), seconds, _cpu() - before)


def _cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def interval(runs, *, fixed):
    """Return Wilson's 95 % interval of the mean accuracy.

    Of a fixed test split the images count once, whatever the number of seeds: the seeds say how
    much the training moves, not how many images there are.
    """
    images = runs[0].report["images"] * (1 if fixed else len(runs))
    correct = round(mean(run.accuracy for run in runs) * images)
    found = binomtest(correct, images).proportion_ci(method="wilson")
    return images, found.low, found.high


def calibration(runs, *, fixed):
    """Return the ECE of the images, and the mean ECE that calibrated labels would have.

    A model that is right as often as it says has an ECE above 0 as well, by chance. So labels are
    drawn from its own probabilities: what ECE these give is the figure to compare with. Images of
    a fixed test split are not pooled, since they are the same for every seed: the means of the
    seeds are returned.
    """
    targets = [run.targets for run in runs]
    probabilities = [run.probabilities for run in runs]
    if not fixed:
        targets, probabilities = [np.concatenate(targets)], [np.concatenate(probabilities)]
    ours = mean(map(expected_calibration_error, targets, probabilities))
    return ours, mean(map(ece_by_chance, probabilities))


def ece_by_chance(probabilities, draws=500):
    """Return the mean ECE of labels that are drawn from probabilities (N, K)."""
    rng, sums = np.random.default_rng(0), probabilities.cumsum(axis=1)
    sums[:, -1] = 1  # the file has six decimals
    drawn = ((rng.random((len(sums), 1)) > sums).sum(axis=1) for _ in range(draws))
    return mean(expected_calibration_error(labels, probabilities) for labels in drawn)


def describe(row, runs):
    """Return the row as Markdown."""
    images, low, high = interval(runs, fixed=row.fixed)
    accuracies = [run.accuracy for run in runs]
    ece, chance = calibration(runs, fixed=row.fixed)
    cells = [
        row.title,
        f"{mean(accuracies):.4f} ({low:.3f}–{high:.3f}, {images} images)",
        ", ".join(f"{value:.3f}" for value in accuracies),
        *(f"{mean(run.report[key]['value'] for run in runs):.3f}" for key in ("auroc", "log_loss")),
        f"{ece:.3f} ({chance:.3f})",
        f"{mean(run.seconds for run in runs):.0f} s",
        f"{mean(run.cpu_seconds for run in runs):.0f} s",
    ]
    return "| " + " | ".join(cells) + " |"


def processor():
    """Return the name of the processor, and how many threads PyTorch takes."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*:\s*(.+)", info.read_text("utf-8"))):
        name = found[1]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return f"{name}, {os.cpu_count()} cores, {threads} threads{load}"


def main():
    parser = argparse.ArgumentParser(description="Measure one row of docs/benchmarks.md.")
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--data", type=Path, default=SHARED / "data")
    parser.add_argument(
        "--weights", type=Path, default=SHARED / "weights" / "squeezenet1_1_imagenet.safetensors"
    )
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    given = parser.parse_args()
    row, runs = ROWS[given.row], []
    with tempfile.TemporaryDirectory() as output:
        for seed in given.seed:
            runs.append(run_once(row, given.data, given.weights, seed, output))
            print(f"seed {seed}: {runs[-1].accuracy:.4f}", file=sys.stderr)
    print(describe(row, runs))
    print(f"seeds {' '.join(map(str, given.seed))}; {processor()}", file=sys.stderr)


if __name__ == "__main__":
    main()
