"""Heat maps find a mark that was planted, and the test of a map knows a wrong one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers import SHARED_DATA, train
from planted_marks import FORMS, MARK, SIDE, draw_image, write_marks

from cnncli.explain.cam import class_maps
from cnncli.explain.map_layer import find_map_layer
from cnncli.images.placement import Box, place_map
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


@pytest.mark.slow
def test_a_transformer_with_a_class_token_sees_the_mark():
    """Its attention is trained with dropout: tokens of a few images mix at once without it."""
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    sizes = {"num_layers": 2, "num_heads": 4, "hidden_dim": 96, "mlp_dim": 192, "num_classes": 3}
    network = VisionTransformer(
        image_size=SIDE, patch_size=8, dropout=0.2, attention_dropout=0.3, **sizes
    )
    targets = np.arange(1500) % len(FORMS)
    rng = np.random.default_rng(0)
    images = as_input([draw_image(FORMS[target], rng)[0] for target in targets])
    train_by_hand(network, images, torch.from_numpy(targets), epochs=8)
    rng = np.random.default_rng(1)
    shares, right = [], 0
    for number in range(24):
        picture, (top, left) = draw_image(FORMS[number % 3], rng)
        image = as_input([picture])
        layer = find_map_layer(network, image, head="heads.head")
        with torch.no_grad():
            right += int(network(image).argmax()) == number % 3
        signed = class_maps(network, image, [number % 3], layer, "hires-cam")[0].numpy()
        heat = place_map(np.maximum(signed, 0), Box(0, 0, SIDE, SIDE), (SIDE, SIDE))
        inside = heat[top : top + MARK, left : left + MARK].sum()
        shares.append(inside / max(heat.sum(), 1e-12))
    assert layer.layout == "tokens"
    assert right >= 22
    assert np.mean(shares) > 3 * CHANCE


def as_input(pictures):
    """Return (N, 3, H, W) with values about -2 to 2."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().sub(120).div(50)


def train_by_hand(network, images, targets, epochs):
    steps = len(images) // 32
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * steps)
    network.train()
    for _ in range(epochs):
        for some in torch.randperm(len(images)).split(32)[:steps]:
            loss = torch.nn.functional.cross_entropy(network(images[some]), targets[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()


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
