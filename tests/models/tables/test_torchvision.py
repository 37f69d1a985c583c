"""The table of pretrained weights against torchvision's metadata, and torch's cache of files."""

import math
import os

import pytest
import torch
from torchvision import models

from cnncli.models.tables.papers import NOT_STATED, find_licence
from cnncli.models.tables.torchvision import parse_weights, weights_dir

WEIGHTS = parse_weights()


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_torchvisions(name):
    enum = models.get_model_weights(name)
    ours = {weights.name: weights for weights in WEIGHTS[name]}
    assert set(ours) == {weights.name for weights in enum}
    assert WEIGHTS[name][0].name == enum.DEFAULT.name
    for theirs in enum:
        weights, transforms = ours[theirs.name], theirs.transforms()
        assert weights.url == theirs.url
        assert weights.parameters == theirs.meta["num_params"]
        measured = theirs.meta["_metrics"]["ImageNet-1K"]["acc@1"]
        assert weights.top1 == (None if math.isnan(measured) else measured)
        # torchvision names the licence of those weights that have one of their own.
        assert (find_licence(weights) != NOT_STATED) == ("license" in theirs.meta)
        assert weights.macs == round(theirs.meta["_ops"] * 1e9)
        assert [weights.image_size] == transforms.crop_size
        assert [weights.resize_size] == transforms.resize_size
        assert weights.interpolation == transforms.interpolation.value
        if name in ("googlenet", "inception_v3"):  # transform_input: ImageNet's become halves
            assert (weights.mean, weights.std) == ((0.5,) * 3, (0.5,) * 3)
        else:
            assert (weights.mean, weights.std) == (tuple(transforms.mean), tuple(transforms.std))


@pytest.mark.parametrize(
    "variables", [{}, {"TORCH_HOME": "/a/b"}, {"XDG_CACHE_HOME": "/c"}, {"TORCH_HOME": "~/x"}]
)
def test_the_cache_is_torchs(monkeypatch, variables):
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(weights_dir()) == os.path.join(torch.hub.get_dir(), "checkpoints")
