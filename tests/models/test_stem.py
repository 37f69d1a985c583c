"""A pretrained first layer on other channels gives what copies of a grey image give."""

import itertools

import numpy as np
import pytest
import torch
from helpers import SHARED_DATA
from torch import nn
from torch.nn import functional

from cnncli.images.preprocess import Preprocess
from cnncli.models.stem import Normalisation, adapt_stem, replace_stem, stem_normalisation
from cnncli.models.tables.torchvision import IMAGENET

torch.set_num_threads(1)
SOURCE = Normalisation(*IMAGENET)
XRAYS = SHARED_DATA / "xray-sample"


def normalise(images, normalisation):
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (normalisation.mean, normalisation.std))
    return (images - mean) / std


def convolve(images, weight, constant=None, padding=0):
    return functional.conv2d(images.double(), weight.double(), constant, padding=padding)


@pytest.mark.parametrize(
    "target", [stem_normalisation(SOURCE, 1), Normalisation((0.1,), (0.7,))], ids=["own", "other"]
)
def test_one_channel_gives_what_three_copies_give(target):
    torch.manual_seed(0)
    weight, grey = torch.randn(8, 3, 5, 5, dtype=torch.float64), torch.rand(2, 1, 20, 20)
    expected = convolve(normalise(grey.expand(-1, 3, -1, -1), SOURCE), weight)
    adapted, constant = adapt_stem(weight, 1, SOURCE, target)
    got = convolve(normalise(grey, target), adapted, constant)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    # A plain sum is what others do, and it is far off.
    plain = convolve(normalise(grey, target), weight.sum(1, keepdim=True))
    assert (plain - expected).abs().max() > 0.1


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_more_channels_repeat_and_scale(channels):
    weight = torch.randn(4, 3, 3, 3)
    adapted, constant = adapt_stem(weight, channels, SOURCE, stem_normalisation(SOURCE, channels))
    for j in range(channels):
        torch.testing.assert_close(adapted[:, j], weight[:, j % 3] * 3 / channels)
    torch.testing.assert_close(constant, torch.zeros(4))


def test_twice_three_channels_give_what_three_give():
    weight, colour = torch.randn(4, 3, 3, 3), torch.rand(2, 3, 9, 9)
    target = stem_normalisation(SOURCE, 6)
    adapted, constant = adapt_stem(weight, 6, SOURCE, target)
    expected = convolve(normalise(colour, SOURCE), weight)
    got = convolve(normalise(colour.repeat(1, 2, 1, 1), target), adapted, constant.double())
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_one_source_channel_spreads_over_three():
    weight, grey = torch.randn(4, 1, 3, 3), torch.rand(2, 1, 9, 9)
    source = Normalisation((0.3,), (0.2,))
    target = stem_normalisation(source, 3)
    adapted, constant = adapt_stem(weight, 3, source, target)
    got = convolve(normalise(grey.expand(-1, 3, -1, -1), target), adapted, constant.double())
    expected = convolve(normalise(grey, source), weight)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_three_channels_stay_bit_by_bit():
    weight = torch.randn(4, 3, 3, 3)
    adapted, constant = adapt_stem(weight, 3, SOURCE, stem_normalisation(SOURCE, 3))
    assert torch.equal(adapted, weight)
    assert not constant.any()


def test_a_new_stem_keeps_the_variance_of_the_output():
    torch.manual_seed(0)
    for old, new in itertools.permutations((1, 3, 12), 2):
        network = nn.Sequential(nn.Conv2d(old, 256, 7, stride=2, padding=3))
        before = network(torch.randn(1, old, 64, 64)).std()
        replace_stem(network, "0", new)
        assert (network[0].in_channels, network[0].stride) == (new, (2, 2))
        after = network(torch.randn(1, new, 64, 64)).std()
        assert 0.9 < after / before < 1.1


@pytest.mark.skipif(not XRAYS.is_dir(), reason="needs ../shared/data/xray-sample")
def test_what_remains_on_xrays_is_at_the_border():
    torch.manual_seed(0)
    preprocess = Preprocess(224, 224, 1)
    files = sorted(XRAYS.rglob("*.png"))[:12]
    assert files
    images = np.stack([preprocess((path.read_bytes(),)) for path in files])
    grey = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    weight, target = torch.randn(16, 3, 7, 7), stem_normalisation(SOURCE, 1)
    adapted, constant = adapt_stem(weight, 1, SOURCE, target)
    expected = convolve(normalise(grey.expand(-1, 3, -1, -1), SOURCE), weight, padding=3)
    got = convolve(normalise(grey, target), adapted, constant.double(), padding=3)
    error = (got - expected).abs() / expected.std()
    assert error[..., 3:-3, 3:-3].max() < 1e-5
    assert error.max() < 0.5
    print(
        f"inside {error[..., 3:-3, 3:-3].max():.1e}, border max {error.max():.2f}, "
        f"mean over all pixels {error.mean():.4f} of the output's std"
    )
