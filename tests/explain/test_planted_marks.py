"""Heat maps find a mark that was planted, and the test of a map knows a wrong one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers import SHARED_DATA, train
from planted_marks import FORMS, MARK, SIDE, write_marks

from cnncli.images.placement import place_map
from cnncli.recipes.visualize.explainer import Explainer
from cnncli.recipes.visualize.photos import read_photo
from cnncli.recipes.visualize.settings import VisualizeSettings
from cnncli.reporting import SilentReporter
from cnncli.run.subject import load_subject

torch.set_num_threads(1)
CHANCE = MARK**2 / SIDE**2  # share of the pixels that are the mark
SQUEEZENET = SHARED_DATA.parent / "weights" / "squeezenet1_1_imagenet.safetensors"


@dataclass
class Marked:
    """A trained run and images that it has not seen: path, class and place of the mark."""

    run: object
    images: Sequence[tuple[object, int, tuple[int, int]]]

    def explainer(self, **settings):
        subject = load_subject(str(self.run), SilentReporter())
        return Explainer(subject, VisualizeSettings(**settings)), subject

    def shares(self, **settings):
        """Return for each image the share of the heat that lies inside the mark."""
        explainer, subject = self.explainer(**settings)
        found = []
        for path, label, (top, left) in self.images:
            photo = read_photo(str(path), subject.preprocess)
            image = explainer.normalise(photo)
            signed = explainer.compute_map(image, subject.class_names.index(FORMS[label]))
            heat = place_map(np.maximum(signed, 0), photo.seen, photo.picture.shape[:2])
            inside = heat[top : top + MARK, left : left + MARK].sum()
            found.append(float(inside / max(heat.sum(), 1e-12)))
        return found


def train_on_marks(root, **settings):
    write_marks(root / "train", per_class=150)
    options = {"augment": "none", "workers": 0, "batch_size": 32, "seed": 0}
    run = train(root / "runs", data=str(root / "train"), **{**options, **settings})
    return Marked(run, write_marks(root / "new", per_class=8, seed=1))


@pytest.fixture(scope="module")
def residual(tmp_path_factory):
    return train_on_marks(
        tmp_path_factory.mktemp("marks"), model="resnet_small", image_size="64", epochs=5
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "occlusion"])
def test_a_trained_network_sees_the_mark(residual, method):
    assert np.mean(residual.shares(method=method)) > 3 * CHANCE


@pytest.mark.slow
def test_a_frozen_backbone_sees_the_mark(tmp_path):
    if not SQUEEZENET.exists():
        pytest.skip(f"{SQUEEZENET} is not there")
    frozen = train_on_marks(
        tmp_path,
        model="squeezenet1_1",
        weights=str(SQUEEZENET),
        freeze="backbone",
        image_size="128",
        epochs=8,
    )
    assert np.mean(frozen.shares()) > 3 * CHANCE


def pass_by(count=1, text=""):
    """Show no progress."""


@pytest.mark.slow
def test_maps_of_the_trained_network_are_better_than_random(residual):
    explainer, subject = residual.explainer()
    photos = [read_photo(str(path), subject.preprocess) for path, _, _ in residual.images[::2]]
    good = [explainer.explain(photo, pass_by).test.is_better for photo in photos]
    assert sum(good) >= 0.75 * len(good)


@pytest.mark.slow
def test_a_map_by_a_network_with_shuffled_weights_is_no_better_than_random(residual):
    """It is drawn by a network without knowledge, and tested on the trained one."""
    explainer, subject = residual.explainer()
    ignorant, _ = residual.explainer()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in ignorant.network.parameters():
            order = torch.randperm(weights.numel(), generator=generator)
            weights.copy_(weights.flatten()[order].view_as(weights))
    better = []
    for path, label, _ in residual.images[:20:2]:
        image = explainer.normalise(read_photo(str(path), subject.preprocess))
        target = subject.class_names.index(FORMS[label])
        drawn = ignorant.compute_map(image, target)
        better.append(explainer.test_map(image, target, drawn, pass_by).is_better)
    assert len(better) == 10
    assert sum(better) <= 1
