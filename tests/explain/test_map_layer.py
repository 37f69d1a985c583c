"""The layer that gives the maps is found in every network, also where nothing is trainable."""

import pytest
import torch
from helpers import larger_are_slow
from torch import nn

from cnncli.errors import CnncliError
from cnncli.explain.cam import class_maps
from cnncli.explain.map_layer import find_map_layer, gradient_of, run_to_layer
from cnncli.models.build import build_network
from cnncli.models.registry import find_model
from cnncli.models.stages import network_head

torch.set_num_threads(1)
# Above this a network does not fit into the memory of a small machine beside its gradients.
MOST_PARAMETERS = 100e6
CHAINS = ["cnn: conv3x3 f8 relu; pool2; flatten; dense 10", "cnn: conv3x3 f8; relu; gap; dense 10"]
TIMM = ["timm:test_vit", "timm:test_convnext", "timm:vit_small_patch14_reg4_dinov2"]
OWN_SIZES = {"lenet5": 32, "cnn": 28}


def smallest_side(name):
    """Return a side of about 64 pixels that the network takes."""
    entry = find_model(name)
    step = entry.size_multiple
    return OWN_SIZES.get(name) or -(-max(64, entry.min_size) // step) * step


def build(name, side):
    torch.manual_seed(0)
    network = build_network(name, num_classes=5, in_channels=3, image_size=(side, side)).eval()
    head = network_head(name, network)
    # torchvision starts the head of a ViT at zero, and nothing speaks for any class then.
    nn.init.normal_(network.get_submodule(head).weight)
    return network.requires_grad_(False), head


def check_map(name):
    side = smallest_side(name)
    network, head = build(name, side)
    image = torch.randn(1, 3, side, side)
    layer = find_map_layer(network, image, head=head)
    gradient = layer.to_maps(gradient_of(run_to_layer(network, image, layer.name), [1]))
    assert gradient.shape[2:] == layer.grid
    assert gradient.any()
    assert layer.grid[0] * layer.grid[1] > 1
    for method in ("grad-cam", "grad-cam++", "hires-cam"):
        heat = class_maps(network, image, [1], layer, method).clamp(min=0)
        assert heat.shape == (1, *layer.grid)
        assert bool(heat.isfinite().all())
        assert bool((heat >= 0).all())
    return layer


@pytest.mark.parametrize("name", larger_are_slow())
def test_every_network_has_a_map(name):
    if (find_model(name).parameters or 0) > MOST_PARAMETERS:
        pytest.skip("more than 100 million parameters; its family has smaller ones")
    check_map(name)


@pytest.mark.parametrize("name", CHAINS)
def test_networks_written_by_hand_have_maps(name):
    check_map(name)


@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm_have_maps(name):
    pytest.importorskip("timm")
    layer = check_map(name)
    assert name != TIMM[2] or layer.prefix == 5  # the class token and four registers


@pytest.mark.parametrize(
    ("name", "layer", "layout", "grid"),
    [
        ("resnet18", "layer4", "NCHW", (2, 2)),
        ("squeezenet1_1", "features", "NCHW", (3, 3)),
        ("densenet121", "features", "NCHW", (2, 2)),
        ("inception_v3", "Mixed_6e", "NCHW", (3, 3)),  # at 75 pixels Mixed_7c has a single place
        ("swin_t", "permute", "NCHW", (2, 2)),
        ("lenet5", "pool2", "NCHW", (5, 5)),
    ],
)
def test_the_layer_is_the_last_of_the_trunk(name, layer, layout, grid):
    found = check_map(name)
    assert (found.name, found.layout, found.grid) == (layer, layout, grid)


def small_vit(**options):
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32, "num_classes": 3}
    network = VisionTransformer(image_size=32, patch_size=8, **sizes, **options).eval()
    nn.init.normal_(network.heads.head.weight)
    return network


def test_a_class_token_takes_what_enters_the_last_attention():
    network, image = small_vit(), torch.randn(1, 3, 32, 32)
    layer = find_map_layer(network, image, head="heads.head")
    last = "encoder.layers.encoder_layer_1"
    assert (layer.name, layer.layout, layer.grid, layer.prefix) == (
        f"{last}.ln_1",
        "tokens",
        (4, 4),
        1,
    )
    behind = gradient_of(run_to_layer(network, image, last), [0])
    assert behind[:, 0].any()
    assert not behind[:, 1:].any()


def test_tokens_return_to_their_place():
    network, image = small_vit(), torch.randn(1, 3, 32, 32)
    layer = find_map_layer(network, image, head="heads.head")
    before = layer.to_maps(run_to_layer(network, image, "encoder.dropout").output)
    image[:, :, 8:16, 24:32] += 1  # the patch in row 1, column 3
    after = layer.to_maps(run_to_layer(network, image, "encoder.dropout").output)
    changed = (before != after).any(dim=1)[0]
    assert changed.nonzero().tolist() == [[1, 3]]


def test_maps_with_channels_last_are_turned():
    network, head = build("swin_t", 64)
    image = torch.randn(1, 3, 64, 64)
    turned = find_map_layer(network, image, head=head, name="norm")
    assert turned.layout == "NHWC"
    plain = find_map_layer(network, image, head=head)  # the permutation behind this norm
    assert torch.equal(
        class_maps(network, image, [2], turned), class_maps(network, image, [2], plain)
    )


def test_proportions_tell_the_layout():
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.append(nn.Linear(8, 2))
    layer = find_map_layer(network.eval(), torch.randn(1, 3, 8, 4), head="3")
    assert (layer.layout, layer.grid) == ("NCHW", (8, 4))


def test_a_pool_that_repeats_one_place_is_no_map():
    network, head = build("vgg11", 32)  # its features are 1×1, and a pool makes 7×7 of them
    layer = find_map_layer(network, torch.randn(1, 3, 32, 32), head=head)
    assert layer.name.startswith("features.")
    assert layer.grid == (2, 2)


def test_layers_that_work_in_place_do_not_change_what_was_kept():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 36, 2)
    ).eval()
    image = torch.randn(1, 3, 8, 8)
    output = run_to_layer(network, image, "0").output
    assert torch.equal(output, network[0](image))
    assert bool((output < 0).any())


def dense_chain():
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.ReLU(), nn.Linear(4, 2)).eval()


def test_a_network_without_maps_says_so():
    with pytest.raises(CnncliError, match=r"no map of more than one place.*occlusion"):
        find_map_layer(dense_chain(), torch.randn(1, 3, 4, 4), head="3")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("layer5", "no such layer; did you mean layer4"),
        ("fc", "gives 5 values, no map of several places; there are layer4"),
        ("avgpool", "gives 512×1×1 values, no map"),
    ],
)
def test_a_layer_without_maps_is_refused(name, why):
    network, head = build("resnet18", 64)
    with pytest.raises(CnncliError, match=why):
        find_map_layer(network, torch.randn(1, 3, 64, 64), head=head, name=name)


def test_hooks_are_taken_away():
    network, head = build("resnet18", 64)
    find_map_layer(network, torch.randn(1, 3, 64, 64), head=head)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
