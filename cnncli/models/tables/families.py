"""The paths of stem, stages and head in torchvision's networks, as plain data, by family."""

from __future__ import annotations

from itertools import pairwise

from cnncli.models.tables.layout import ModuleLayout, Stage

_GATES = ("scale_activation",)

LAYOUTS: dict[str, ModuleLayout] = {
    "alexnet": ModuleLayout(
        stem="features.0",
        head="classifier.6",
        batch_norm=False,
        min_size=63,
        about="Krizhevsky 2014, five convolutions and three dense layers",
    ),
    "convnext": ModuleLayout(
        stem="features.0.0",
        head="classifier.2",
        batch_norm=False,
        min_size=32,
        keep=("classifier.0",),
        about="Liu et al. 2022, a ConvNet with a transformer's habits",
    ),
    "densenet": ModuleLayout(
        stem="features.conv0",
        stem_norm="features.norm0",
        head="classifier",
        min_size=29,
        about="Huang et al. 2016, every layer sees all before it",
    ),
    "efficientnet": ModuleLayout(
        stem="features.0.0",
        stem_norm="features.0.1",
        head="classifier.1",
        head_dropout="classifier.0",
        keep=_GATES,
        about="Tan, Le 2019, width, depth and size scaled together",
    ),
    "efficientnet_v2": ModuleLayout(
        stem="features.0.0",
        stem_norm="features.0.1",
        head="classifier.1",
        head_dropout="classifier.0",
        min_size=33,
        keep=_GATES,
        about="Tan, Le 2021, made to train faster",
    ),
    "googlenet": ModuleLayout(
        stem="conv1.conv",
        stem_norm="conv1.bn",
        head="fc",
        head_dropout="dropout",
        aux_heads=("aux1", "aux2"),
        min_size=15,
        about="Szegedy et al. 2014, kernels of several sizes side by side",
    ),
    "inception_v3": ModuleLayout(
        stem="Conv2d_1a_3x3.conv",
        stem_norm="Conv2d_1a_3x3.bn",
        head="fc",
        head_dropout="dropout",
        aux_heads=("AuxLogits",),
        min_size=75,
        about="Szegedy et al. 2015, large kernels split into small ones",
    ),
    "maxvit": ModuleLayout(
        stem="stem.0.0",
        stem_norm="stem.0.1",
        head="classifier.5",
        min_size=64,
        size_multiple=32,
        square=True,
        keep=_GATES,
        about="Tu et al. 2022, convolution with attention in blocks and grids",
    ),
    "mnasnet": ModuleLayout(
        stem="layers.0",
        stem_norm="layers.1",
        head="classifier.1",
        head_dropout="classifier.0",
        about="Tan et al. 2018, searched for phones",
    ),
    "mobilenet_v2": ModuleLayout(
        stem="features.0.0",
        stem_norm="features.0.1",
        head="classifier.1",
        head_dropout="classifier.0",
        about="Sandler et al. 2018, inverted residual blocks, for phones",
    ),
    "mobilenet_v3": ModuleLayout(
        stem="features.0.0",
        stem_norm="features.0.1",
        head="classifier.3",
        head_dropout="classifier.2",
        keep=_GATES,
        about="Howard et al. 2019, searched, with squeeze-excite",
    ),
    "regnet": ModuleLayout(
        stem="stem.0",
        stem_norm="stem.1",
        head="fc",
        keep=_GATES,
        about="Radosavovic et al. 2020, a design space with few parameters",
    ),
    "resnet": ModuleLayout(
        stem="conv1",
        stem_norm="bn1",
        head="fc",
        about="He et al. 2015, residual blocks",
    ),
    "shufflenet_v2": ModuleLayout(
        stem="conv1.0",
        stem_norm="conv1.1",
        head="fc",
        about="Ma et al. 2018, channels shuffled between cheap groups",
    ),
    "squeezenet": ModuleLayout(
        stem="features.0",
        head="classifier.1",
        head_dropout="classifier.0",
        head_activation="classifier.2",
        batch_norm=False,
        min_size=21,
        keep=("classifier.2",),
        about="Iandola et al. 2016, AlexNet's accuracy with 50 times fewer parameters",
    ),
    "swin": ModuleLayout(
        stem="features.0.0",
        head="head",
        batch_norm=False,
        min_size=32,
        keep=("cpb_mlp",),
        about="Liu et al. 2021, a transformer in shifted windows",
    ),
    "vgg": ModuleLayout(
        stem="features.0",
        head="classifier.6",
        head_dropout="classifier.5",
        min_size=32,
        about="Simonyan, Zisserman 2014, 3×3 convolutions stacked",
    ),
    "vit": ModuleLayout(
        stem="conv_proj",
        head="heads.head",
        batch_norm=False,
        square=True,
        about="Dosovitskiy et al. 2020, a transformer over patches",
    ),
}


