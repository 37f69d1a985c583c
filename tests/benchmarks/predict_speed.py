"""The speed of `cnncli predict`, beside the bare job and other ways in the same run.

``python tests/benchmarks/predict_speed.py ROW [--rounds N] [--photos FOLDER]`` makes a network with
random weights and images, exports the network, and starts each way in turn, in a process of its
own: the bare engine (`bare_predict.py`), cnncli with the exported network, cnncli with torch, where
it is installed OpenVINO (`bare_engines.py`, row ``large``), and with ``--timm`` timm's way of
inference (`timm_predict.py`). With ``--device cuda`` cnncli and the bare job both use torch.

Rows: ``one`` is one photo of 1600×1200 pixels and a ResNet-18 at 224 pixels, ``large`` are 400 of
them, ``digits`` are 20,000 PNGs of 28 pixels and a LeNet-5.
"""

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from side_by_side import OURS, Beside, add_flags, alternate, finish, load, need

ROWS = ("one", "large", "digits")
BARE = Path(__file__).with_name("bare_predict.py")
ENGINES = BARE.with_name("bare_engines.py")
IMAGES = {"large": 400, "digits": 20_000}
# The largest ratio of CPU or clock to the bare job's, and to timm's, that reaches the goal.
OF_BARE = {"one": 1.3, "large": 1 / 0.9, "digits": 1 / 0.8}
OF_TIMM = {"large": 1 / 2.5}
TIMM = Path(__file__).with_name("timm_predict.py")


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


def build_ways(given, run, images):
    """Return the command of each way."""
    what = str(next(images.iterdir())) if given.row == "one" else str(images)
    ask = ["cnncli", "predict", what, "--checkpoint", run, "--format", "csv", "--device"]
    engines = [sys.executable, ENGINES]
    if given.device != "cpu":
        return {
            "bare torch": [*engines, given.device, run, what],
            OURS: [*ask, given.device],
        }
    ways = {
        "bare engine": [sys.executable, BARE, run / "best.onnx", what],
        OURS: [*ask, "cpu", "--engine", "onnx"],
    }
    if not given.no_torch:
        ways["cnncli --exact"] = [*ask, "cpu", "--exact"]
    if given.row == "large" and find_spec("openvino"):
        ways["bare OpenVINO, bf16"] = [*engines, "openvino-bf16", run, what]
    if given.timm:
        need("timm")
        timm = [sys.executable, TIMM, images]
        ways |= {"timm, best flags": timm, "timm as it comes": [*timm, "--plain"]}
    return ways


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--photos", help="folder of JPEGs to enlarge, in place of noise")
    parser.add_argument("--no-torch", action="store_true", help="leave out cnncli with torch")
    parser.add_argument("--timm", action="store_true", help="timm, too (rows one and large)")
    add_flags(parser, 5)
    given, before = parser.parse_args(), load()
    with tempfile.TemporaryDirectory() as place:
        run, images = Path(place) / "run", Path(place) / "images"
        # In a process of its own: the peak memory of a child counts from that of its parent.
        spawn = multiprocessing.get_context("spawn")
        making = spawn.Process(target=make, args=(given.row, run, images, given.photos))
        making.start()
        making.join()
        found = alternate(build_ways(given, run, images), given.rounds)
    besides = {
        "bare engine": Beside("limit", OF_BARE[given.row]),
        "bare torch": Beside("limit", OF_BARE[given.row]),
        "bare OpenVINO, bf16": Beside("limit"),
        "cnncli --exact": Beside("torch"),
        "timm, best flags": Beside("peer", OF_TIMM.get(given.row)),
        "timm as it comes": Beside("peer"),
    }
    besides = {name: besides[name] for name in found if name != OURS}
    finish(given, f"predict-{given.row}", found, besides, before, images=IMAGES.get(given.row))


if __name__ == "__main__":
    main()
