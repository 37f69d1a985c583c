"""The speed of `cnncli finetune --freeze backbone`, as a multiple of the bare job in the same run.

``python tests/benchmarks/head_only.py MODEL [--weights FILE] [--photos FOLDER] [--rounds N]`` makes
320 JPEGs of 1600×1200 pixels, of which 256 train, and starts each way in turn, in a process of its
own: a script that runs the frozen layers once and trains a head for five epochs on their output, a
script that decodes and runs them in every epoch (both in `bare_head.py`), and cnncli. Without
``--weights`` the network's weights are random, which changes no time. Printed are the medians of
the CPU seconds (user and system), of the seconds by the clock and of the peak memory, and the
medians of the ratios to the first way in the same round.

cnncli is started three times: with five epochs, and with five epochs but without what it makes at
the end (``--no-onnx --no-report``); and as it comes, which fits the head to the image and four
crops of each, and compares three ways of bringing images to size.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
from pathlib import Path

from side_by_side import OURS, Beside, Spent, add_flags, finish, load, measure

BARE = Path(__file__).with_name("bare_head.py")
COUNT, CLASSES = 320, ("ants", "bees")


def write_photos(folder, seed, photos):
    """Write the photos of a class, 1600×1200 pixels: those of a folder, or smooth noise."""
    import cv2
    import numpy as np

    folder.mkdir()
    count = COUNT // len(CLASSES)
    found = sorted(path for path in Path(photos).rglob("*.jpg") if path.parent.name == folder.name)
    noise = np.random.default_rng(seed).integers(0, 255, (count, 75, 100, 3), dtype=np.uint8)
    for number in range(count):
        picture = cv2.imread(str(found[number % len(found)])) if found else noise[number]
        picture = cv2.resize(picture, (1600, 1200), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), picture)


def make(model, weights, images, photos):
    """Write the images, in two folders, and weights where none are given."""
    images.mkdir()
    for number, name in enumerate(CLASSES):
        write_photos(images / name, number, photos)
    if not weights.exists():
        import torch
        import torchvision
        from safetensors.torch import save_file

        torch.manual_seed(0)
        save_file(getattr(torchvision.models, model)().state_dict(), weights)


def print_table(results, baseline):
    """Print a row of medians for each way, and the median ratios to the first one."""
    print("| Way | CPU | of once | Clock | of once | Peak memory |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, found in results.items():
        cpu, clock, peak = (statistics.median(values) for values in zip(*found, strict=True))
        pairs = list(zip(found, results[baseline], strict=True))
        of_cpu, of_clock = (statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1))
        print(
            f"| {name} | {cpu:.1f} s | {of_cpu:.2f} | {clock:.1f} s | {of_clock:.2f} | "
            f"{peak:.0f} MiB |"
        )


def put_row(given, results, before):
    """Print the row as the other benchmarks do, and put it into the CSV."""
    besides = {
        "features once": Beside("limit", 1.2),
        "plain loop": Beside("peer", 1 / 6),
    }
    besides = {name: beside for name, beside in besides.items() if name in results}
    found = {name: [Spent(*spent) for spent in values] for name, values in results.items()}
    found[OURS] = found["cnncli, 5 epochs"]
    finish(given, f"head-{given.model.removesuffix('1_1')}", found, besides, before)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", choices=("squeezenet1_1", "resnet18"))
    parser.add_argument("--weights", help="file of the network's weights for ImageNet")
    parser.add_argument("--photos", default=".", help="folder of ants/ and bees/ to enlarge")
    parser.add_argument("--no-loop", action="store_true", help="leave out the slow plain loop")
    add_flags(parser, 3)
    given, before = parser.parse_args(), load()
    with tempfile.TemporaryDirectory() as place:
        images, runs = Path(place) / "images", Path(place) / "runs"
        weights = Path(given.weights or Path(place) / "random.safetensors")
        # In a process of its own: the peak memory of a child counts from that of its parent.
        spawn = multiprocessing.get_context("spawn")
        making = spawn.Process(target=make, args=(given.model, weights, images, given.photos))
        making.start()
        making.join()
        bare = [given.model, str(weights), str(images), given.device]
        tune = ["cnncli", "finetune", str(images), "--model", given.model]
        tune += ["--weights", str(weights), "--freeze", "backbone", "--output", str(runs)]
        tune += ["--device", given.device, "--val-fraction", "0.1", "--test-fraction", "0.1"]
        five = [*tune, "--epochs", "5"]
        ways = {
            "features once": [sys.executable, str(BARE), "features", *bare],
            "plain loop": [sys.executable, str(BARE), "loop", *bare],
            "cnncli, 5 epochs": five,
            "cnncli, 5 epochs, nothing after": [*five, "--no-onnx", "--no-report"],
            "cnncli as it comes: a fit": tune,
        }
        if given.no_loop:
            del ways["plain loop"]
        results = {name: [] for name in ways}
        measure(ways["features once"])  # to warm up the files
        for _ in range(given.rounds):
            for name, command in ways.items():
                results[name].append(measure(command))
    print_table(results, "features once")
    put_row(given, results, before)


if __name__ == "__main__":
    main()
