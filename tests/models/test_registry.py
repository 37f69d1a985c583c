"""Every entry: builds at any class count and channels, and its stages hold every parameter once."""

import os
import re
import subprocess
import sys

import pytest
import torch
from helpers import larger_are_slow, stage_parameters
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from cnncli.errors import CnncliError
from cnncli.models.build import build_network, count_parameters, has_batch_norm
from cnncli.models.head import combine_aux
from cnncli.models.registry import MODELS, find_model, list_models, short_name
from cnncli.models.stages import network_head, network_stages
from cnncli.models.stem import replace_stem
from cnncli.models.tables.custom import CUSTOM
from cnncli.models.tables.papers import describe_licences, find_paper

torch.set_num_threads(1)
TORCHVISION = [name for name, entry in MODELS.items() if entry.builder.startswith("torchvision:")]
SIZES = {name: entry.image_size or 32 for name, entry in MODELS.items()}


def build_on_meta(name, num_classes=5, in_channels=3, side=None, **options):
    side = side or SIZES[name]
    with torch.device("meta"):
        return build_network(
            name,
            num_classes=num_classes,
            in_channels=in_channels,
            image_size=(side, side),
            **options,
        )


def test_no_classifier_of_torchvision_is_forgotten():
    assert set(models.list_models(module=models)) <= set(TORCHVISION)


def check_stages(name, network):
    entry = MODELS[name]
    stages = network_stages(name, network)
    assert stages == entry.stages  # no path is unknown to the network
    assert stages[0].name == "stem"
    assert len({stage.name for stage in stages}) == len(stages)
    held = [path for stage in stages for path, _ in stage_parameters(network, stage)]
    apart = tuple(f"{path}." for path in (entry.head, *entry.aux_heads))
    backbone = [path for path, _ in network.named_parameters() if not path.startswith(apart)]
    # Registered in the order of the forward pass, so that the order is compared too; ViT's class
    # token alone belongs to the network and comes first.
    assert sorted(held) == sorted(backbone)
    assert held == backbone or entry.family == "vit"


def check_dropouts(name, network):
    entry = MODELS[name]
    paths = tuple(path for stage in entry.stages for path in stage.paths)
    for path, module in network.named_modules():
        if type(module).__name__ not in ("Dropout", "StochasticDepth"):
            continue
        if path.split(".")[0] in entry.aux_heads or path == entry.head_dropout:
            continue
        assert any(path == p or path.startswith(p + ".") for p in paths), path


@pytest.mark.parametrize("name", larger_are_slow())
def test_builds_with_any_classes_and_channels(name):
    entry, side = MODELS[name], SIZES[name]
    network = build_on_meta(name, in_channels=1).eval()
    assert network(torch.empty(2, 1, side, side, device="meta")).shape == (2, 5)
    assert network_head(name, network) == entry.head
    head = network.get_submodule(entry.head)
    assert head.weight.shape[0] == 5
    check_stages(name, network)
    check_dropouts(name, network)
    assert has_batch_norm(network) == entry.batch_norm
    stem = network.get_submodule(entry.layout.stem)
    assert isinstance(stem, nn.Conv2d)
    assert (stem.bias is None) == (entry.layout.stem_norm is not None)
    shape = stem(torch.empty(2, 1, side, side, device="meta")).shape
    for channels in (3, 4):
        replace_stem(network, entry.layout.stem, channels)
        other = network.get_submodule(entry.layout.stem)
        assert other(torch.empty(2, channels, side, side, device="meta")).shape == shape


@pytest.mark.slow
@pytest.mark.parametrize("in_channels", [3, 4])
@pytest.mark.parametrize("name", MODELS)
def test_forward_with_channels(name, in_channels):
    side = SIZES[name]
    network = build_on_meta(name, in_channels=in_channels).eval()
    assert network(torch.empty(2, in_channels, side, side, device="meta")).shape == (2, 5)
    check_stages(name, network)


