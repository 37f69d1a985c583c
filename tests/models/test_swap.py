"""Activations, norms and dropout exchanged, or refused with the reason, over every entry."""

import pytest
import torch
from helpers import larger_are_slow
from torch import nn
from torch.nn import functional

from cnncli.arithmetic.layers import ACTIVATIONS as WORDS
from cnncli.errors import CnncliError
from cnncli.models.build import build_network, has_batch_norm
from cnncli.models.head import main_logits
from cnncli.models.registry import MODELS, find_model
from cnncli.models.swap import (
    _ACTIVATION_TYPES,
    ACTIVATIONS,
    NORMS,
    DropoutLinear,
    swap_modules,
)

torch.set_num_threads(1)

# Smallest member by family: networks of a family are built of the same blocks.
MEMBERS = {}
for _entry in sorted(MODELS.values(), key=lambda entry: entry.parameters):
    _key = (_entry.family, _entry.batch_norm, _entry.builder.split(":")[0])
    MEMBERS.setdefault(_key, _entry.name)
NAMES = list(MEMBERS.values())


def refusal(entry):
    """Return why ``--norm`` is refused for an entry, or None."""
    if entry.batch_norm or entry.family == "convnext":
        return None
    return "tokens" if entry.family in ("swin", "vit") else "has no normalisation layers"


def build(name, size=None, **options):
    side = size or max(MODELS[name].min_size, 64 if name == "alexnet" else 32)
    return build_network(name, num_classes=3, in_channels=3, image_size=(side, side), **options)


def build_on_meta(name, **options):
    with torch.device("meta"):
        return build(name, MODELS[name].image_size or 32, **options)


def names_by_type(network, types):
    return [path for path, m in network.named_modules() if isinstance(m, types)]


def choosable(entry, paths):
    return [p for p in paths if not any(f".{k}." in f".{p}." for k in entry.layout.keep)]


def test_words_are_those_of_the_chain():
    assert tuple(ACTIVATIONS) == WORDS


@pytest.mark.parametrize("name", larger_are_slow())
def test_every_entry_takes_every_swap_or_says_why_not(name):
    entry = MODELS[name]
    reason = refusal(entry)
    norm = None if reason else "group"
    network = build_on_meta(name, activation="mish", norm=norm, dropout=0.25)
    others = tuple(kind for kind in _ACTIVATION_TYPES if kind is not nn.Mish)
    assert not choosable(entry, names_by_type(network, others))
    assert names_by_type(network, nn.Mish)
    probabilities = {
        m.p
        for path, m in network.named_modules()
        if isinstance(m, nn.Dropout) and path.split(".")[0] not in entry.aux_heads
    } | {m.probability for m in network.modules() if isinstance(m, DropoutLinear)}
    assert probabilities == {0.25}
    if reason:
        with pytest.raises(CnncliError, match=f"--norm group: {name} .*{reason}"):
            swap_modules(network, entry, norm="group")
        return
    assert names_by_type(network, nn.GroupNorm)
    assert not has_batch_norm(network)


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes_of_parameters_stay(name):
    plain = build_on_meta(name)
    swapped = build_on_meta(name, activation="leaky_relu", dropout=0.1)
    assert {n: p.shape for n, p in plain.named_parameters()} == {
        n: p.shape for n, p in swapped.named_parameters()
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_activation_is_used_everywhere(name):
    """A network of tanh gives nothing but tanh: no ReLU is left in a function."""
    entry = MODELS[name]
    side = 299 if name == "inception_v3" else max(entry.min_size, 64)
    with torch.device("meta"):
        network = build(name, side, activation="tanh")
    seen = []

    class Spy(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(getattr(func, "__name__", ""))
            return func(*args, **(kwargs or {}))

    with Spy(), torch.no_grad():
        network(torch.empty(2, 3, side, side, device="meta"))
    kept = {
        "squeezenet": {"relu"},  # on the logits
        "swin": {"relu"},  # inside the position bias
    }.get(entry.family, set())
    assert "tanh" in seen
    assert not {"relu", "relu_", "gelu", "silu", "silu_", "hardswish", "relu6"} & set(seen) - kept


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", larger_are_slow([n for n in NAMES if refusal(MODELS[n]) is None]))
def test_networks_with_other_norms_run(name, norm):
    size = 128
    with torch.device("meta"):
        network = build(name, size, norm=norm).train()
    output = network(torch.empty(2, 3, size, size, device="meta"))
    assert main_logits(output).shape == (2, 3)
    assert has_batch_norm(network) == (norm == "batch")


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "densenet121", "mobilenet_v2"])
def test_relu_by_name_changes_nothing(name):
    torch.manual_seed(0)
    plain = build(name, 64).eval()
    torch.manual_seed(0)
    swapped = build(name, 64, activation="relu").eval()
    images = 1e6 * torch.randn(2, 3, 64, 64)
    expected = plain(images)
    if name == "mobilenet_v2":  # which has ReLU6
        assert not torch.equal(swapped(images), expected)
    else:
        assert torch.equal(swapped(images), expected)


def test_layer_norm_is_over_all_channels_and_pixels_of_an_image():
    network = build("resnet_small", norm="layer").eval()
    x = torch.randn(2, 32, 5, 5)
    norm = network.stem[1]
    torch.testing.assert_close(norm(x), functional.layer_norm(x, x.shape[1:]))


def test_convnext_norms_work_where_channels_come_last():
    network = build("convnext_tiny", 64, norm="instance")
    norm = network.features[1][0].block[2]
    x = torch.randn(2, 6, 5, 96)
    expected = functional.instance_norm(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(norm(x), expected)


def test_dropout_before_a_head_acts_in_training_only():
    torch.manual_seed(0)
    plain = build("resnet18", 32).eval()
    torch.manual_seed(0)
    network = build("resnet18", 32, dropout=0.5).eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(network(images), plain(images))
    network.fc.train()
    assert not torch.equal(network(images), plain(images))
    assert "dropout=0.5" in repr(network.fc)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "swish"}, "--activation swish: one of relu"),
        ({"norm": "weight"}, "--norm weight: one of batch"),
        ({"dropout": 1.0}, "--dropout 1.0"),
    ],
)
def test_unknown_words(options, message):
    with pytest.raises(CnncliError, match=message):
        build("resnet18", **options)


def test_instance_norm_needs_maps():
    name = "cnn:conv3x3 f8; flatten; dense 8; bn"
    assert find_model(name).batch_norm
    with pytest.raises(CnncliError, match="single values at bn4"):
        build_network(name, num_classes=2, in_channels=1, image_size=(9, 9), norm="instance")


def test_instance_norm_needs_more_than_one_pixel():
    with pytest.raises(CnncliError, match=r"--norm instance: .*one pixel.*larger --image-size"):
        build("resnet18", 32, norm="instance")
    assert build("resnet18", 64, norm="instance").training
