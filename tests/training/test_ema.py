"""The moving average against its recursion written out, and against torch's own."""

import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cnncli.training.ema import MovingAverage


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))


def train(net, steps, follow=lambda net: None, seed=1):
    torch.manual_seed(seed)  # dropout draws from it
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    for _ in range(steps):
        optimizer.zero_grad()
        net.train()(torch.randn(8, 3)).square().mean().backward()
        optimizer.step()
        follow(net)


@pytest.mark.parametrize("decay", [0.05, 0.5, 0.999])
def test_the_recursion(decay):
    """a ← d a + (1 - d) w with d = min(decay, (1 + t) / (10 + t)) after t updates."""
    net = network()
    ema = MovingAverage(net, decay)
    expected, updates = {}, 0

    def follow(net):
        nonlocal updates
        assert ema.decay_now() == min(decay, (1 + updates) / (10 + updates))
        ema.update_parameters(net)
        d = 0.0 if updates == 0 else min(decay, (1 + updates) / (10 + updates))
        for name, tensor in net.state_dict().items():
            value = tensor.double().numpy()
            expected[name] = d * expected.get(name, 0.0) + (1 - d) * value
            if name.endswith("num_batches_tracked"):
                expected[name] = value
        updates += 1

    train(net, 30, follow)
    got = ema.module.state_dict()
    assert set(got) == set(net.state_dict())
    for name, value in expected.items():
        np.testing.assert_allclose(got[name].numpy(), value, rtol=2e-5, atol=1e-6, err_msg=name)
    assert got["1.num_batches_tracked"].item() == 30
    assert not torch.equal(got["1.running_mean"], net[1].running_mean)


def test_a_small_decay_has_no_growth_and_is_torchs():
    net = network()
    ours = MovingAverage(net, 0.1)
    theirs = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.1), use_buffers=True)

    def follow(net):
        ours.update_parameters(net)
        theirs.update_parameters(net)

    train(net, 10, follow)
    for name, tensor in theirs.module.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(ours.module.state_dict()[name], tensor)


def test_continues_bit_by_bit_from_a_saved_state():
    net = network()
    whole = MovingAverage(net, 0.9)
    state = {}

    def follow(net):
        whole.update_parameters(net)
        if whole.n_averaged == 7:
            file = io.BytesIO()
            torch.save({"ema": whole.state_dict(), "net": net.state_dict()}, file)
            state["file"] = file

    train(net, 7, follow)
    train(net, 6, follow, seed=2)
    state["file"].seek(0)
    saved = torch.load(state["file"], weights_only=True)
    net = network()
    net.load_state_dict(saved["net"])
    second = MovingAverage(net, 0.9)
    second.load_state_dict(saved["ema"])
    train(net, 6, second.update_parameters, seed=2)
    assert int(second.n_averaged) == 13
    for name, tensor in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor), name


def test_what_is_frozen_stays_as_it_is_and_the_copy_is_for_evaluation():
    net = network()
    net[0].requires_grad_(False)
    ema = MovingAverage(net)
    train(net, 5, ema.update_parameters)
    assert torch.equal(ema.module[0].weight, net[0].weight)
    assert not torch.equal(ema.module[3].weight, net[3].weight)
    assert not any(p.requires_grad for p in ema.parameters())
    assert not any(module.training for module in ema.modules())
    assert net.training
    assert net[3].weight.requires_grad
