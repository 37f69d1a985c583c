"""Names in other spellings: in any case, with other marks between words, and as others do."""

from typing import get_args, get_origin

import pytest

from cnncli import choices
from cnncli.choices.spelling import find_choice, plain_form, respell_call, tell_taken
from cnncli.config.settings import RunConfig
from cnncli.config.spelling import SPELT
from cnncli.config.wanted import names_of
from cnncli.data.torchvision_table import SETS
from cnncli.models.registry import MODELS, find_model

# Every list of names in choices.py, and the two tables of names that users type.
LISTS = {
    name: get_args(kind) for name, kind in vars(choices).items() if get_origin(kind) is not None
} | {"MODELS": tuple(MODELS), "SETS": tuple(SETS)}


@pytest.mark.parametrize("name", [name for name in LISTS if name != "Heading"])
def test_every_name_is_found_in_any_case_and_with_other_marks(name):
    names = LISTS[name]
    plain = [plain_form(word) for word in names]
    for word in names:
        for written in (word, word.upper(), word.title(), word.replace("_", "-"), f" {word} "):
            assert find_choice(written, names) == word, written
        if plain.count(plain_form(word)) == 1:
            assert find_choice(f"{word.replace('_', '')}()", names) == word


def test_a_spelling_of_two_names_is_none():
    assert find_choice("RegNet_X_16GF", MODELS) == "regnet_x_16gf"
    assert find_choice("regnet-x-1-6gf", MODELS) == "regnet_x_1_6gf"
    assert find_choice("RegNetX16GF", MODELS) is None


def test_every_setting_with_a_list_of_names_takes_them_in_any_case():
    with_names = {key for key, field in RunConfig.model_fields.items() if names_of(field)}
    assert with_names - {"augment"} <= set(SPELT)
    for key in sorted(with_names - {"augment"}):
        for name in names_of(RunConfig.model_fields[key]):
            assert getattr(RunConfig(data="x", **{key: name.upper()}), key) == name


@pytest.mark.parametrize(
    ("key", "written", "taken"),
    [
        ("model", "ResNet-18", "resnet18"),
        ("model", "efficientnet-b0", "efficientnet_b0"),
        ("model", "MobileNetV2", "mobilenet_v2"),
        ("model", "CNN: conv3x3 f4", "cnn: conv3x3 f4"),
        ("optimizer", "torch.optim.AdamW", "adamw"),
        ("optimizer", "RMSprop", "rmsprop"),
        ("loss", "nn.CrossEntropyLoss()", "cross_entropy"),
        ("loss", "sparse_categorical_crossentropy", "cross_entropy"),
        ("scheduler", "ReduceLROnPlateau", "plateau"),
        ("scheduler", "CosineAnnealingLR", "cosine"),
        ("scheduler", "StepLR", "step"),
        ("activation", "LeakyReLU", "leaky_relu"),
        ("activation", "swish", "silu"),
        ("norm", "BatchNorm2d", "batch"),
        ("freeze", "Backbone", "backbone"),
        ("freeze", "Until:layer3", "until:layer3"),
        ("freeze", "Layer1.*", "Layer1.*"),  # names of layers keep their case
        ("weights", "None", "none"),
        ("weights", "Runs/A", "Runs/A"),
        ("monitor", "VAL_ACCURACY", "val_accuracy"),
        ("device", "CPU", "cpu"),
        ("intensity", "P1:P99", "p1:p99"),
        ("unfreeze_at", ["3=Stages:1", "5=None"], ["3=stages:1", "5=none"]),
    ],
)
def test_the_record_has_our_spelling(key, written, taken):
    assert getattr(RunConfig(data="x", **{key: written}), key) == taken


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("LinearLR", choices.SchedulerName),  # torch's warms up, ours falls to 0
        ("ConstantLR", choices.SchedulerName),
        ("binary_crossentropy", choices.LossName),  # one logit in Keras, K here
        ("out.csv", choices.RowFormat),
        ("hard_swish", choices.ActivationName),
    ],
)
def test_what_means_something_else_is_not_taken(word, names):
    assert find_choice(word, get_args(names)) is None


def test_only_another_spelling_than_the_case_is_told():
    assert tell_taken("--optimizer", "AdamW", "adamw") == ""
    assert tell_taken("--model", "resnet-18", "resnet18") == "--model resnet-18: taken as resnet18"


@pytest.mark.parametrize(
    ("flag", "text", "kind", "right"),
    [
        ("--optimizer", "SGD(lr=0.01)", choices.OptimizerName, "--optimizer sgd --lr 0.01"),
        (
            "--optimizer",
            "torch.optim.SGD(params, lr=1e-2, momentum=0.9)",
            choices.OptimizerName,
            "--optimizer momentum --lr 1e-2 --momentum 0.9",
        ),
        (
            "--scheduler",
            "StepLR(optimizer, step_size=10, gamma=0.5)",
            choices.SchedulerName,
            "--scheduler step --lr-step 10 --lr-gamma 0.5",
        ),
    ],
)
def test_a_call_is_told_in_flags(cli, flag, text, kind, right):
    assert respell_call(flag, text, get_args(kind)) == f"; write {right}"
    result = cli("train", "--data", "x", flag, text)
    assert result.error.endswith(f"; write {right}")


def test_a_name_that_was_taken_is_told_and_recorded(cli, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("data: x\nmodel: ResNet_18\noptimizer: ADAMW\nactivation: swish\n")
    result = cli("train", "--config", config, "--loss", "CrossEntropyLoss", "--print-config")
    assert "\nmodel: resnet18\n" in result.out
    assert "\nloss: cross_entropy\n" in result.out
    assert f"{config}: model ResNet_18: taken as resnet18" in result.err
    assert f"{config}: activation swish: taken as silu" in result.err
    assert "--loss CrossEntropyLoss: taken as cross_entropy" in result.err
    assert "ADAMW" not in result.err  # only the case


def test_find_model_takes_other_spellings():
    assert find_model("ResNet-18").name == "resnet18"


@pytest.mark.parametrize(
    ("name", "right"),
    [("MNIST", "MNIST"), ("cifar-10", "CIFAR10"), ("fashion_mnist", "FashionMNIST")],
)
def test_a_set_without_its_prefix_is_told(cli, name, right):
    result = cli("check-data", "--data", name)
    assert result.code == 2
    assert result.error.endswith(f"; did you mean torchvision:{right}?")


@pytest.mark.parametrize(
    ("flag", "right"), [("--optimzer", "--optimizer"), ("--batch_size", "--batch-size")]
)
def test_a_wrong_flag_gets_the_nearest(cli, flag, right):
    result = cli("train", "--data", "x", flag, "3")
    assert result.code == 2
    assert f"{flag}: no such flag; did you mean {right}" in result.error