@pytest.mark.parametrize("name", larger_are_slow(TORCHVISION))
def test_parameters_are_torchvisions(name):
    entry = MODELS[name]
    network = build_on_meta(name, num_classes=1000)
    aux = sum(count_parameters(network.get_submodule(path)) for path in entry.aux_heads)
    # googlenet's metadata leaves its auxiliary heads out, inception_v3's counts them.
    left_out = aux if name == "googlenet" else 0
    assert count_parameters(network) - left_out == entry.parameters


@pytest.mark.parametrize("name", CUSTOM)
def test_parameters_and_macs_of_our_own(name):
    channels, side = CUSTOM[name].example
    network = build_on_meta(name, num_classes=10, in_channels=channels, side=side).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, channels, side, side, device="meta"))
    assert count_parameters(network) == MODELS[name].parameters
    assert counter.get_total_flops() // 2 == MODELS[name].macs


def test_residual_networks_for_small_images_have_the_papers_size():
    # He et al. 2015, table 6: 0.27 M and 0.46 M; the exact counts follow from section 4.2 with
    # parameter-free shortcuts.
    assert MODELS["resnet20"].parameters == 269_722
    assert MODELS["resnet32"].parameters == 464_154


SMALLEST = {}
for _entry in MODELS.values():
    _size = (_entry.parameters, _entry.name)
    SMALLEST[_entry.family, _entry.min_size] = min(
        SMALLEST.get((_entry.family, _entry.min_size), _size), _size
    )


@pytest.mark.parametrize("name", [name for _, name in SMALLEST.values()])
def test_takes_its_smallest_size_and_no_smaller(name):
    entry = MODELS[name]
    least = entry.min_size
    network = build_on_meta(name, side=least).eval()
    assert network(torch.empty(2, 3, least, least, device="meta")).shape == (2, 5)
    if least > 1:
        with pytest.raises(CnncliError, match=f"{name} .*at least {least}"):
            build_on_meta(name, side=least - 1)


@pytest.mark.parametrize(
    ("name", "side", "message"),
    [
        ("vit_b_16", 100, "multiples of 16, such as 96 or 112"),
        ("maxvit_t", 100, "such as 96 or 128"),
    ],
)
def test_transformers_name_the_nearest_sizes(name, side, message):
    with pytest.raises(CnncliError, match=message):
        build_on_meta(name, side=side)


@pytest.mark.parametrize("name", ["vit_b_16", "maxvit_t"])
def test_transformers_of_squares_refuse_rectangles(name):
    with pytest.raises(CnncliError, match="square"):
        build_network(name, num_classes=2, in_channels=3, image_size=(224, 256))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vit_b_32", (96, 96)),
        ("maxvit_t", (64, 64)),
        ("maxvit_t", (96, 96)),
        ("swin_t", (75, 110)),
        ("swin_v2_t", (75, 110)),
    ],
)
def test_transformers_take_other_sizes(name, size):
    with torch.device("meta"):
        network = build_network(name, num_classes=5, in_channels=3, image_size=size).eval()
    assert network(torch.empty(2, 3, *size, device="meta")).shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "side", "heads"), [("googlenet", 64, 2), ("inception_v3", 299, 1)]
)
def test_auxiliary_heads_join_the_loss(name, side, heads):
    network = build_on_meta(name, side=side).train()
    output = network(torch.empty(2, 3, side, side, device="meta"))
    assert [part.shape for part in output] == [(2, 5)] * (1 + heads)
    parts = [torch.randn(4, 5, requires_grad=True) for _ in output]
    targets = torch.tensor([0, 1, 2, 3])
    criterion = nn.CrossEntropyLoss()
    loss, logits = combine_aux(type(output)(*parts), targets, criterion)
    losses = [criterion(part, targets) for part in parts]
    # Szegedy et al. 2014, section 5: 0.3 each; 0.4 for Inception v3.
    expected = losses[0] + (0.3 if heads == 2 else 0.4) * sum(losses[1:])
    torch.testing.assert_close(loss, expected)
    assert logits is parts[0]
    plain, same = combine_aux(parts[0], targets, criterion)
    assert same is parts[0]
    assert plain == losses[0]


