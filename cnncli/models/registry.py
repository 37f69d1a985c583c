"""Every network by name, as plain data: no torch is imported to list or to find one."""

from __future__ import annotations

from dataclasses import dataclass

from cnncli.errors import CnncliError, did_you_mean


@dataclass(frozen=True)
class ModelEntry:
    """One network of the registry.

    Attributes:
        name: As ``--model`` takes it.
        family: Networks built alike share one.
        builder: ``module:callable`` for our own, ``torchvision:name`` for torchvision's.
        stages: Names of the stages from input to head, as submodules of the network.
        head: Path of the last linear layer.
        image_size: The side in pixels it was designed for, or None where the data decide.
        batch_norm: Whether it holds BatchNorm, which cannot train on one image at a time.
        about: One line for lists.
    """

    name: str
    family: str
    builder: str
    stages: tuple[str, ...]
    head: str
    image_size: int | None
    batch_norm: bool
    about: str


_CUSTOM = "cnncli.models.custom"

MODELS: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="resnet_small",
            family="resnet",
            builder=f"{_CUSTOM}.resnet_small:ResNetSmall",
            stages=("stem", "layer1", "layer2", "layer3", "layer4"),
            head="fc",
            image_size=None,
            batch_norm=True,
            about="small residual network that trains fast on a CPU (the default)",
        ),
        ModelEntry(
            name="lenet5",
            family="lenet",
            builder=f"{_CUSTOM}.lenet5:LeNet5",
            stages=("conv1", "conv2", "fc1", "fc2"),
            head="fc3",
            image_size=32,
            batch_norm=False,
            about="LeCun et al. 1998, the first CNN in wide use",
        ),
        ModelEntry(
            name="cnn",
            family="cnn",
            builder=f"{_CUSTOM}.cnn:CNN",
            stages=("conv1", "conv2", "fc1", "fc2"),
            head="fc3",
            image_size=28,
            batch_norm=False,
            about="the course CNN: two convolutions with pooling, two dense layers, dropout",
        ),
        ModelEntry(
            name="resnet18",
            family="resnet",
            builder="torchvision:resnet18",
            stages=("conv1", "layer1", "layer2", "layer3", "layer4"),
            head="fc",
            image_size=224,
            batch_norm=True,
            about="He et al. 2015, 18 layers (torchvision)",
        ),
    )
}

DEFAULT_MODEL = "resnet_small"


def find_model(name: str) -> ModelEntry:
    """Find an entry by name.

    Raises:
        CnncliError: If there is none; it names the nearest ones.
    """
    if name not in MODELS:
        near = did_you_mean(name, MODELS) or f"; the models are {', '.join(MODELS)}"
        raise CnncliError(f"--model {name}: no such model{near}")
    return MODELS[name]
