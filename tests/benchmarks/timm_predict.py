"""The peer of `cnncli predict` on photos: what timm's inference script does, with its best flags.

``python tests/benchmarks/timm_predict.py FOLDER [--plain]`` predicts all images of a folder on the
CPU with a ResNet-18 of 6 classes with random weights, at 224 pixels, and prints a row for each.
timm's ``inference.py`` is not in its package. This is its way with its own library: its dataset,
its loader with worker processes, its preprocessing, its network. The best flags are channels-last,
a worker for each core, batches of 32, and bfloat16 where the processor has instructions for it
(``--channels-last --amp --amp-dtype bfloat16 -j CORES -b 32``). ``--plain`` leaves them out.

Source: https://github.com/huggingface/pytorch-image-models/blob/main/inference.py (Apache-2.0).
"""

import argparse
import os
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import torch
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.models import create_model

SIDE, CLASSES = 224, 6


def has_bf16():
    """Return whether the processor has bfloat16; elsewhere it is slower than float32."""
    facts = Path("/proc/cpuinfo")
    return facts.exists() and "avx512_bf16" in facts.read_text()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder")
    parser.add_argument("--plain", action="store_true", help="timm as it comes")
    given = parser.parse_args()
    best, cores = not given.plain, len(os.sched_getaffinity(0))
    model = create_model("resnet18", pretrained=False, num_classes=CLASSES).eval()
    if best:
        model = model.to(memory_format=torch.channels_last)
    dataset = create_dataset(name="", root=given.folder)
    loader = create_loader(
        dataset,
        batch_size=32 if best else 256,
        num_workers=cores if best else 2,
        device=torch.device("cpu"),
        **resolve_data_config({"input_size": (3, SIDE, SIDE)}, model=model),
    )
    how = torch.autocast("cpu", torch.bfloat16) if best and has_bf16() else nullcontext()
    answers = []
    with torch.inference_mode():
        for images, _ in loader:
            with how:
                scores = model(images)
            answers.append(scores.float().softmax(-1).topk(1))
    columns = {
        "path": dataset.filenames(basename=False),
        "label": torch.cat([answer.indices[:, 0] for answer in answers]).numpy(),
        "probability": torch.cat([answer.values[:, 0] for answer in answers]).numpy(),
    }
    print(pd.DataFrame(columns).to_csv(index=False), end="")


if __name__ == "__main__":
    main()
