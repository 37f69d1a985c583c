"""``--resize-mode crop`` with pretrained weights: the same input as torchvision's own path."""

import io

import numpy as np
import pytest
import torch
from helpers import SHARED_DATA
from PIL import Image
from torchvision.models import EfficientNet_B0_Weights, ResNet18_Weights, resnet18

from cnncli.images.preprocess import Preprocess
from cnncli.models.build import Classifier
from cnncli.models.registry import find_model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def crop(model):
    weights = find_model(model).find_weights("default")
    side = weights.image_size
    return Preprocess(
        side,
        side,
        3,
        resize_mode="crop",
        interpolation=weights.interpolation,
        resize_size=weights.resize_size,
        mean=MEAN,
        std=STD,
    )


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("model", "enum"),
    [("resnet18", ResNet18_Weights), ("efficientnet_b0", EfficientNet_B0_Weights)],
)
@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (256, 256), (90, 131), (1000, 333)])
def test_pixels_are_torchvisions(model, enum, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    theirs = enum.DEFAULT.transforms()(Image.fromarray(image))
    ours = Classifier(torch.nn.Identity(), MEAN, STD, 255.0).normalise(
        torch.from_numpy(crop(model)((png(image),)))[None]
    )
    assert torch.allclose(ours[0], theirs, atol=1e-6)


def test_a_thin_strip_does_not_fill_the_memory():
    image = np.full((1, 10_000, 3), 7, np.uint8)
    assert (crop("resnet18")((png(image),)) == 7).all()


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="no real images beside the project")
def test_logits_on_real_photos_are_torchvisions():
    torch.manual_seed(0)
    network = resnet18(num_classes=1000).eval()
    classifier, preprocess = Classifier(network, MEAN, STD, 255.0).eval(), crop("resnet18")
    transform = ResNet18_Weights.DEFAULT.transforms()
    worst, spread = 0.0, 0.0
    for path in sorted((SHARED_DATA / "ants-bees" / "val" / "bees").glob("*.jpg"))[:8]:
        with torch.inference_mode():
            theirs = network(transform(Image.open(path).convert("RGB"))[None])
            ours = classifier.logits(torch.from_numpy(preprocess((path.read_bytes(),)))[None])
        worst = max(worst, float((ours - theirs).abs().max()))
        spread = max(spread, float(theirs.std()))
    print(f"largest difference {worst:.2e} of logits with a spread of {spread:.2e}")
    assert worst < 0.02 * spread
