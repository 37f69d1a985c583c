"""Which networks' heads can be fitted, and what is said of those that cannot."""

import pytest
import torch
from helpers import smallest_of_each_family

from cnncli.config import FinetuneConfig
from cnncli.errors import CnncliError
from cnncli.images.preprocess import Preprocess
from cnncli.models.build import build_network
from cnncli.models.registry import find_model
from cnncli.reporting import SilentReporter
from cnncli.run.settle_head import can_fit, refuse_fit, settle_head, tell_squash
from cnncli.training.device import Compute
from cnncli.training.distributed import World


def build(name, *, linear_head):
    size = find_model(name).image_size
    size = (224, 224) if size is None or size >= 64 else (32, 32)
    network = build_network(
        name, num_classes=3, in_channels=3, image_size=size, linear_head=linear_head
    )
    return network, Preprocess(*size, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", smallest_of_each_family())
def test_every_familys_head_can_be_fitted_but_maxvits_which_has_no_bias(name):
    network, form = build(name, linear_head=True)
    assert can_fit(network, name, form) == (name != "maxvit_t")


def test_squeezenets_cannot_with_the_activation_behind_it():
    network, form = build("squeezenet1_1", linear_head=False)
    assert not can_fit(network, "squeezenet1_1", form)


def test_several_processes_train_the_head_by_epochs():
    notes = []
    reporter = SilentReporter()
    reporter.note = notes.append
    compute = Compute(torch.device("cpu"), "fp32", World(rank=0, size=2))
    config = settle_head(FinetuneConfig(data="digits"), compute, reporter)
    assert (config.head, config.freeze) == ("epochs", None)
    assert notes == ["the head is trained by epochs, not fitted: several processes train together"]
    with pytest.raises(CnncliError, match="use --head epochs"):
        refuse_fit(FinetuneConfig(data="digits", head="fit"), reporter)


@pytest.mark.parametrize(
    ("asked", "chosen", "usual", "told"),
    [
        (None, "squash", "crop", True),
        (None, "squash", "squash", False),
        ("squash", "squash", "crop", False),
    ],
)
def test_squashed_images_are_told_where_the_weights_expect_others(asked, chosen, usual, told):
    notes = []
    reporter = SilentReporter()
    reporter.note = notes.append
    tell_squash(FinetuneConfig(data="digits", resize_mode=asked), chosen, usual, reporter)
    line = "resize mode squash, since the head is not fitted; the weights expect --resize-mode crop"
    assert notes == [line] * told
