"""The time of a training epoch, beside that of the bare steps of the same network.

    python tests/benchmarks/train_speed.py 28|64|224 [--rounds 3] [--device cuda]

``cnncli train`` runs in this process, on scikit-learn's digits made large. After each of its epochs
the bare job follows: as many steps on a copy of network and optimizer, all with one batch that is
in memory already, and nothing but forward pass, loss, backward pass and the optimizer's step. So
both have the same precision, layout and threads, and take turns. The first epoch is not counted.
"""

import argparse
import contextlib
import copy
import io
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import OURS, Beside, Spent, add_flags, finish, load

GOALS = {64: 1 / 0.95, 224: 1 / 0.95}
# What is trained at a size: the network, and the images of each of the ten classes.
SIZES = {28: ("resnet_small", 170), 64: ("resnet_small", 170), 224: ("resnet18", 32)}


def write_images(folder, side, count):
    """Write images of each digit into class folders."""
    import cv2
    from sklearn.datasets import load_digits

    data = load_digits()
    for name in range(10):
        place = folder / str(name)
        place.mkdir(parents=True)
        for number, digit in enumerate(data.images[data.target == name][:count]):
            picture = cv2.resize((digit * 15).astype("uint8"), (side, side))
            cv2.imwrite(str(place / f"{number}.png"), picture)


def now(device):
    """Return CPU seconds of the process and the clock, when all that was asked for is done."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
    return time.process_time(), time.perf_counter()


def spent_since(begin, device):
    """Return what was spent since a moment of ``now``; the memory is not measured."""
    return Spent(*(end - start for start, end in zip(begin, now(device), strict=True)), 0)


def take_steps(trainer, batch, steps):
    """Take bare steps on one batch with a trainer's network, loss, optimizer and precision."""
    images, targets = batch
    for _ in range(steps):
        trainer.optimizer.zero_grad(set_to_none=True)
        with trainer.compute.autocast():
            loss = trainer.criterion(trainer.classifier.outputs(images), targets)
        loss.backward()
        trainer.optimizer.step()


def watch_epochs(found, sizes):
    """Let each epoch of cnncli be measured, and followed by the bare steps."""
    from cnncli.training.loop import Trainer

    train_epoch = Trainer.train_epoch

    def measured(trainer, loader, progress, *args, **kwargs):
        device = trainer.compute.device
        before, begin = progress.batches, now(device)
        train_epoch(trainer, loader, progress, *args, **kwargs)
        found[OURS].append(spent_since(begin, device))
        sizes.append(progress.images)
        batch = [part.to(device) for part in next(iter(loader.epoch(progress.epoch)))]
        bare = copy.copy(trainer)
        bare.classifier, bare.optimizer = copy.deepcopy((trainer.classifier, trainer.optimizer))
        begin = now(device)
        take_steps(bare, batch, progress.batches - before)
        found["bare step"].append(spent_since(begin, device))

    Trainer.train_epoch = measured


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("side", type=int, choices=SIZES, help="pixels of a side")
    add_flags(parser, 3)
    given = parser.parse_args()
    model, count = SIZES[given.side]
    before, found, sizes = load(), {OURS: [], "bare step": []}, []
    with tempfile.TemporaryDirectory() as name:
        write_images(Path(name) / "data", given.side, count)
        from cnncli.cli import main as cnncli

        watch_epochs(found, sizes)
        sys.argv = ["cnncli", "train", "--data", f"{name}/data", "--output", f"{name}/runs"]
        sys.argv += ["--model", model, "--image-size", str(given.side), "--device", given.device]
        sys.argv += ["--epochs", str(given.rounds + 1), "--patience", str(given.rounds + 1)]
        sys.argv += ["--no-onnx", "--no-report"]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            cnncli()
    if len(sizes) != given.rounds + 1:
        sys.exit(f"{len(sizes)} epochs were trained, not {given.rounds + 1}")
    counted = {name: spent[1:] for name, spent in found.items()}
    besides = {"bare step": Beside("limit", GOALS.get(given.side))}
    finish(given, f"train-{given.side}", counted, besides, before, images=sizes[-1])


if __name__ == "__main__":
    main()
