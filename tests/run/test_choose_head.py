"""Which settings let the head be fitted, and which train it by epochs."""

import pytest

from cnncli.config import FinetuneConfig, RunConfig
from cnncli.errors import CnncliError
from cnncli.run.choose_head import choose_head


def choose(**settings):
    return choose_head(FinetuneConfig(data="digits", **settings))


def test_a_fit_and_then_all_weights_is_the_default_of_finetune_alone():
    choice = choose()
    assert (choice.start, choice.freeze, choice.why) == ("fit", "none", "")
    assert choice.describe().startswith("two stages: head, ")
    train = choose_head(RunConfig(data="digits", weights="default", model="resnet18"))
    assert (train.start, train.why) == ("epochs", "")


def test_a_frozen_backbone_ends_with_the_fit():
    choice = choose(freeze="backbone")
    assert (choice.start, choice.freeze) == ("fit", "backbone")
    assert choice.describe().startswith("one stage: head, fitted")


@pytest.mark.parametrize("freeze", ["none", "stages:2", "layer1*"])
def test_another_policy_is_as_it_was(freeze):
    choice = choose(freeze=freeze)
    assert (choice.start, choice.freeze, choice.why) == ("epochs", freeze, "")


def test_without_weights_there_is_nothing_to_fit_on():
    assert choose(weights="none").start == "epochs"
    with pytest.raises(CnncliError, match="needs --weights"):
        choose(weights="none", head="fit")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"loss": "focal"}, "--loss focal"),
        ({"mixup": 0.2}, "--mixup 0.2"),
        ({"cutmix": 1.0}, "--cutmix 1"),
        ({"label_smoothing": 0.1}, "--label-smoothing 0.1"),
        ({"l1": 1e-5}, "--l1 1e-05"),
        ({"unfreeze_at": ["3=none"]}, "--unfreeze-at"),
        ({"model": "googlenet"}, "--model googlenet, whose auxiliary heads are trained too"),
    ],
)
def test_what_a_fit_cannot_follow_is_told(settings, told):
    choice = choose(**settings)
    assert (choice.start, choice.freeze) == ("epochs", None)
    assert choice.why == f"the head is trained by epochs, not fitted: {told}"
    with pytest.raises(CnncliError, match="--head fit"):
        choose(head="fit", **settings)


@pytest.mark.parametrize(
    "settings", [{"epochs": 5}, {"optimizer": "sgd"}, {"augment": "light"}, {"lr": 0.01}]
)
def test_settings_of_epochs_mean_epochs_where_the_backbone_is_frozen(settings):
    assert choose(**settings).start == "fit"  # they are those of the second stage
    frozen = choose(freeze="backbone", **settings)
    assert frozen.start == "epochs"
    assert next(iter(settings)) in frozen.why
    assert choose(freeze="backbone", head="fit", **settings).start == "fit"


def test_values_that_change_nothing_do_not_count():
    settings = {"mixup": 0.0, "label_smoothing": 0.0, "loss": "cross_entropy", "optimizer": "adamw"}
    assert choose(freeze="backbone", **settings).start == "fit"
