"""``--balance``: rare classes count as much as frequent ones."""

import numpy as np
import pytest
import torch
from helpers import train, write_digits
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from cnncli.config import load_config
from cnncli.data.epoch_batches import EpochBatches
from cnncli.data.find_samples import find_samples
from cnncli.data.loader import Loader, SplitDataset
from cnncli.data.store import load_images
from cnncli.images.preprocess import Preprocess
from cnncli.training.balance import balance_rows, class_weights
from cnncli.training.features import FeatureLoader, Features
from cnncli.training.losses import build_loss

TARGETS = np.repeat([0, 1, 2], [900, 90, 10])


def test_weights_are_scikit_learns_balanced_ones():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=TARGETS)
    np.testing.assert_allclose(class_weights(TARGETS, 3), expected)
    np.testing.assert_allclose(np.mean(np.array(class_weights(TARGETS, 3))[TARGETS]), 1)
    assert class_weights(np.array([0, 0, 2]), 3)[1] == 0  # nothing is divided by it


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_torchs_weighted_one_with_a_scale_that_stays(smoothing):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1000, 3, generator=generator)
    targets = torch.from_numpy(TARGETS)
    weights = class_weights(TARGETS, 3)
    ours = build_loss("cross_entropy", 3, label_smoothing=smoothing, class_weights=weights)(
        logits, targets
    )
    torchs = nn.CrossEntropyLoss(
        weight=torch.tensor(weights), label_smoothing=smoothing, reduction="sum"
    )(logits, targets)
    torch.testing.assert_close(ours, torchs / 1000)
    # Over all training images the weights sum to N, so that this is torch's own mean too.
    mean = nn.CrossEntropyLoss(weight=torch.tensor(weights), label_smoothing=smoothing)
    torch.testing.assert_close(ours, mean(logits, targets))


def drawn(targets, seed=0, epoch=1, batch_size=32):
    batches = EpochBatches(len(targets), batch_size, seed=seed, balanced=targets)
    batches.epoch = epoch
    return np.array([number for batch in batches for _, number in batch])


def test_classes_are_drawn_alike_and_their_images_too():
    counts = np.zeros(len(TARGETS))
    epochs = 60
    for epoch in range(1, epochs + 1):
        positions = drawn(TARGETS, epoch=epoch) % len(TARGETS)
        assert len(positions) == len(TARGETS)
        counts += np.bincount(positions, minlength=len(TARGETS))
    by_class = np.bincount(TARGETS, weights=counts)
    expected = epochs * len(TARGETS) / 3
    # Chi-square of 2 degrees of freedom: 20 is beyond once in 20,000 seeds.
    assert ((by_class - expected) ** 2 / expected).sum() < 20
    for target, size in enumerate((900, 90, 10)):
        own = counts[np.isin(TARGETS, target)]
        chi_square = ((own - expected / size) ** 2 / (expected / size)).sum()
        assert abs(chi_square - (size - 1)) < 5 * np.sqrt(2 * size)


def test_the_draw_depends_on_seed_and_epoch_alone():
    first = drawn(TARGETS, seed=3, epoch=2)
    np.random.seed(0)
    np.testing.assert_array_equal(first, drawn(TARGETS, seed=3, epoch=2, batch_size=7))
    assert (first != drawn(TARGETS, seed=3, epoch=3)).any()
    assert (first != drawn(TARGETS, seed=4, epoch=2)).any()


def test_repeats_are_numbered_in_the_order_of_their_draws():
    numbers = drawn(TARGETS)
    assert len(set(numbers.tolist())) == len(numbers)
    seen = {}
    for number in numbers.tolist():
        repeat, position = divmod(number, len(TARGETS))
        assert repeat == seen.get(position, 0)
        seen[position] = repeat + 1
    assert max(seen.values()) > 10


def test_without_balance_every_image_comes_once():
    batches = EpochBatches(50, 8, seed=1)
    assert sorted(number for batch in batches for _, number in batch) == list(range(50))


