"""Every network by name, as plain data: listing or finding one imports no torch.

The data come from the tables in `cnncli.models.tables`; `cnncli.models.build` makes the networks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cnncli.choices import format_size
from cnncli.choices.spelling import find_choice
from cnncli.errors import CnncliError, did_you_mean
from cnncli.models.tables.chain_plan import plan_chain
from cnncli.models.tables.custom import CUSTOM
from cnncli.models.tables.families import DIFFERENCES, LAYOUTS, PATTERNS
from cnncli.models.tables.layout import ModuleLayout, Stage
from cnncli.models.tables.torchvision import WeightsEntry, parse_weights

CHAIN = "cnn:"
TIMM = "timm:"
AUTO = "auto"  # in place of a name: the networks whose weights are on this disk


@dataclass(frozen=True)
class ModelEntry:
    """One network of the registry.

    Attributes:
        name: Name that ``--model`` takes.
        family: Family of the network, such as ``resnet``; one family has one layout.
        builder: ``module:callable`` for cnncli's own networks, ``torchvision:NAME`` for those of
            torchvision, ``timm:NAME`` for those of timm, ``cnn:`` for a network written by hand.
        stages: Stages from the input to the head, without the head. Empty for networks of timm,
            whose stages are derived from the built network.
        layout: Paths of the stem, the head and the auxiliary heads.
        image_size: Side in pixels of the images it was designed for; None if it has no such size.
        batch_norm: Whether it has BatchNorm layers, which cannot train on a batch of one image.
        about: Description of one line, for lists.
        parameters: Number of parameters at 1000 classes and 3 channels, for cnncli's own networks
            at 10 classes; None if unknown.
        macs: Multiply-accumulates for one image of ``image_size``; None if unknown.
        weights: Pretrained weights, the default ones first.
        min_size: Smallest side in pixels that an image may have.
        size_multiple: Number of pixels of which both sides of an image must be multiples.
        square: Whether height and width of an image must be equal.
    """

    name: str
    family: str
    builder: str
    stages: tuple[Stage, ...]
    layout: ModuleLayout
    image_size: int | None
    batch_norm: bool
    about: str
    parameters: int | None = None
    macs: int | None = None
    weights: tuple[WeightsEntry, ...] = ()
    min_size: int = 1
    size_multiple: int = 1
    square: bool = False

    @property
    def head(self) -> str:
        """Path of the last layer, which has one output per class; empty for timm."""
        return self.layout.head

    @property
    def head_dropout(self) -> str | None:
        """Path of the dropout layer directly before the head, or None."""
        return self.layout.head_dropout

    @property
    def aux_heads(self) -> tuple[str, ...]:
        """Paths of the auxiliary heads, which act in training only."""
        return self.layout.aux_heads

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """Refuse an image size that this network cannot take.

        Args:
            image_size: (H, W) in pixels.

        Raises:
            CnncliError: If it cannot; the message names the nearest sizes that it can take.
        """
        shown = f"--image-size {format_size(image_size)}: {short_name(self.name)}"
        if self.square and image_size[0] != image_size[1]:
            raise CnncliError(f"{shown} takes square images only, such as {max(image_size)}")
        if min(image_size) < self.min_size:
            raise CnncliError(f"{shown} needs at least {self.min_size} pixels a side")
        step = self.size_multiple
        if any(side % step for side in image_size):
            near = [
                format_size((n, n)) for n in _multiples_near(image_size[0], self.min_size, step)
            ]
            raise CnncliError(f"{shown} takes multiples of {step}, such as {' or '.join(near)}")

    def find_weights(self, name: str) -> WeightsEntry:
        """Find pretrained weights by name, in any case; ``default`` finds the first ones.

        Raises:
            CnncliError: If this model has no weights of that name; the message lists those it has.
        """
        if not self.weights:
            raise CnncliError(
                f"--weights {name}: {short_name(self.name)} has no pretrained weights; use "
                "--weights none or the PATH of a file or run"
            )
        if name == "default":
            return self.weights[0]
        for weights in self.weights:
            if weights.name.lower() == name.lower():
                return weights
        known = [weights.name for weights in self.weights]
        near = did_you_mean(name, known) or f"; {self.name} has {', '.join(known)}"
        raise CnncliError(f"--weights {name}: neither weights of {self.name} nor a file{near}")


def _multiples_near(side: int, least: int, step: int) -> list[int]:
    below = side // step * step
    return [n for n in (below, below + step) if n >= least]


def _custom_entries() -> Iterator[ModelEntry]:
    for name, network in CUSTOM.items():
        yield ModelEntry(
            name=name,
            family=network.family,
            builder=f"cnncli.models.custom.{network.builder}",
            stages=network.stages,
            layout=network.layout,
            image_size=network.image_size,
            batch_norm=network.layout.batch_norm,
            about=network.layout.about,
            parameters=network.parameters,
            macs=network.macs,
            min_size=network.layout.min_size,
        )


def _torchvision_entries() -> Iterator[ModelEntry]:
    for model, weights in parse_weights().items():
        yield _torchvision_entry(model, weights)


def _torchvision_entry(name: str, weights: tuple[WeightsEntry, ...]) -> ModelEntry:
    family, stages = next(
        (family, stages) for pattern, family, stages in PATTERNS if fnmatchcase(name, pattern)
    )
    layout = LAYOUTS[family]
    facts = {
        "batch_norm": layout.batch_norm,
        "min_size": layout.min_size,
        "size_multiple": layout.size_multiple,
        **DIFFERENCES.get(name, {}),
    }
    return ModelEntry(
        name=name,
        family=family,
        builder=f"torchvision:{name}",
        stages=stages,
        layout=layout,
        image_size=weights[0].image_size,
        about=layout.about,
        parameters=weights[0].parameters,
        macs=weights[0].macs,
        weights=weights,
        square=layout.square,
        batch_norm=bool(facts["batch_norm"]),
        min_size=facts["min_size"],
        size_multiple=facts["size_multiple"],
    )


MODELS: dict[str, ModelEntry] = {
    entry.name: entry for entry in (*_custom_entries(), *_torchvision_entries())
}

DEFAULT_MODEL = "resnet_small"


def find_model(name: str) -> ModelEntry:
    """Find an entry by name; for ``cnn:LAYERS`` and ``timm:NAME`` an entry is made.

    Whether timm has a network of that name is seen only when it is built.

    Raises:
        CnncliError: If there is no such model, with the nearest names, or if ``LAYERS`` cannot be
            parsed.
    """
    if name in MODELS:
        return MODELS[name]
    name = spell_model(name)
    if name in MODELS:
        return MODELS[name]
    if name.startswith(CHAIN):
        return _chain_entry(name)
    if name.startswith(TIMM):
        return _timm_entry(name)
    if names_several(name):
        raise CnncliError(
            f"--model {name}: `cnncli finetune` takes the best of several networks; name one here"
        )
    near = did_you_mean(name, MODELS) or "; see `cnncli models`"
    raise CnncliError(f"--model {name}: no such model{near}")


def spell_model(name: str) -> str:
    """Return a name as the registry has it: ``resnet18`` for ``ResNet-18``; else the same text."""
    for prefix in (CHAIN, TIMM):
        if name[: len(prefix)].lower() == prefix:
            return prefix + name[len(prefix) :]
    return find_choice(name, (AUTO, *MODELS)) or name


def split_names(text: str) -> list[str]:
    """Return the names of a list ``resnet18,lenet5``; ``cnn:LAYERS`` is one name with commas."""
    if "," not in text or spell_model(text).startswith(CHAIN):
        return [text]
    return [part.strip() for part in text.split(",") if part.strip()] or [text]


def names_several(text: str) -> bool:
    """Return whether ``--model`` leaves open which network it is: by ``auto``, or by a list."""
    names = split_names(text)
    return len(names) > 1 or spell_model(text) == AUTO


def list_models(pattern: str | None = None) -> list[ModelEntry]:
    """Return the entries whose names fit a pattern; all of them for None.

    Args:
        pattern: Part of a name, or a glob pattern if it has ``*``, ``?`` or ``[``. Its case does
            not matter.

    Raises:
        CnncliError: If no name fits, with the nearest names.
    """
    if pattern is None:
        return list(MODELS.values())
    word = pattern.lower()
    found = [
        entry
        for name, entry in MODELS.items()
        if (fnmatchcase(name, word) if re.search(r"[*?\[]", word) else word in name)
    ]
    if not found:
        near = did_you_mean(word, MODELS) or "; `cnncli models` lists all"
        raise CnncliError(f"models {pattern}: no such model{near}")
    return found


def short_name(name: str) -> str:
    """Return a model's name in a form that fits into a file name or a message."""
    if name.startswith(CHAIN):
        return "cnn"
    return re.sub(r"[^\w.-]+", "-", name)


def _chain_entry(name: str) -> ModelEntry:
    try:
        plan = plan_chain(name.removeprefix(CHAIN))
    except CnncliError as error:
        raise CnncliError(f"--model cnn: {error}") from None
    return ModelEntry(
        name=name,
        family="cnn",
        builder=CHAIN,
        stages=plan.stages,
        layout=plan.layout,
        image_size=None,
        batch_norm=plan.layout.batch_norm,
        about=plan.layout.about,
    )


def _timm_entry(name: str) -> ModelEntry:
    about = "from timm, the optional extra"
    return ModelEntry(
        name=name,
        family="timm",
        builder=name,
        stages=(),
        layout=ModuleLayout(stem="", head="", about=about),
        image_size=None,
        batch_norm=True,
        about=about,
    )
