"""Every network by name, as plain data: no torch is imported to list or to find one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cnncli.choices import format_size
from cnncli.errors import CnncliError, did_you_mean
from cnncli.models.tables.chain_plan import plan_chain
from cnncli.models.tables.custom import CUSTOM
from cnncli.models.tables.families import DIFFERENCES, LAYOUTS, PATTERNS
from cnncli.models.tables.layout import ModuleLayout, Stage
from cnncli.models.tables.torchvision import IMAGENET, NORMALISATIONS, TABLE, URL

CHAIN = "cnn:"
TIMM = "timm:"


@dataclass(frozen=True)
class WeightsEntry:
    """Pretrained weights that torchvision offers, and the images they expect.

    Attributes:
        name: As ``--weights`` takes it, such as ``IMAGENET1K_V2``.
        file: Its name in torch's cache.
        parameters: At 1000 classes; auxiliary heads as torchvision's metadata count them.
        macs: Multiply-accumulates of one image, to three decimals of 10⁹.
        image_size: Side of the network's input in pixels.
        resize_size: Side the shorter side is brought to before the centre is cut out.
        interpolation: Of that resize, ``bilinear`` or ``bicubic``.
        mean: Per channel (RGB), as a fraction of full scale.
        std: Per channel (RGB), as a fraction of full scale.
    """

    name: str
    file: str
    parameters: int
    macs: int
    image_size: int
    resize_size: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def url(self) -> str:
        """Where torchvision downloads it from."""
        return URL + self.file

    @property
    def path(self) -> Path:
        """Where it lies once it was downloaded; see `weights_dir`."""
        return weights_dir() / self.file


@dataclass(frozen=True)
class ModelEntry:
    """One network of the registry.

    Attributes:
        name: As ``--model`` takes it.
        family: Networks built alike share one.
        builder: ``module:callable`` for our own, ``torchvision:name`` for torchvision's, ``chain:``
            for a network written by hand, ``timm:name`` for timm's.
        stages: From input to head; empty for timm, where the built network tells them.
        layout: Where stem, head and auxiliary heads lie.
        image_size: The side in pixels it was designed for, or None where the data decide.
        batch_norm: Whether it holds BatchNorm, which cannot train on one image at a time.
        about: One line for lists.
        parameters: At 1000 classes and 3 channels; for our own at 10 classes.
        macs: Multiply-accumulates of one image of ``image_size``.
        weights: The default first.
        min_size: Smallest side in pixels.
        size_multiple: Both sides are multiples of it.
        square: Height and width must be equal.
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
        """Path of the last layer, which the classes decide."""
        return self.layout.head

    @property
    def head_dropout(self) -> str | None:
        """Path of the dropout right before the head, which acts on the finished features."""
        return self.layout.head_dropout

    @property
    def aux_heads(self) -> tuple[str, ...]:
        """Paths of the auxiliary heads."""
        return self.layout.aux_heads

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """Refuse a (height, width) that this network cannot take.

        Raises:
            CnncliError: With the nearest sizes that it can.
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
        """Find weights by name; ``default`` is the first.

        Raises:
            CnncliError: If this model has none of that name; it says which there are.
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


def weights_dir() -> Path:
    """Return the folder torch downloads weights to.

    Source: ``torch.hub.get_dir``, which reads the same variables; a test compares them.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(os.path.expanduser(home)) / "hub" / "checkpoints"  # noqa: PTH111


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
    weights: dict[str, list[WeightsEntry]] = {}
    for line in TABLE.strip().split("\n"):
        model, name, file, parameters, gmacs, size, resize, *cubic = line.split()
        full = "IMAGENET1K_" + name.rstrip("*")
        entry = WeightsEntry(
            full,
            file + ".pth",
            int(parameters),
            round(float(gmacs) * 1e9),
            int(size),
            int(resize),
            "bicubic" if cubic else "bilinear",
            *NORMALISATIONS.get((model, full), IMAGENET),
        )
        weights.setdefault(model, []).insert(0 if "*" in name else 10, entry)
    for model, entries in weights.items():
        yield _torchvision_entry(model, tuple(entries))


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
    """Find an entry by name; ``cnn:LAYERS`` and ``timm:NAME`` are made on the spot.

    Raises:
        CnncliError: If there is none, with the nearest names; or if the layers cannot be read.
    """
    if name in MODELS:
        return MODELS[name]
    if name.startswith(CHAIN):
        return _chain_entry(name)
    if name.startswith(TIMM):
        return _timm_entry(name)
    near = did_you_mean(name, MODELS) or "; see `cnncli models`"
    raise CnncliError(f"--model {name}: no such model{near}")


def list_models(pattern: str | None = None) -> list[ModelEntry]:
    """Return the entries whose name holds ``pattern``, or matches it where it has ``*?[``.

    Raises:
        CnncliError: If there is none, with the nearest names.
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
    """Return a model's name as a file name or a message can hold it."""
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
