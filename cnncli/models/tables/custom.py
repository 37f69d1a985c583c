"""cnncli's own networks as plain data.

A new network is a module in `cnncli.models.custom` and a row here.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnncli.models.tables.layout import ModuleLayout, Stage


@dataclass(frozen=True)
class CustomNetwork:
    """One of cnncli's own networks.

    Attributes:
        builder: ``module:callable`` in ``cnncli.models.custom``; the callable takes K, C and
            ``image_size=(H, W)`` and returns the network.
        family: Family of the network, such as ``resnet``.
        stages: Stages from the input to the head, without the head.
        layout: Paths of the stem and the head.
        image_size: Side in pixels of the images it was designed for; None if it has no such size.
        example: Channels and side in pixels of the images for which ``parameters`` and ``macs``
            are counted.
        parameters: Number of parameters at 10 classes.
        macs: Multiply-accumulates for one image.
    """

    builder: str
    family: str
    stages: tuple[Stage, ...]
    layout: ModuleLayout
    image_size: int | None
    example: tuple[int, int]
    parameters: int
    macs: int


_LAYERS = (
    Stage("stem", ("stem",)),
    *(Stage(name, (name,)) for name in ("layer1", "layer2", "layer3")),
)
_TWO_CONVOLUTIONS = (
    Stage("stem", ("conv1",)),
    *(Stage(name, (name,)) for name in ("conv2", "fc1", "fc2")),
)


def _residual(about: str) -> ModuleLayout:
    return ModuleLayout(
        stem="stem.0",
        stem_norm="stem.1",
        head="fc",
        head_dropout="dropout",
        min_size=8,
        about=about,
    )


CUSTOM: dict[str, CustomNetwork] = {
    "resnet_small": CustomNetwork(
        builder="resnet_small:ResNetSmall",
        family="resnet",
        stages=(*_LAYERS, Stage("layer4", ("layer4",))),
        layout=_residual("small residual network that trains fast on a CPU (the default)"),
        image_size=None,
        example=(3, 112),
        parameters=1_230_058,
        macs=55_124_480,
    ),
    "lenet5": CustomNetwork(
        builder="lenet5:LeNet5",
        family="lenet",
        stages=_TWO_CONVOLUTIONS,
        layout=ModuleLayout(
            stem="conv1",
            head="fc3",
            batch_norm=False,
            min_size=16,
            about="LeCun et al. 1998, the first CNN in wide use",
        ),
        image_size=32,
        example=(1, 32),
        parameters=61_706,
        macs=416_520,
    ),
    "cnn": CustomNetwork(
        builder="cnn:CNN",
        family="cnn",
        stages=_TWO_CONVOLUTIONS,
        layout=ModuleLayout(
            stem="conv1",
            head="fc3",
            head_dropout="dropout",
            batch_norm=False,
            min_size=10,
            about="the course CNN: two convolutions with pooling, two dense layers, dropout",
        ),
        image_size=28,
        example=(1, 28),
        parameters=282_986,
        macs=1_582_720,
    ),
    "vgg_small": CustomNetwork(
        builder="vgg_small:VGGSmall",
        family="vgg",
        stages=(
            Stage("stem", ("block1",)),
            *(Stage(name, (name,)) for name in ("block2", "block3", "fc1")),
        ),
        layout=ModuleLayout(
            stem="block1.0",
            stem_norm="block1.1",
            head="fc2",
            head_dropout="dropout",
            min_size=8,
            about="VGG in small: three blocks of 3×3 convolutions with BatchNorm",
        ),
        image_size=None,
        example=(3, 32),
        parameters=323_050,
        macs=38_668_800,
    ),
    "resnet20": CustomNetwork(
        builder="resnet_cifar:resnet20",
        family="resnet",
        stages=_LAYERS,
        layout=_residual("He et al. 2015, 20 layers, the residual network for small images"),
        image_size=None,
        example=(3, 32),
        parameters=269_722,
        macs=40_551_040,
    ),
    "resnet32": CustomNetwork(
        builder="resnet_cifar:resnet32",
        family="resnet",
        stages=_LAYERS,
        layout=_residual("He et al. 2015, 32 layers, the residual network for small images"),
        image_size=None,
        example=(3, 32),
        parameters=464_154,
        macs=68_862_592,
    ),
}
