"""Train a classifier with fastai from scratch; its accuracy on val goes into a CSV, epoch by epoch.

    python tests/benchmarks/fastai_folders.py FOLDER CSV [--epochs 20] [--image-size 128]

FOLDER holds ``train`` and ``val`` with class folders. A ResNet-18 with random weights, and what
fastai takes by default: batches of 64, its one-cycle schedule with Adam at 0.001, no augmentation.
fastai has no default number of epochs and no default size; 128 pixels are those of its book.
"""

import argparse
import warnings
from pathlib import Path

from side_by_side import need


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    need("fastai")
    warnings.simplefilter("ignore")
    from fastai.callback.progress import CSVLogger
    from fastai.vision import all as fastai

    fastai.set_seed(given.seed, reproducible=True)
    loaders = fastai.ImageDataLoaders.from_folder(
        given.folder,
        valid="val",
        num_workers=0,
        device=given.device,
        seed=given.seed,
        item_tfms=fastai.Resize(given.image_size),
    )
    learner = fastai.vision_learner(
        loaders, fastai.resnet18, pretrained=False, normalize=False, metrics=fastai.accuracy
    )
    with learner.no_bar():
        learner.fit_one_cycle(given.epochs, cbs=CSVLogger(given.csv.absolute()))


if __name__ == "__main__":
    main()
