"""Mixup and CutMix against torchvision's, given the same draw, and what is drawn."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from cnncli.models.build import Classifier
from cnncli.training.mixing import Mixing, cut_box, cutmix, mixup

K = 4


def batch(dtype=torch.uint8, shape=(6, 5, 7, 3)):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, shape, generator=generator).to(dtype)
    targets = torch.randint(0, K, shape[:1], generator=generator)
    return images, targets, torch.nn.functional.one_hot(targets, K).float()


def torchvisions(transform, images, targets, **drawn):
    """Apply a torchvision transform, which wants NCHW, with what has been drawn."""
    params = {"labels": targets, "batch_size": len(targets), **drawn}
    nchw = images.permute(0, 3, 1, 2).float()
    mixed = transform.transform(nchw, params)
    return mixed.permute(0, 2, 3, 1), transform.transform(targets, params)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("kept", [0.0, 0.3, 1.0])
def test_mixup_is_torchvisions(dtype, kept):
    images, targets, shares = batch(dtype)
    expected = torchvisions(v2.MixUp(num_classes=K), images, targets, lam=kept)
    got = mixup(images, shares, kept)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
        assert ours.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("centre", [(0, 0), (2, 3), (4, 6)])
def test_cutmix_is_torchvisions(monkeypatch, dtype, kept, centre):
    images, targets, shares = batch(dtype)
    transform = v2.CutMix(num_classes=K)
    row, column = centre
    draws = iter([torch.tensor([column]), torch.tensor([row])])
    monkeypatch.setattr(transform, "_dist", type("", (), {"sample": lambda self, shape: kept})())
    monkeypatch.setattr(torch, "randint", lambda *args, **kwargs: next(draws))
    drawn = transform.make_params([images.permute(0, 3, 1, 2)])
    top, left, bottom, right = cut_box(5, 7, kept, centre)
    assert drawn["box"] == (left, top, right, bottom)
    expected = torchvisions(transform, images, targets, **drawn)
    got = cutmix(images, shares, (top, left, bottom, right))
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_cutmix_counts_the_pixels_that_are_there():
    images, _, shares = batch()
    own = torch.arange(6.0)[:, None, None, None].expand(images.shape)
    mixed, targets = cutmix(own, shares, (3, 5, 5, 7))
    assert (mixed == own).float().mean().item() == pytest.approx(1 - 4 / 35)
    expected = shares * (1 - 4 / 35) + shares.roll(1, 0) * 4 / 35
    torch.testing.assert_close(targets, expected)


@pytest.mark.parametrize(
    "settings", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}]
)
def test_a_draw_depends_on_seed_epoch_and_batch_alone(settings):
    images, targets, shares = batch(shape=(6, 32, 32, 3))
    mixing = Mixing(K, seed=3, **settings)
    torch.manual_seed(0)
    np.random.seed(0)
    first = mixing(images, targets, epoch=2, batch=5)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    again = Mixing(K, seed=3, **settings)(images, shares, epoch=2, batch=5)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)  # nothing was drawn from it
    others = [
        Mixing(K, seed=4, **settings)(images, targets, epoch=2, batch=5),
        mixing(images, targets, epoch=3, batch=5),
        mixing(images, targets, epoch=2, batch=6),
    ]
    assert not any(torch.equal(first[0], other[0]) for other in others)
    assert not any(torch.equal(first[1], other[1]) for other in others)


def test_shares_sum_to_one_and_the_input_stays():
    images, targets, _ = batch(torch.float32)
    before = images.clone()
    mixing = Mixing(K, seed=0, mixup=1.0, cutmix=1.0)
    for number in range(20):
        mixed, shares = mixing(images, targets, epoch=1, batch=number)
        torch.testing.assert_close(shares.sum(1), torch.ones(6))
        assert mixed.shape == images.shape
    assert torch.equal(images, before)
    assert mixing
    assert not Mixing(K, seed=0)


def kept_of(mixing, count):
    """Return the shares of the image itself over many batches of two classes."""
    images = torch.zeros(2, 64, 64, 1)
    targets = torch.tensor([0, 1])
    return np.array(
        [mixing(images, targets, epoch=1, batch=n)[1][0, 0].item() for n in range(count)]
    )


def test_mixup_draws_from_its_beta_distribution():
    """Beta(α, α) has mean 1/2 and variance 1 / (4 (2α + 1))."""
    kept = kept_of(Mixing(2, seed=0, mixup=0.4), 4000)
    variance = 1 / (4 * (2 * 0.4 + 1))
    assert kept.mean() == pytest.approx(0.5, abs=4 * np.sqrt(variance / 4000))
    assert kept.var() == pytest.approx(variance, rel=0.05)


def test_cutmix_draws_a_uniform_area_before_the_border_cuts_it():
    kept = kept_of(Mixing(2, seed=0, cutmix=1.0), 4000)
    rng = np.random.default_rng(1)  # by areas, in numbers without pixels
    half = 0.5 * np.sqrt(1 - rng.uniform(size=100_000))
    sides = [
        np.minimum(1, c + half) - np.maximum(0, c - half) for c in rng.uniform(size=(2, 100_000))
    ]
    expected = 1 - sides[0] * sides[1]
    assert kept.mean() == pytest.approx(expected.mean(), abs=0.03)  # half sides round down
    assert kept.std() == pytest.approx(expected.std(), rel=0.1)


def test_with_both_on_one_of_them_is_drawn_for_each_batch():
    images = torch.zeros(2, 64, 64, 1)
    images[1] = 1.0
    mixing = Mixing(2, seed=0, mixup=1.0, cutmix=1.0)
    blended = 0
    for number in range(200):
        mixed, _ = mixing(images, torch.tensor([0, 1]), epoch=1, batch=number)
        blended += bool(((mixed > 0) & (mixed < 1)).any())
    assert 70 < blended < 130


def test_mixing_before_normalising_is_mixing_after_it():
    images, _, shares = batch(torch.uint8)
    classifier = Classifier(torch.nn.Identity(), (0.4, 0.5, 0.6), (0.2, 0.3, 0.25), 255.0)
    mixed, _ = mixup(images, shares, 0.3)
    after = classifier.normalise(images)
    after = 0.3 * after + 0.7 * after.roll(1, 0)
    torch.testing.assert_close(classifier.normalise(mixed), after, atol=1e-5, rtol=1e-5)