def test_inception_trains_below_the_size_its_auxiliary_head_needs():
    network = build_on_meta("inception_v3", side=298).train()
    assert network(torch.empty(2, 3, 298, 298, device="meta")).shape == (2, 5)


@pytest.mark.parametrize(
    ("wrong", "right"), [("resnt18", "resnet18"), ("efficentnet_b0", "efficientnet_b0")]
)
def test_unknown_names_get_the_nearest(wrong, right):
    with pytest.raises(CnncliError, match=right):
        find_model(wrong)
    with pytest.raises(CnncliError, match=right):
        list_models(wrong)


def test_patterns():
    assert [entry.name for entry in list_models("vgg1?")] == ["vgg11", "vgg13", "vgg16", "vgg19"]
    assert {"resnet18", "wide_resnet50_2"} <= {entry.name for entry in list_models("ResNet")}
    assert short_name("cnn:conv3x3 f8; pool2") == "cnn"
    assert short_name("timm:a/b") == "timm-a-b"


def run_models(*arguments, **environment):
    code = (
        "import sys; from cnncli.cli import app; sys.argv = ['cnncli', *sys.argv[1:]]\n"
        "try: app()\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "models", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_command_lists_without_torch(tmp_path):
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / MODELS["resnet50"].weights[1].file).touch()
    done = run_models("resnet50", TORCH_HOME=str(tmp_path))
    assert done.stderr.strip() == "False"
    assert done.stdout.splitlines() == [
        "name,family,parameters,macs,image_size,weights,on_disk,about,top1,year,licence,paper",
        "resnet50,resnet,25557032,4089000000,224,IMAGENET1K_V2 IMAGENET1K_V1,IMAGENET1K_V1,"
        '"He et al. 2015, residual blocks",80.858,2015,not stated,'
        "https://arxiv.org/abs/1512.03385",
        "wide_resnet50_2,resnet,68883240,11398000000,224,IMAGENET1K_V2 IMAGENET1K_V1,,"
        '"He et al. 2015, residual blocks",81.602,2016,not stated,'
        "https://arxiv.org/abs/1605.07146",
    ]


def test_a_licence_of_other_weights_than_the_default_ones_is_told():
    assert describe_licences(MODELS["regnet_y_128gf"].weights) == "CC-BY-NC-4.0"
    assert describe_licences(MODELS["resnet50"].weights) == "not stated"
    assert describe_licences(MODELS["lenet5"].weights) is None
    assert describe_licences(MODELS["vit_b_16"].weights) == (
        "not stated (SWAG_E2E_V1: CC-BY-NC-4.0, SWAG_LINEAR_V1: CC-BY-NC-4.0)"
    )


def test_the_year_is_that_of_the_paper_the_list_names():
    """arXiv's numbers begin with year and month, and `about` names authors and year."""
    for entry in MODELS.values():
        paper = find_paper(entry.name)
        if paper.year is None:
            assert not entry.weights, entry.name
            continue
        if "arxiv" in paper.url:
            assert re.search(r"/abs/(\d\d)", paper.url)[1] == str(paper.year)[2:]
        told = re.search(r"\d{4}", entry.about)
        if "resnext" not in entry.name and "wide" not in entry.name and "swin_v2" not in entry.name:
            assert told[0] == str(paper.year), entry.name


def test_command_names_the_nearest():
    done = run_models("restnet18")
    assert done.returncode == 2
    assert "did you mean resnet18" in done.stderr


def test_networks_of_timm_with_two_heads_are_refused():
    name = "timm:deit_tiny_distilled_patch16_224"
    timm = pytest.importorskip("timm", reason="timm is an extra")
    network = timm.create_model(name.removeprefix("timm:"), num_classes=5)
    with pytest.raises(CnncliError, match=f"--model {name}: has 2 heads"):
        network_stages(name, network)