@pytest.fixture
def dataset(tmp_path):
    write_digits(tmp_path / "d", classes=("0",), per_class=20)
    write_digits(tmp_path / "d", classes=("1",), per_class=3)
    samples = find_samples(str(tmp_path / "d"))
    store, _, _ = load_images(samples, Preprocess(8, 8, 1), threads=1)

    def stamp(image, seed, epoch, draw):
        """Write the number of the draw into the image, in place of augmentation."""
        stamped = np.zeros_like(image)
        stamped[0, 0], stamped[0, 1] = divmod(draw, 256)
        return stamped

    # The split leaves out two images: positions are not the images' numbers.
    return SplitDataset(store, np.arange(2, 23), samples.targets, augment=stamp, seed=0)


def epoch_of(loader, number):
    batches = list(loader.epoch(number))
    images = torch.cat([images for images, _ in batches])
    return images, torch.cat([targets for _, targets in batches])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_for_any_number_of_workers(dataset, workers):
    loader = Loader(dataset, 4, shuffle_seed=5, workers=workers, balanced=True)
    reference = Loader(dataset, 4, shuffle_seed=5, balanced=True)
    epoch_of(loader, 1)  # persistent workers have had an epoch before
    for ours, theirs in zip(epoch_of(loader, 2), epoch_of(reference, 2), strict=True):
        assert torch.equal(ours, theirs)


def test_an_image_drawn_twice_is_augmented_in_two_ways(dataset):
    images, targets = epoch_of(Loader(dataset, 4, shuffle_seed=0, balanced=True), 1)
    draws = (images[:, 0, 0, 0].int() * 256 + images[:, 0, 1, 0].int()).tolist()
    assert len(set(draws)) == 21
    indices = [draw % 23 for draw in draws]
    assert len(set(indices)) < 21
    assert [dataset.targets[index] for index in indices] == targets.tolist()
    assert min(indices) >= 2


def test_features_are_drawn_as_images_are():
    targets = torch.from_numpy(np.repeat([0, 1], [20, 4]))
    features = Features(torch.arange(24.0)[None, :, None], targets)
    loader = FeatureLoader(features, 5, shuffle_seed=2, balanced=True)
    values, drawn_targets = zip(*loader.epoch(3), strict=True)
    expected = drawn(targets.numpy(), seed=2, epoch=3, batch_size=5) % 24
    assert torch.cat(values)[:, 0].tolist() == expected.tolist()
    assert torch.equal(torch.cat(drawn_targets), targets[expected])


def test_the_tables():
    names = ["often", "some", "rare"]
    assert balance_rows("loss", TARGETS, names)[2] == {
        "class": "rare",
        "images": 10,
        "weight": 33.3333,
    }
    rows = balance_rows("sampler", TARGETS, names)
    assert [row["drawn"] for row in rows] == [333, 333, 333]
    assert [row["times_each"] for row in rows] == [0.37, 3.7, 33.33]


@pytest.mark.parametrize("balance", ["loss", "sampler"])
def test_a_run_balances_and_says_so(tmp_path, balance, capsys):
    from cnncli.recipes.train import train_run
    from cnncli.shell.terminal import TerminalReporter

    write_digits(tmp_path / "d", classes=("0",), per_class=30)
    write_digits(tmp_path / "d", classes=("1",), per_class=10)
    settings = {"data": str(tmp_path / "d"), "model": "lenet5", "epochs": 1, "device": "cpu"}
    config = load_config(None, {**settings, "balance": balance, "output": str(tmp_path / "r")})
    run = train_run(config, TerminalReporter())
    said = capsys.readouterr().err
    assert f"balance {balance}" in said
    assert load_config(str(run / "config.yaml"), {}).balance == balance
    plain = train(tmp_path / "plain", **settings)
    logs = [(path / "metrics.csv").read_text() for path in (run, plain)]
    # The rows differ in more than their time: the weights were used.
    losses = [log.splitlines()[1].split(",")[log.split(",").index("train_loss")] for log in logs]
    assert losses[0] != losses[1]
