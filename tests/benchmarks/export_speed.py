"""The time of `cnncli export` for a ResNet-18 at 224 pixels, beside torch's exporter alone.

    python tests/benchmarks/export_speed.py [--rounds 2]

Each is a process of its own, with its start. cnncli compares the network with torch besides, and
puts names, preprocessing and golden samples into the file.
"""

import argparse
import multiprocessing
import sys
import tempfile
from pathlib import Path

from side_by_side import OURS, Beside, add_flags, alternate, finish, load

BARE = Path(__file__).with_name("bare_export.py")


def make_run(folder):
    """Write a run folder with a ResNet-18 of random weights."""
    import torch

    from cnncli.images.preprocess import Preprocess
    from cnncli.models.build import build_network
    from cnncli.training.checkpoint import Checkpoint, save_checkpoint

    torch.manual_seed(0)
    network = build_network("resnet18", num_classes=6, in_channels=3, image_size=(224, 224))
    pre = Preprocess(224, 224, 3, mean=(0.45,) * 3, std=(0.25,) * 3)
    folder.mkdir()
    names = tuple(f"class{number}" for number in range(6))
    save_checkpoint(folder / "best.safetensors", network.eval(), Checkpoint("resnet18", names, pre))
    (folder / "config.yaml").touch()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_flags(parser, 2)
    given = parser.parse_args()
    if given.device != "cpu":
        parser.error("a network is exported on the CPU alone")
    before = load()
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        # In a process of its own: the peak memory of a child counts from that of its parent.
        making = multiprocessing.get_context("spawn").Process(target=make_run, args=(run,))
        making.start()
        making.join()
        ways = {
            OURS: [sys.executable, "-m", "cnncli", "export", run],
            "torch.onnx.export": [sys.executable, BARE, Path(name) / "bare.onnx"],
        }
        found = alternate(ways, given.rounds)
    finish(given, "export", found, {"torch.onnx.export": Beside("peer")}, before)


if __name__ == "__main__":
    main()
