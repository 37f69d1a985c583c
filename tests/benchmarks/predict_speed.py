"""The speed of `cnncli predict`, as a multiple of the bare job in the same run.

``python tests/benchmarks/predict_speed.py ROW [--rounds N] [--photos FOLDER]`` makes a network with
random weights and images, exports the network, and starts each way in turn, in a process of its
own: the bare engine (`bare_predict.py`), cnncli with the exported network, and cnncli with torch.
Printed are the medians of the CPU seconds (user and system), of the seconds by the clock and of the
peak memory, and the median of the ratios to the bare job of the same round.

Rows: ``one`` is one photo of 1600×1200 pixels and a ResNet-18 at 224 pixels, ``large`` are 400 of
them, ``digits`` are 20,000 PNGs of 28 pixels and a LeNet-5.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from side_by_side import OURS, Beside, Spent, finish, load

ROWS = ("one", "large", "digits")
BARE = Path(__file__).with_name("bare_predict.py")
ENGINES = BARE.with_name("bare_engines.py")
IMAGES = {"large": 400, "digits": 20_000}
# The largest ratio of CPU or clock to the bare job's, and to timm's, that reaches the goal.
OF_BARE = {"one": 1.3, "large": 1 / 0.9, "digits": 1 / 0.8}
OF_TIMM = {"large": 1 / 2.5}


def make_run(folder, *, model, side, channels, classes):
    """Write a run folder with random weights, and export its network."""
    import torch

    from cnncli.images.preprocess import Preprocess
    from cnncli.models.build import build_network
    from cnncli.training.checkpoint import Checkpoint, save_checkpoint

    torch.manual_seed(0)
    network = build_network(
        model, num_classes=classes, in_channels=channels, image_size=(side, side)
    )
    pre = Preprocess(side, side, channels, mean=(0.45,) * channels, std=(0.25,) * channels)
    folder.mkdir()
    names = tuple(f"class{number}" for number in range(classes))
    save_checkpoint(folder / "best.safetensors", network.eval(), Checkpoint(model, names, pre))
    (folder / "config.yaml").touch()
    subprocess.run(["cnncli", "export", str(folder)], check=True, capture_output=True)


def write_photos(folder, count, photos):
    """Write photos of 1600×1200 pixels: those of a folder, or smooth noise."""
    import cv2
    import numpy as np

    folder.mkdir()
    found = sorted(Path(photos).rglob("*.jpg"))[:50] if photos else []
    pictures = [cv2.imread(str(path)) for path in found]
    if not pictures:
        noise = np.random.default_rng(0).integers(0, 255, (10, 75, 100, 3), dtype=np.uint8)
        pictures = list(noise)
    large = [cv2.resize(one, (1600, 1200), interpolation=cv2.INTER_CUBIC) for one in pictures]
    for number in range(count):
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), large[number % len(large)])


def write_digits(folder, count):
    """Write digits of 8×8 pixels, enlarged to 28×28, as PNGs."""
    import cv2
    import numpy as np
    from sklearn.datasets import load_digits

    folder.mkdir()
    digits = (load_digits().images * 15).astype(np.uint8)
    for number in range(count):
        picture = cv2.resize(digits[number % len(digits)], (28, 28))
        cv2.imwrite(str(folder / f"{number:05d}.png"), picture)


def make(row, run, images, photos):
    """Make what a row needs: a run with an exported network, and the images."""
    if row == "digits":
        make_run(run, model="lenet5", side=28, channels=1, classes=10)
        write_digits(images, 20_000)
    else:
        make_run(run, model="resnet18", side=224, channels=3, classes=6)
        write_photos(images, 1 if row == "one" else 400, photos)


def measure(command):
    """Run a command; return its CPU seconds, seconds by the clock, and peak memory in MiB."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return used.ru_utime + used.ru_stime, time.monotonic() - begin, used.ru_maxrss / 1024


def other_ways(given, run, what, ours):
    """Return the bare job of a GPU and cnncli there, or that of OpenVINO on a processor."""
    if given.device != "cpu":
        bare = [sys.executable, str(ENGINES), given.device, str(run), what]
        place = ours.index("--device") + 1
        return {
            "bare torch": bare,
            "cnncli predict": [*ours[:place], given.device, *ours[place + 1 :]],
        }
    if given.row == "large" and find_spec("openvino"):
        bare = [sys.executable, str(ENGINES), "openvino-bf16", str(run), what]
        return {"bare OpenVINO, bf16": bare}
    return {}


def put_row(given, results, before):
    """Print the row as the other benchmarks do, and put it into the CSV."""
    besides = {
        "bare engine": Beside("limit", OF_BARE[given.row]),
        "bare torch": Beside("limit", OF_BARE[given.row]),
        "bare OpenVINO, bf16": Beside("limit"),
        **{name: Beside("peer", OF_TIMM.get(given.row)) for name in results if "timm" in name},
    }
    found = {name: [Spent(*spent) for spent in values] for name, values in results.items()}
    found[OURS] = found.pop("cnncli predict")
    besides = {name: beside for name, beside in besides.items() if name in found}
    finish(given, f"predict-{given.row}", found, besides, before, images=IMAGES.get(given.row))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", help="folder of JPEGs to enlarge, in place of noise")
    parser.add_argument("--no-torch", action="store_true", help="leave out cnncli with torch")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda with torch [cpu]")
    parser.add_argument("--csv", type=Path, help="file of measured rows to put the row into")
    given, before = parser.parse_args(), load()
    with tempfile.TemporaryDirectory() as place:
        run, images = Path(place) / "run", Path(place) / "images"
        # In a process of its own: the peak memory of a child counts from that of its parent.
        spawn = multiprocessing.get_context("spawn")
        making = spawn.Process(target=make, args=(given.row, run, images, given.photos))
        making.start()
        making.join()
        what = str(next(images.iterdir())) if given.row == "one" else str(images)
        ask = ["cnncli", "predict", what, "--checkpoint", str(run), "--device", "cpu", "--format"]
        ways = {
            "bare engine": [sys.executable, str(BARE), str(run / "best.onnx"), what],
            "cnncli predict": [*ask, "csv", "--engine", "onnx"],
            "cnncli predict --exact": [*ask, "csv", "--exact"],
        }
        if given.no_torch:
            ways.popitem()
        others = other_ways(given, run, what, [*ask, "csv"])
        ways = others if given.device != "cpu" else {**ways, **others}
        results = {name: [] for name in ways}
        for round_ in range(given.rounds + 1):
            for name, command in ways.items():
                found = measure(command)
                if round_:  # the first is to warm up the files
                    results[name].append(found)
    put_row(given, results, before)
    if given.device != "cpu":
        return
    bare = results["bare engine"]
    print("| Way | CPU | of bare | Clock | of bare | Peak memory |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, found in results.items():
        cpu, clock, peak = (statistics.median(values) for values in zip(*found, strict=True))
        pairs = list(zip(found, bare, strict=True))
        of_cpu, of_clock = (statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1))
        print(
            f"| {name} | {cpu:.2f} s | {of_cpu:.2f} | {clock:.2f} s | {of_clock:.2f} | "
            f"{peak:.0f} MiB |"
        )


if __name__ == "__main__":
    main()
