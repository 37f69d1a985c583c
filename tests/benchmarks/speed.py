"""Measure all rows of the speed part of docs/benchmarks.md, one after the other.

    python tests/benchmarks/speed.py                      # all rows on the CPU
    python tests/benchmarks/speed.py export predict-one   # these
    python tests/benchmarks/speed.py --device cuda        # those that a GPU can compute
    python tests/benchmarks/speed.py --list               # what there is, and how long each takes

Each row is a script of its own beside this one. What it measures goes into docs/speed.csv, in the
place of what stands there for the row, and ``python tests/benchmarks/speed_page.py`` makes table
and picture of it. The machine should have nothing else to do; its load is written down.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CSV = HERE.parents[1] / "docs" / "speed.csv"


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        title: What is done, for a reader of the page.
        command: The script and what it is given.
        minutes: What it takes, about, on two free cores.
        gpu: Whether it can be computed on a GPU.
    """

    title: str
    command: tuple[str, ...]
    minutes: float
    gpu: bool = True


ROWS = {
    "predict-one": Row(
        "one photo of 1600×1200, ResNet-18 at 224 px, a cold process",
        ("predict_speed.py", "one", "--rounds", "9"),
        1.0,
    ),
    "predict-large": Row(
        "400 such photos",
        ("predict_speed.py", "large", "--rounds", "1", "--no-torch", "--timm"),
        2.5,
    ),
    "predict-digits": Row(
        "20,000 PNGs of 28 px, LeNet-5",
        ("predict_speed.py", "digits", "--rounds", "3", "--no-torch"),
        0.7,
    ),
    "train-28": Row("an epoch at 28 px, resnet_small", ("train_speed.py", "28"), 0.5),
    "train-64": Row("an epoch at 64 px, resnet_small", ("train_speed.py", "64"), 1.5),
    "train-224": Row("an epoch at 224 px, resnet18", ("train_speed.py", "224"), 1.5),
    "head-squeezenet": Row(
        "head alone, 5 epochs on 256 photos of 1600×1200, SqueezeNet 1.1, whole process",
        ("head_only.py", "squeezenet1_1", "--rounds", "1"),
        2.5,
    ),
    "head-resnet18": Row(
        "the same with ResNet-18", ("head_only.py", "resnet18", "--rounds", "1"), 3.0
    ),
    "export": Row(
        "`cnncli export` of a ResNet-18", ("export_speed.py", "--rounds", "2"), 0.5, gpu=False
    ),
    "to-accuracy": Row(
        "training from scratch until 0.95 on the steel defects",
        ("to_accuracy.py", "--minutes", "3"),
        4.0,
    ),
}


def run_row(name, device, csv, more):
    """Measure one row; return whether that went well, and the minutes it took."""
    script, *flags = ROWS[name].command
    command = [sys.executable, HERE / script, *flags, *more, "--device", device, "--csv", csv]
    print(f"\n{name}: {ROWS[name].title}", flush=True)
    begin = time.monotonic()
    done = subprocess.run(list(map(str, command)), check=False)
    return done.returncode == 0, (time.monotonic() - begin) / 60


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("row", nargs="*", choices=[[], *ROWS], metavar="ROW")
    parser.add_argument("--device", default="cpu", help="device that computes, such as cuda [cpu]")
    parser.add_argument("--csv", type=Path, default=CSV, help="where the rows go [docs/speed.csv]")
    parser.add_argument("--peer", action="append", default=[], help="of to-accuracy [fastai]")
    parser.add_argument("--list", action="store_true", help="list the rows and their minutes")
    given = parser.parse_args()
    names = [name for name in given.row or ROWS if given.device == "cpu" or ROWS[name].gpu]
    if given.list:
        for name in names:
            print(f"{name:16} {ROWS[name].minutes:4.1f} min  {ROWS[name].title}")
        return 0
    failed = []
    for name in names:
        peers = [f"--peer={peer}" for peer in given.peer or ["fastai"]]
        more = peers if name == "to-accuracy" else []
        well, minutes = run_row(name, given.device, given.csv, more)
        print(f"{name}: {minutes:.1f} minutes", file=sys.stderr)
        if not well:
            failed.append(name)
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    print("for the table and the picture: python tests/benchmarks/speed_page.py", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
