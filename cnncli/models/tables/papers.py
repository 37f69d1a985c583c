"""The paper that introduced each network, its year, and the licence of the weights, as plain data.

The year is that of the paper's first version.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from cnncli.models.tables.torchvision import WeightsEntry

# What is said of a licence that the one who offers the weights does not name.
NOT_STATED = "not stated"

# Pattern of names, year, where the paper is; the first pattern that fits counts.
_PAPERS = (
    ("alexnet", 2014, "https://arxiv.org/abs/1404.5997"),
    ("convnext_*", 2022, "https://arxiv.org/abs/2201.03545"),
    ("densenet*", 2016, "https://arxiv.org/abs/1608.06993"),
    ("efficientnet_v2_*", 2021, "https://arxiv.org/abs/2104.00298"),
    ("efficientnet_*", 2019, "https://arxiv.org/abs/1905.11946"),
    ("googlenet", 2014, "https://arxiv.org/abs/1409.4842"),
    ("inception_v3", 2015, "https://arxiv.org/abs/1512.00567"),
    ("lenet5", 1998, "https://doi.org/10.1109/5.726791"),
    ("maxvit_*", 2022, "https://arxiv.org/abs/2204.01697"),
    ("mnasnet*", 2018, "https://arxiv.org/abs/1807.11626"),
    ("mobilenet_v2", 2018, "https://arxiv.org/abs/1801.04381"),
    ("mobilenet_v3_*", 2019, "https://arxiv.org/abs/1905.02244"),
    ("regnet_*", 2020, "https://arxiv.org/abs/2003.13678"),
    ("resnext*", 2016, "https://arxiv.org/abs/1611.05431"),
    ("wide_resnet*", 2016, "https://arxiv.org/abs/1605.07146"),
    ("resnet_small", None, None),  # our own
    ("resnet*", 2015, "https://arxiv.org/abs/1512.03385"),
    ("shufflenet_v2_*", 2018, "https://arxiv.org/abs/1807.11164"),
    ("squeezenet*", 2016, "https://arxiv.org/abs/1602.07360"),
    ("swin_v2_*", 2021, "https://arxiv.org/abs/2111.09883"),
    ("swin_*", 2021, "https://arxiv.org/abs/2103.14030"),
    ("vgg_small", None, None),  # our own
    ("vgg*", 2014, "https://arxiv.org/abs/1409.1556"),
    ("vit_*", 2020, "https://arxiv.org/abs/2010.11929"),
)

# Words in the name of weights, and their licence. Of all others torchvision says that they "may
# have their own licenses or terms and conditions derived from the dataset used for training".
# Source: https://github.com/pytorch/vision/blob/main/README.md, Pre-trained Model License.
_LICENCES = (("SWAG", "CC-BY-NC-4.0"),)


@dataclass(frozen=True)
class Paper:
    """Where a network was introduced.

    Attributes:
        year: Year of the paper; None for a network that no paper introduced.
        url: Where the paper is; None for the same.
    """

    year: int | None
    url: str | None


def find_paper(name: str) -> Paper:
    """Return the paper that introduced a network of the registry."""
    for pattern, year, url in _PAPERS:
        if fnmatchcase(name, pattern):
            return Paper(year, url)
    return Paper(None, None)


def find_licence(weights: WeightsEntry) -> str:
    """Return the licence of pretrained weights, or ``NOT_STATED``."""
    return next((text for word, text in _LICENCES if word in weights.name), NOT_STATED)


def describe_licences(weights: tuple[WeightsEntry, ...]) -> str | None:
    """Return the licence of the default weights, and of those that have another one.

    Args:
        weights: The weights of a network, the default ones first.

    Returns:
        Such as ``not stated (SWAG_E2E_V1: CC-BY-NC-4.0)``; None for a network without weights.
    """
    if not weights:
        return None
    default = find_licence(weights[0])
    others = [
        f"{entry.name.removeprefix('IMAGENET1K_')}: {find_licence(entry)}"
        for entry in weights
        if find_licence(entry) != default
    ]
    return default + f" ({', '.join(others)})" * bool(others)
