"""The training loop against plain torch and written formulas."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import sem
from tiny_network import CPU, MEAN, STD, Tiny, data, loader, trainer
from torch import nn

from cnncli.models.build import Classifier
from cnncli.training.device import Compute, choose_compute
from cnncli.training.history import COLUMNS, MONITORS, EarlyStopping, History
from cnncli.training.predictions import predict_batch, predict_split
from cnncli.training.progress import Progress
from cnncli.training.schedule import warmup_cosine


def copy_of(network):
    other = Tiny()
    other.load_state_dict(network.state_dict())
    return other


def normalised(images):
    x = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
    return ((x - torch.tensor(MEAN).view(2, 1, 1)) / torch.tensor(STD).view(2, 1, 1)).float()


@pytest.mark.parametrize("clip", [None, 0.05])
def test_one_step_is_that_of_plain_torch(clip):
    """AdamW written out: Loshchilov & Hutter (2019), arXiv:1711.05101, algorithm 2."""
    torch.manual_seed(0)
    network = Tiny()
    reference = copy_of(network)
    images, targets = data(5)
    trainer(network, clip=clip).train_epoch(
        loader(images, targets, 5), Progress(1), lambda n, text: None
    )

    log_p = reference.train()(normalised(images)).log_softmax(1)
    smooth = 0.9 * nn.functional.one_hot(torch.from_numpy(targets), 3) + 0.1 / 3
    (-(smooth * log_p).sum(1).mean()).backward()
    norm = torch.sqrt(sum((p.grad**2).sum() for p in reference.parameters()))
    factor = 1.0 if clip is None else min(1.0, clip / (norm.item() + 1e-6))
    assert clip is None or factor < 1
    for name, p in reference.named_parameters():
        gradient = p.grad * factor
        decayed = p.detach() * (1 - 0.01 * (0.1 if p.ndim > 1 else 0.0))
        m, v = 0.1 * gradient / (1 - 0.9), 0.001 * gradient**2 / (1 - 0.999)
        expected = decayed - 0.01 * m / (v.sqrt() + 1e-8)
        if name != "conv.bias":  # BatchNorm takes it out: its gradient is rounding alone
            torch.testing.assert_close(
                dict(network.named_parameters())[name].detach(), expected, rtol=0, atol=2e-5
            )


def test_the_epochs_means_count_each_image_once():
    """11 images in batches of 4, 4 and 3: means over images, not over batches."""
    torch.manual_seed(1)
    network = Tiny()
    reference = copy_of(network)
    images, targets = data(11)
    seen = []
    ours = trainer(network, lr=0.05)
    result = Progress(1)
    ours.train_epoch(loader(images, targets, 4), result, lambda n, text: seen.append(n))
    assert seen == [4, 4, 3]
    assert ours.step == 3
    losses, right = [], 0
    optimizer = torch.optim.AdamW(
        [
            {"params": [reference.conv.weight, reference.fc.weight], "weight_decay": 0.1},
            {
                "params": [p for p in reference.parameters() if p.ndim == 1],
                "weight_decay": 0.0,
            },
        ],
        lr=0.05,
    )
    for step, start in enumerate((0, 4, 8)):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 / (1 + step)
        y = torch.from_numpy(targets[start : start + 4])
        logits = reference.train()(normalised(images[start : start + 4]))
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, y, label_smoothing=0.1).backward()
        # What is told is comparable with val_loss: without smoothing.
        each = nn.functional.cross_entropy(logits.detach(), y, reduction="none")
        optimizer.step()
        losses += each.tolist()
        right += int((logits.argmax(1) == y).sum())
    assert result.loss == pytest.approx(sum(losses) / 11, abs=1e-4)
    assert result.accuracy == right / 11
    per_batch = np.mean([np.mean(losses[:4]), np.mean(losses[4:8]), np.mean(losses[8:])])
    assert abs(result.loss - per_batch) > 1e-3  # what a careless mean would give


@pytest.mark.parametrize(("steps", "warmup"), [(100, 15), (10, 0), (1, 0), (7, 6), (20, 3)])
def test_warmup_cosine_against_torchs_schedulers(steps, warmup):
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    parts, cuts = [], []
    if warmup:
        start = 1 / (warmup + 1)
        parts.append(torch.optim.lr_scheduler.LinearLR(optimizer, start, 1.0, warmup))
        cuts.append(warmup)
    parts.append(
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - warmup, eta_min=0.01)
    )
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, parts, cuts)
    for step in range(steps):
        expected = optimizer.param_groups[0]["lr"]
        assert warmup_cosine(step, steps, warmup, floor=0.01) == pytest.approx(expected, abs=1e-9)
        optimizer.step()
        schedule.step()
    for after in (steps, 10 * steps):
        assert warmup_cosine(after, steps, warmup, floor=0.01) == pytest.approx(0.01)


def test_every_step_gets_its_learning_rate():
    images, targets = data(6)
    ours = trainer(Tiny(), lr=1.0)
    ours.optimizer.param_groups[1]["lr_scale"] = 0.25
    used = []
    ours.optimizer.register_step_pre_hook(
        lambda optimizer, args, kwargs: used.append([g["lr"] for g in optimizer.param_groups])
    )
    for epoch in (1, 2):
        ours.train_epoch(loader(images, targets, 2), Progress(epoch), lambda n, text: None)
    assert used == [[1 / (1 + step), 0.25 / (1 + step)] for step in range(6)]
    assert ours.lr == 1 / 7


def test_predict_split_keeps_the_order_and_the_mode():
    torch.manual_seed(2)
    network = Tiny()
    classifier = Classifier(network, MEAN, STD, 255.0).train()
    images, targets = data(11)
    order = np.array([9, 2, 5, 0, 7])
    before = network.norm.running_mean.clone()
    got_targets, got = predict_split(classifier, loader(images, targets, 2, order), CPU)
    assert got_targets.tolist() == targets[order].tolist()
    assert torch.equal(network.norm.running_mean, before)
    with torch.no_grad():
        expected = network.eval()(normalised(images[order])).double().softmax(1).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert got.dtype == np.float64


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_classifier_is_the_written_formula(dtype):
    torch.manual_seed(3)
    network = Tiny().eval()
    images, _ = data(4)
    scale = 255.0 if dtype == "uint8" else 1.0
    stored = images if dtype == "uint8" else (images / np.float32(255)).astype(np.float32)
    classifier = Classifier(network, MEAN, STD, scale).eval()
    got = predict_batch(classifier, torch.from_numpy(stored), CPU)
    x = (images / 255 - np.array(MEAN)) / np.array(STD)
    with torch.no_grad():
        logits = network(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).float()).double().numpy()
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert set(dict(classifier.named_buffers())) - {"scale", "shift"} == {
        f"network.{name}" for name, _ in network.named_buffers()
    }
    assert {name.removeprefix("network.") for name in classifier.state_dict()} == set(
        network.state_dict()
    )


def test_the_networks_input_is_channels_last():
    images, _ = data(4)
    x = Classifier(Tiny(), MEAN, STD, 255.0).normalise(torch.from_numpy(images))
    assert (x.shape, x.dtype) == ((4, 2, 3, 3), torch.float32)
    assert x.is_contiguous(memory_format=torch.channels_last)


def row(epoch, **values):
    return {
        **dict.fromkeys(COLUMNS, 0.5), "epoch": epoch, **values,
    }  # fmt: skip


def follow(monitor, patience, rows):
    """Return (epochs that were best, epoch at which it stopped or None)."""
    stopping, best = EarlyStopping(monitor, patience), []
    for values in rows:
        if stopping.update(values):
            best.append(values["epoch"])
        assert stopping.best["epoch"] == best[-1]
        if stopping.should_stop:
            return best, values["epoch"]
    return best, None


def test_early_stopping():
    losses = [3.0, 2.0, 2.0, 2.5, 1.0, 1.5, 1.2, 1.1, 0.1]
    rows = [row(n, val_loss=loss) for n, loss in enumerate(losses, 1)]
    assert follow("val_loss", 3, rows) == ([1, 2, 5], 8)
    assert follow("val_loss", 4, rows) == ([1, 2, 5, 9], None)
    assert follow("val_loss", 1, rows) == ([1, 2], 3)


def test_equal_scores_are_decided_by_the_loss():
    rows = [
        row(1, val_accuracy=0.9, val_loss=0.5),
        row(2, val_accuracy=0.9, val_loss=0.4),
        row(3, val_accuracy=0.9, val_loss=0.4),
        row(4, val_accuracy=0.8, val_loss=0.1),
        row(5, val_accuracy=0.95, val_loss=0.9),
    ]
    for monitor in ("val_accuracy", "val_macro_f1"):
        assert follow(monitor, 9, rows)[0][:2] == [1, 2]
    assert follow("val_accuracy", 9, rows) == ([1, 2, 5], None)


def follow_losses(epochs, patience=99):
    """Return the epochs that are kept, from 0, and how many were needed to stop."""
    stopping, kept = EarlyStopping("val_calibrated_loss", patience), []
    for number, losses in enumerate(epochs):
        # Through its saved state, as a resumed run has it.
        again = EarlyStopping("val_calibrated_loss", patience)
        again.load_state_dict(stopping.state_dict())
        stopping = again
        mean = float(np.mean(losses))
        if stopping.update(row(number, val_loss=mean, val_calibrated_loss=mean), losses):
            kept.append(number)
        if stopping.should_stop:
            break
    return kept, number + 1


def test_an_epoch_is_kept_unless_it_is_worse_by_more_than_a_standard_error():
    random = np.random.default_rng(0)
    epochs = [list(random.gamma(1, 0.5 + 0.02 * abs(n - 6), 60)) for n in range(20)]
    expected, lowest = [], epochs[0]
    for number, losses in enumerate(epochs):
        lowest = min(lowest, losses, key=np.mean)
        worse = np.array(losses) - np.array(lowest)
        if worse.mean() <= (sem(worse) if worse.any() else 0):
            expected.append(number)
    kept, _ = follow_losses(epochs)
    assert kept == expected
    assert 0 < len(kept) < 20


def test_epochs_that_are_clearly_worse_end_a_run():
    good, bad = [0.1, 0.2, 0.3, 0.2], [1.1, 1.2, 1.25, 1.2]
    assert follow_losses([good, bad, good, *[bad] * 9], patience=3) == ([0, 2], 6)
    # Each epoch is a little worse than the one before: it is compared with the lowest of all.
    slow = [[0.1 + 0.04 * n, 0.2 + 0.04 * n, 0.3, 0.2] for n in range(9)]
    assert follow_losses(slow)[0] == [0]
    assert follow_losses([[0.5], [0.6], [0.4]])[0] == [0, 2]  # one image has no standard error


def test_monitors_are_the_val_columns():
    assert set(MONITORS) == {name for name in COLUMNS if name.startswith("val_")}
    assert {"val_loss", "val_accuracy", "val_macro_f1"} <= set(MONITORS)


def test_history_refuses_a_row_of_other_columns(tmp_path):
    history = History(tmp_path / "metrics.csv")
    history.append(row(1))
    with pytest.raises(ValueError, match="val_loss"):
        history.append({k: v for k, v in row(2).items() if k != "val_loss"})
    history.write()
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 2


def test_the_native_precision_is_taken_from_the_hardware(monkeypatch):
    from cnncli.training import device

    for has_bf16, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(device, "cpu_has_bf16", lambda has_bf16=has_bf16: has_bf16)
        assert choose_compute("cpu", "auto").precision == expected
    assert choose_compute("cpu", "bf16") == Compute(torch.device("cpu"), "bf16")


def test_bf16_is_near_fp32():
    torch.manual_seed(4)
    images, _ = data(6)
    classifier = Classifier(Tiny().eval(), MEAN, STD, 255.0)
    exact = predict_batch(classifier, torch.from_numpy(images), CPU)
    rounded = predict_batch(
        classifier, torch.from_numpy(images), Compute(torch.device("cpu"), "bf16")
    )
    assert 0 < np.abs(exact - rounded).max() < 0.05
    assert math.isclose(rounded.sum(), 6, abs_tol=1e-5)
