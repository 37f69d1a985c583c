"""The bare jobs that `cnncli finetune --freeze backbone` is measured against.

``python tests/benchmarks/bare_head.py WAY MODEL WEIGHTS FOLDER [DEVICE]`` trains a new head for
five epochs on a network of torchvision whose other layers are frozen, as a short script does it:
Pillow decodes in threads, the network computes channels last. With the way ``features`` each image
is decoded once, the frozen layers run once, and the head is trained on what they gave; with
``loop`` both are done in every epoch. All is in float32, as such scripts do it.
Of the images every tenth is for validation, and every tenth for the test.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file

BATCH, EPOCHS, SIDE = 32, 5, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read(path):
    with Image.open(path) as image:
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small)


def read_batches(pool, paths):
    """Yield the pixels (N, C, H, W) of each batch, read ahead by the threads."""
    pixels = pool.map(read, paths)
    for start in range(0, len(paths), BATCH):
        batch = np.stack([next(pixels) for _ in paths[start : start + BATCH]])
        images = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
        yield (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def split(model, weights, classes):
    """Return the frozen part and the new head of a network."""
    network = getattr(torchvision.models, model)(weights=None)
    network.load_state_dict(load_file(weights))
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    if model.startswith("squeezenet"):
        head = torch.nn.Sequential(
            torch.nn.Dropout(), torch.nn.Conv2d(512, classes, 1), *network.classifier[2:]
        )
        return network.features, torch.nn.Sequential(head, torch.nn.Flatten())
    head = torch.nn.Linear(network.fc.in_features, classes)
    network.fc = torch.nn.Identity()
    return network, head


def main():
    way, model, weights, folder, *device = sys.argv[1:]
    device = torch.device(*device or ["cpu"])
    torch.manual_seed(0)
    threads = len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(threads)
    names = sorted(entry.name for entry in os.scandir(folder))
    found = [(path, names.index(path.parent.name)) for path in sorted(Path(folder).glob("*/*"))]
    parts = {"train": [], "val": [], "test": []}
    for number, pair in enumerate(found):
        parts[{0: "val", 1: "test"}.get(number % 10, "train")].append(pair)
    backbone, head = (part.to(device) for part in split(model, weights, len(names)))
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)

    def compute(pairs):
        for images in read_batches(pool, [path for path, _ in pairs]):
            yield backbone(images.to(device, memory_format=torch.channels_last))

    def judge(features, pairs):
        targets = torch.tensor([target for _, target in pairs], device=device)
        head.eval()
        with torch.no_grad():
            right = torch.cat([head(batch) for batch in features]).argmax(1) == targets
        head.train()
        return f"{right.float().mean():.4f}"

    kept = {name: list(compute(pairs)) for name, pairs in parts.items()} if way != "loop" else {}
    for epoch in range(EPOCHS):
        order = torch.randperm(len(parts["train"])).tolist()
        pairs = [parts["train"][number] for number in order]
        targets = torch.tensor([target for _, target in pairs], device=device).split(BATCH)
        batches = torch.cat(kept["train"])[order].split(BATCH) if kept else compute(pairs)
        for batch, wanted in zip(batches, targets, strict=True):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(head(batch), wanted).backward()
            optimizer.step()
        print(epoch + 1, "val", judge(kept.get("val") or compute(parts["val"]), parts["val"]))
    print("test", judge(kept.get("test") or compute(parts["test"]), parts["test"]))


if __name__ == "__main__":
    main()