def _cut(
    prefix: str, bounds: tuple[int, ...], *, last: str = "", extra: tuple[str, ...] = ()
) -> tuple[Stage, ...]:
    """Cut the children ``prefix.0``, ``prefix.1``, … into ``stem``, ``stage1`` and so on.

    Args:
        prefix: Path of a module with numbered children.
        bounds: Number of the first child of each stage, and then the number of children.
        last: Name of the last stage; empty for ``stage`` and its number.
        extra: Further paths that belong to the last stage.
    """
    stages = [
        Stage(f"stage{i}" if i else "stem", tuple(f"{prefix}.{n}" for n in range(start, stop)))
        for i, (start, stop) in enumerate(pairwise(bounds))
    ]
    final = stages[-1]
    stages[-1] = Stage(last or final.name, (*final.paths, *extra))
    return tuple(stages)


def _dense(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[Stage, Stage]:
    """Return the two hidden dense layers of AlexNet and VGG, numbered as in the papers."""
    paths = (tuple(f"classifier.{n}" for n in group) for group in (first, second))
    return Stage("fc6", next(paths)), Stage("fc7", next(paths))


def _vgg(convolutions: tuple[int, ...], per_convolution: int) -> tuple[Stage, ...]:
    """Return one stage for each block of convolutions and pooling; the first is the stem.

    A convolution takes ``per_convolution`` modules: 2, or 3 with BatchNorm.
    """
    bounds = [0]
    for count in convolutions:
        bounds.append(bounds[-1] + count * per_convolution + 1)
    return *_cut("features", tuple(bounds)), *_dense((0, 1, 2), (3, 4))


def _vit(layers: int) -> tuple[Stage, ...]:
    stem = ("conv_proj", "class_token", "encoder.pos_embedding", "encoder.dropout")
    names = [f"encoder_layer_{n}" for n in range(layers)]
    stages = [Stage(name, (f"encoder.layers.{name}",)) for name in names]
    stages[-1] = Stage(names[-1], (*stages[-1].paths, "encoder.ln"))
    return Stage("stem", stem), *stages


_RESNET = (
    Stage("stem", ("conv1", "bn1")),
    *(Stage(name, (name,)) for name in ("layer1", "layer2", "layer3", "layer4")),
)
_DENSENET = (
    Stage("stem", ("features.conv0", "features.norm0")),
    *(
        Stage(f"denseblock{n}", (f"features.denseblock{n}", f"features.transition{n}"))
        for n in (1, 2, 3)
    ),
    Stage("denseblock4", ("features.denseblock4", "features.norm5")),
)
_GOOGLENET = (
    Stage("stem", ("conv1", "conv2", "conv3")),
    Stage("inception3", ("inception3a", "inception3b")),
    Stage("inception4", tuple(f"inception4{x}" for x in "abcde")),
    Stage("inception5", ("inception5a", "inception5b")),
)
_INCEPTION_V3 = (
    Stage(
        "stem",
        ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
    ),
    Stage("Mixed_5", tuple(f"Mixed_5{x}" for x in "bcd")),
    Stage("Mixed_6", tuple(f"Mixed_6{x}" for x in "abcde")),
    Stage("Mixed_7", tuple(f"Mixed_7{x}" for x in "abc")),
)
_MAXVIT = (
    Stage("stem", ("stem",)),
    *(Stage(f"block{n + 1}", (f"blocks.{n}",)) for n in range(4)),
    Stage("classifier", ("classifier.2", "classifier.3", "classifier.4")),
)
_REGNET = (
    Stage("stem", ("stem",)),
    *(Stage(f"block{n}", (f"trunk_output.block{n}",)) for n in (1, 2, 3, 4)),
)
_SHUFFLENET = (
    Stage("stem", ("conv1",)),
    *(Stage(name, (name,)) for name in ("stage2", "stage3", "stage4", "conv5")),
)
_HIDDEN_DENSE = Stage("classifier", ("classifier.0", "classifier.1"))

# (pattern, family, stages): the first pattern that matches a model's name gives family and stages.
PATTERNS: tuple[tuple[str, str, tuple[Stage, ...]], ...] = (
    ("alexnet", "alexnet", _cut("features", (0, 3, 6, 8, 10, 13)) + _dense((0, 1, 2), (3, 4, 5))),
    ("convnext_*", "convnext", _cut("features", (0, 1, 2, 4, 6, 8), extra=("classifier.0",))),
    ("densenet*", "densenet", _DENSENET),
    ("efficientnet_b*", "efficientnet", _cut("features", tuple(range(10)), last="last_conv")),
    ("efficientnet_v2_s", "efficientnet_v2", _cut("features", tuple(range(9)), last="last_conv")),
    ("efficientnet_v2_*", "efficientnet_v2", _cut("features", tuple(range(10)), last="last_conv")),
    ("googlenet", "googlenet", _GOOGLENET),
    ("inception_v3", "inception_v3", _INCEPTION_V3),
    ("maxvit_*", "maxvit", _MAXVIT),
    ("mnasnet*", "mnasnet", _cut("layers", (0, 8, 9, 10, 11, 12, 13, 14, 17), last="last_conv")),
    (
        "mobilenet_v2",
        "mobilenet_v2",
        _cut("features", (0, 1, 2, 4, 7, 11, 14, 17, 18, 19), last="last_conv"),
    ),
    (
        "mobilenet_v3_large",
        "mobilenet_v3",
        (*_cut("features", (0, 1, 2, 4, 7, 11, 13, 16, 17), last="last_conv"), _HIDDEN_DENSE),
    ),
    (
        "mobilenet_v3_small",
        "mobilenet_v3",
        (*_cut("features", (0, 1, 2, 4, 7, 9, 12, 13), last="last_conv"), _HIDDEN_DENSE),
    ),
    ("regnet_*", "regnet", _REGNET),
    ("shufflenet_v2_*", "shufflenet_v2", _SHUFFLENET),
    ("squeezenet1_0", "squeezenet", _cut("features", (0, 3, 7, 12, 13))),
    ("squeezenet1_1", "squeezenet", _cut("features", (0, 3, 6, 9, 13))),
    ("swin_*", "swin", _cut("features", (0, 1, 2, 4, 6, 8), extra=("norm",))),
    ("vgg11", "vgg", _vgg((1, 1, 2, 2, 2), 2)),
    ("vgg11_bn", "vgg", _vgg((1, 1, 2, 2, 2), 3)),
    ("vgg13", "vgg", _vgg((2, 2, 2, 2, 2), 2)),
    ("vgg13_bn", "vgg", _vgg((2, 2, 2, 2, 2), 3)),
    ("vgg16", "vgg", _vgg((2, 2, 3, 3, 3), 2)),
    ("vgg16_bn", "vgg", _vgg((2, 2, 3, 3, 3), 3)),
    ("vgg19", "vgg", _vgg((2, 2, 4, 4, 4), 2)),
    ("vgg19_bn", "vgg", _vgg((2, 2, 4, 4, 4), 3)),
    ("vit_b_*", "vit", _vit(12)),
    ("vit_l_*", "vit", _vit(24)),
    ("vit_h_*", "vit", _vit(32)),
    ("*res*", "resnet", _RESNET),  # resnet, resnext, wide_resnet
)

# Models that differ from the layout of their family, and in what.
DIFFERENCES: dict[str, dict[str, int | bool]] = {
    "squeezenet1_1": {"min_size": 17},
    "vgg11": {"batch_norm": False},
    "vgg13": {"batch_norm": False},
    "vgg16": {"batch_norm": False},
    "vgg19": {"batch_norm": False},
    "vit_b_16": {"size_multiple": 16, "min_size": 16},
    "vit_b_32": {"size_multiple": 32, "min_size": 32},
    "vit_h_14": {"size_multiple": 14, "min_size": 14},
    "vit_l_16": {"size_multiple": 16, "min_size": 16},
    "vit_l_32": {"size_multiple": 32, "min_size": 32},
}
