"""The speed of an epoch of `cnncli train`, as a fraction of the bare training step in the same run.

``python tests/benchmarks/train_step.py [DATA] [--rounds N] [--epochs N] [-- FLAGS]`` trains on DATA
(a folder or ``digits``) with the flags of `cnncli train`, in turn with its default augmentation,
with ``--augment none``, and as a bare loop: the same network, batch size and precision, on random
tensors that already lie in memory, forwards, backwards and a step of AdamW. Each is a process of
its own. Printed are medians over the epochs but the first: images per CPU second (user and system)
and per second by the clock, and each as a fraction of the bare loop of the same round.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CNNCLI = """
import sys, time
from cnncli.training.loop import Trainer

train_epoch = Trainer.train_epoch

def measured(self, loader, progress, *others):
    cpu, clock = time.process_time(), time.perf_counter()
    train_epoch(self, loader, progress, *others)
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    print("EPOCH", progress.images / cpu, progress.images / clock, file=sys.stderr, flush=True)

Trainer.train_epoch = measured
from cnncli.__main__ import main
main()
"""


def run_bare(folder, epochs):
    """Take bare steps with the settings of a run, and print the images per second of each epoch."""
    import torch
    import yaml

    from cnncli.models.build import build_network
    from cnncli.training.checkpoint import load_checkpoint
    from cnncli.training.device import keep_freed_memory

    keep_freed_memory()
    found = yaml.safe_load((folder / "config.yaml").read_text())
    _, checkpoint = load_checkpoint(folder / "best.safetensors")
    form, classes = checkpoint.preprocess, len(checkpoint.class_names)
    torch.manual_seed(0)
    network = build_network(
        found["model"], num_classes=classes, in_channels=form.channels, image_size=form.image_size
    )
    layout = torch.channels_last if found["channels_last"] else torch.contiguous_format
    network.to(memory_format=layout).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    size, steps = found["batch_size"], max(1, 1000 // found["batch_size"])
    shape = (size, *form.image_size, form.channels)
    images = [torch.randint(0, 256, shape, dtype=torch.uint8) for _ in range(8)]
    targets = torch.randint(0, classes, (8, size))
    is_short = found["precision"] == "bf16"
    for _ in range(epochs):
        cpu, clock = time.process_time(), time.perf_counter()
        for step in range(steps):
            batch = images[step % 8].permute(0, 3, 1, 2).float() / 255
            with torch.autocast("cpu", torch.bfloat16, enabled=is_short):
                output = network(batch)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(output.float(), targets[step % 8]).backward()
            optimizer.step()
        cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
        print("EPOCH", steps * size / cpu, steps * size / clock, file=sys.stderr)


def measure(command):
    """Run a command; return the medians over its epochs but the first, (CPU, clock), images/s."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("EPOCH")]
    return [statistics.median(map(float, values)) for values in zip(*lines[1:], strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", nargs="?", default="digits")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    own, _, flags = " ".join(sys.argv[1:]).partition(" -- ")
    given = parser.parse_args(own.split())
    if given.bare:
        run_bare(given.bare, given.epochs)
        return
    with tempfile.TemporaryDirectory() as place:
        train = [sys.executable, "-c", CNNCLI, "train", given.data, *flags.split()]
        train += ["--epochs", str(given.epochs), "--patience", "99", "--no-onnx", "--no-report"]
        train += ["--device", "cpu", "--output", place]
        measure(train)  # a run, whose settings the bare loop takes; and the files are warm
        (run,) = Path(place).iterdir()
        bare = [sys.executable, __file__, "--bare", str(run), "--epochs", str(given.epochs)]
        ways = {
            "bare step": bare,
            "cnncli train": train,
            "cnncli train --augment none": [*train, "--augment", "none"],
        }
        results = {name: [] for name in ways}
        for _ in range(given.rounds):
            for name, command in ways.items():
                results[name].append(measure(command))
    print("| Way | images per CPU second | of bare | per second | of bare |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, found in results.items():
        cpu, clock = (statistics.median(values) for values in zip(*found, strict=True))
        pairs = list(zip(found, results["bare step"], strict=True))
        of_cpu, of_clock = (statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1))
        print(f"| {name} | {cpu:.0f} | {of_cpu:.2f} | {clock:.0f} | {of_clock:.2f} |")


if __name__ == "__main__":
    main()
