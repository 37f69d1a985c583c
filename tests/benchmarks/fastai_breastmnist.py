"""BreastMNIST by fastai from scratch, to compare with the row ``breastmnist`` of accuracy.py.

    pip install fastai
    python tests/benchmarks/fastai_breastmnist.py breastmnist.npz [--epochs 20] [--seed 0 1 2]

A ResNet-18 with random weights and what fastai takes by default: batches of 64, its one-cycle
schedule with Adam at 0.001 and no augmentation. fastai has no default number of epochs. The last
epoch is judged, as fastai does it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score


def write_folders(file, folder):
    """Write train, val and test of an .npz as folders of PNGs."""
    arrays = np.load(file)
    for split in ("train", "val", "test"):
        labels = arrays[f"{split}_labels"].ravel()
        images = arrays[f"{split}_images"]
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / split / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)


def train_once(folder, seed, epochs):
    """Return accuracy, AUROC and seconds of one training, on the test images."""
    from fastai.vision import all as fastai

    start = time.perf_counter()
    fastai.set_seed(seed, reproducible=True)
    loaders = fastai.ImageDataLoaders.from_folder(
        folder, valid="val", num_workers=0, device="cpu", seed=seed
    )
    learner = fastai.vision_learner(loaders, fastai.resnet18, pretrained=False, normalize=False)
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(epochs)
        files = fastai.get_image_files(folder / "test")
        test = loaders.test_dl(files)
        probabilities, _ = learner.get_preds(dl=test)
    targets = np.array([int(file.parent.name) for file in files])
    scores = probabilities[:, 1].numpy()
    accuracy = float(((scores > 0.5) == targets).mean())
    return accuracy, float(roc_auc_score(targets, scores)), time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description="Train on BreastMNIST with fastai's defaults.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        write_folders(given.file, Path(name))
        found = [train_once(Path(name), seed, given.epochs) for seed in given.seed]
    for seed, (accuracy, auroc, seconds) in zip(given.seed, found, strict=True):
        print(f"seed {seed}: accuracy {accuracy:.4f}, AUROC {auroc:.4f}, {seconds:.0f} s")
    accuracy, auroc, seconds = np.mean(found, axis=0)
    print(f"mean: accuracy {accuracy:.4f}, AUROC {auroc:.4f}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
