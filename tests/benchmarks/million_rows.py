"""A CSV of a million images: what index, split and an epoch of loading add in time and memory.

Run it as ``python tests/benchmarks/million_rows.py [FOLDER]``; it makes a million names of one
small PNG below FOLDER (default: the system's temporary folder) and takes them away again. Every
limit is measured in the same run; the exit code is 1 beyond any of them. The time that counts is
the process's own, so that what else the machine does is left out; the clock's is shown beside it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS = 1_000_000
GROUPS = 500_000
CLASSES = 10
MEGABYTES = 500
SECONDS = {"paths": 15, "groups": 30, "ids": 15}
WORKER_MEGABYTES = 20


def folder_of(number):
    return f"images/{number % 1000:03d}"


def make_images(root, rows):
    """Give one small image many names: hard links, a new file per 30,000 of them (ext4's limit)."""
    import cv2

    data = cv2.imencode(".png", np.arange(64, dtype=np.uint8).reshape(8, 8))[1].tobytes()
    for number in range(min(1000, rows)):
        (root / folder_of(number)).mkdir(parents=True)
    original = ""
    for number in range(rows):
        path = f"{root}/{folder_of(number)}/{number:07d}.png"
        if number % 30_000 == 0:
            original = path
            Path(path).write_bytes(data)
        else:
            os.link(original, path)


def write_tables(root, rows):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, rows)
    groups = rng.integers(0, rows * GROUPS // ROWS, rows)
    with (
        (root / "paths.csv").open("w") as paths,
        (root / "groups.csv").open("w") as grouped,
        (root / "ids.csv").open("w") as ids,
    ):
        paths.write("path,label\n")
        grouped.write("path,label,patient\n")
        ids.write("image_id,label\n")
        for number in range(rows):
            path = f"{folder_of(number)}/{number:07d}.png"
            paths.write(f"{path},class {labels[number]}\n")
            grouped.write(f"{path},class {labels[number]},patient{groups[number]:06d}\n")
            ids.write(f"{number:07d},class {labels[number]}\n")


def memory(entry):
    """Return VmRSS, what the process holds now, or VmHWM, the most it has held, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(entry):
            return int(line.split()[1]) / 1024
    raise AssertionError(entry)


def index_and_split(root, kind):
    """Print the seconds and the megabytes that a fresh process spends on it."""
    from cnncli.data.classes import order_classes
    from cnncli.data.find_samples import find_samples
    from cnncli.data.samples import CsvColumns
    from cnncli.data.splits import split_samples

    before, start, clock = memory("VmRSS"), time.process_time(), time.perf_counter()
    columns = CsvColumns(group="patient") if kind == "groups" else CsvColumns()
    samples = order_classes(find_samples(f"{root}/{kind}.csv", columns), None)
    indexed = time.process_time() - start
    splits, _ = split_samples(samples, val_fraction=0.15, test_fraction=0.15, seed=0)
    seconds, clock = time.process_time() - start, time.perf_counter() - clock
    shares = np.bincount(splits, minlength=3) / len(samples)
    assert abs(shares - [0.7, 0.15, 0.15]).max() < 0.01, shares
    print(f"{indexed:.1f} {seconds:.1f} {clock:.1f} {memory('VmHWM') - before:.0f}")


def worker_memory(process):
    """Return a process's own memory in MB: what it shares with its parent does not count."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(process)


def load_an_epoch(root):
    """Print what each of two loader processes holds after a tenth of an epoch and at its end."""
    import multiprocessing

    from cnncli.data.find_samples import find_samples
    from cnncli.data.loader import Loader, SplitDataset
    from cnncli.data.store import ImageStore
    from cnncli.images.preprocess import Preprocess

    samples = find_samples(f"{root}/paths.csv")
    store = ImageStore(samples.source, Preprocess(8, 8, 1))
    dataset = SplitDataset(store, np.arange(len(samples)), samples.targets)
    loader = Loader(dataset, 256, shuffle_seed=0, workers=2)
    start, early = time.perf_counter(), 0.0
    tenth = len(loader) // 10
    for number, _ in enumerate(loader.epoch(1)):
        if number in (tenth, len(loader) - 3):
            workers = [worker.pid for worker in multiprocessing.active_children()]
            held = max(worker_memory(worker) for worker in workers)
            early = early or held
    print(f"{time.perf_counter() - start:.1f} {early:.1f} {held:.1f}")


def measure(root, kind):
    """Run one measurement in a process of its own; return its numbers."""
    done = subprocess.run(
        [sys.executable, __file__, str(root), "--measure", kind],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", default=tempfile.gettempdir())
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure == "epoch":
        load_an_epoch(arguments.folder)
        return 0
    if arguments.measure:
        index_and_split(arguments.folder, arguments.measure)
        return 0
    root = Path(tempfile.mkdtemp(dir=arguments.folder, prefix="cnncli-million-"))
    failed = False
    try:
        start = time.perf_counter()
        make_images(root, arguments.rows)
        write_tables(root, arguments.rows)
        print(f"{arguments.rows:,} images made in {time.perf_counter() - start:.0f} s")
        for kind, limit in SECONDS.items():
            indexed, seconds, clock, megabytes = measure(root, kind)
            over = seconds > limit or megabytes > MEGABYTES
            failed |= over
            print(
                f"{kind:7} index {indexed:5.1f} s, with split {seconds:5.1f} s (limit {limit}; "
                f"{clock:.1f} s by the clock), adds {megabytes:4.0f} MB (limit {MEGABYTES})  "
                f"{'TOO MUCH' if over else 'ok'}"
            )
        seconds, early, late = measure(root, "epoch")
        over = late - early > WORKER_MEGABYTES
        failed |= over
        print(
            f"epoch   {seconds:.0f} s, a worker's own memory {early:.1f} MB after a tenth, "
            f"{late:.1f} MB at the end (limit +{WORKER_MEGABYTES})  {'TOO MUCH' if over else 'ok'}"
        )
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
