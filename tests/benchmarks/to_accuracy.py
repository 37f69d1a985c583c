"""How long a training from scratch takes until it has an accuracy, beside other tools.

    python tests/benchmarks/to_accuracy.py [--data FOLDER] [--peer fastai] \\
        [--peer ultralytics=PYTHON] [--target 0.95]

FOLDER holds class folders (default: the 1,200 steel defects). 15 % of each class are kept, by a
seed; all tools get the same two folders of class folders, ``train`` and ``val``, and each measures
its accuracy on val after every epoch. What a process had used when its accuracy first was at least
the target counts: CPU seconds and the clock, with the start of Python in them. A peer is stopped
then, or after ``--minutes``; cnncli goes on to its end, and its accuracy there is told on stderr.
Of a peer that was stopped too early, the ratio is an upper bound, and the row says so.

``PYTHON`` is that of an environment in which the peer is installed. Ultralytics is under the AGPL:
nothing here depends on it, and who wants its row installs it by hand.
"""

import argparse
import contextlib
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import OURS, Beside, Spent, add_flags, alternate, finish, load, need

DEFECTS = Path(__file__).parents[3] / "shared" / "data" / "defects"
GOAL = 1 / 8  # of the fastest peer's time


def split_folders(data, output, seed, share=0.15):
    """Link images into ``output/train`` and ``output/val``, a share of each class into val."""
    rng = random.Random(seed)
    for folder in sorted(path for path in Path(data).iterdir() if path.is_dir()):
        files = sorted(folder.iterdir())
        kept = set(rng.sample(files, round(share * len(files))))
        for file in files:
            place = output / ("val" if file in kept else "train") / folder.name
            place.mkdir(parents=True, exist_ok=True)
            (place / file.name).symlink_to(file.absolute())


def commands(given, data, place):
    """Return for each tool its command, the pattern of its CSV in ``place`` and the column."""
    cnncli = [sys.executable, "-m", "cnncli", "train"]
    found = {
        OURS: (
            [*cnncli, "--data", data, "--output", place / "runs", "--device", given.device],
            "runs/*/metrics.csv",
            "val_accuracy",
        )
    }
    for peer in given.peer:
        name, _, python = peer.partition("=")
        python = Path(python or sys.executable)
        if name == "fastai":
            script = Path(__file__).with_name("fastai_folders.py")
            command = [python, script, data, place / "fastai.csv", "--device", given.device]
            found[name] = (command, "fastai.csv", "accuracy")
        else:
            device = "0" if given.device == "cuda" else given.device
            command = [python.with_name("yolo"), "classify", "train", "model=yolo11n-cls.yaml"]
            command += [f"data={data}", f"device={device}", f"project={place}", "name=yolo"]
            found[name] = (
                [*command, "pretrained=False", "plots=False"],
                "yolo/results.csv",
                "metrics/accuracy_top1",
            )
    return found


def accuracies(place, pattern, column):
    """Return the accuracies in a CSV that is being written, epoch by epoch."""
    for path in place.glob(pattern):
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            return [float(row[column]) for row in rows if row.get(column)]
    return []


def cpu_of(process):
    """Return the CPU seconds of a process and of all that it has started."""
    import psutil

    used = 0.0
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            used += sum(one.cpu_times()[:4])  # user and system, its own and of ended children
    return used


def train_until(way, place, target, seconds, *, stop):
    """Run a training; return what it had used at the target, or at its end, and its accuracies."""
    import psutil

    command, pattern, column = way
    quiet = {"YOLO_OFFLINE": "True", "YOLO_AUTOINSTALL": "False", "YOLO_CONFIG_DIR": str(place)}
    log = place / "log"
    with log.open("w") as said:
        begin = time.monotonic()
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=said,
            stderr=said,
            env={**os.environ, **quiet},
            start_new_session=True,
        )
        watched, reached, ended = psutil.Process(process.pid), None, False
        try:
            while not ended:
                time.sleep(0.2)
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
                clock = time.monotonic() - begin
                values = accuracies(place, pattern, column)
                if reached is None and max(values, default=0) >= target:
                    cpu = used.ru_utime + used.ru_stime if ended else cpu_of(watched)
                    reached = Spent(cpu, clock, 0)
                if not ended and (clock > seconds or (reached and stop)):
                    break
        finally:  # whatever happens here, nothing goes on to train
            if not ended:
                os.killpg(process.pid, signal.SIGKILL)
                _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, -signal.SIGKILL):
        sys.exit(f"{' '.join(map(str, command))}\n{log.read_text('utf-8')[-2000:]}")
    reached = reached or Spent(used.ru_utime + used.ru_stime, clock, 0)
    return reached._replace(mib=used.ru_maxrss / 1024), values


def check_peers(parser, peers):
    """End with one line, if a peer is unknown or not installed where it is said to be."""
    for peer in peers:
        name, _, python = peer.partition("=")
        if name not in ("fastai", "ultralytics"):
            parser.error(f"--peer {peer}: neither fastai nor ultralytics")
        if python and shutil.which(python) is None:
            parser.error(f"--peer {peer}: there is no such Python")
        if name == "fastai" and not python:
            need("fastai")
        if name == "ultralytics" and not Path(python or sys.executable).with_name("yolo").exists():
            parser.error(
                f"--peer {peer}: no command yolo beside that Python; python3 -m venv peer && "
                "peer/bin/pip install ultralytics, and then --peer ultralytics=peer/bin/python"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=DEFECTS, help="folder of class folders")
    parser.add_argument(
        "--peer", action="append", default=[], help="fastai or ultralytics, and =PYTHON of it"
    )
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--minutes", type=float, default=15, help="after which a tool is stopped")
    parser.add_argument("--seed", type=int, default=0, help="of the images that are kept")
    add_flags(parser, 1)
    given = parser.parse_args()
    check_peers(parser, given.peer)
    need("psutil")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    before, stopped = load(), set()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        split_folders(given.data, root / "data", given.seed)

        def run(tool):
            place = root / tool
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            way = commands(given, root / "data", place)[tool]
            spent, values = train_until(
                way, place, given.target, 60 * given.minutes, stop=tool != OURS
            )
            best = f"{len(values)} epochs, best accuracy {max(values, default=0):.4f}"
            print(f"{tool}: {best}, last {values[-1] if values else 0:.4f}", file=sys.stderr)
            if max(values, default=0) < given.target:
                if tool == OURS:
                    sys.exit(f"{tool} did not reach {given.target:g}")
                stopped.add(tool)
            return spent

        tools = list(commands(given, root / "data", root))
        found = alternate({tool: tool for tool in tools}, given.rounds, warm=False, run=run)
    besides = {
        tool: Beside("peer, stopped" if tool in stopped else "peer", GOAL)
        for tool in tools
        if tool != OURS
    }
    finish(given, "to-accuracy", found, besides, before)


if __name__ == "__main__":
    main()
