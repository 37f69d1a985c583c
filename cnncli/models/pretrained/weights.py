"""Pretrained weights: find them, read what images they expect, load them into a network.

``--weights`` takes ``none``; ``default`` or a name for torchvision's weights; or the PATH of a
state dict (``.pth``, read with ``weights_only``, or ``.safetensors``) or of a run folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, expand_path
from cnncli.models.pretrained.download import download_weights
from cnncli.models.pretrained.fit import Tensors, fit_positions, fit_stem
from cnncli.models.pretrained.head_rows import find_heads, fit_head, imagenet_classes
from cnncli.models.pretrained.report import WeightsReport, refuse_poor_fit
from cnncli.models.pretrained.tensor_file import read_meta, read_tensors, rename
from cnncli.models.pretrained.wrappers import strip_prefix, unwrap
from cnncli.models.registry import ModelEntry
from cnncli.models.stem import Normalisation, stem_normalisation
from cnncli.models.tables.torchvision import WeightsEntry

NONE = "none"
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class WeightsSource:
    """Where weights come from; their tensors are not read yet.

    Attributes:
        text: Name of the weights in messages.
        path: Path of the file. For torchvision's weights it lies in torch's cache, where it may
            still be missing.
        entry: torchvision's entry for the weights; None for a file of the user.
        meta: Metadata that a run saved beside its tensors; empty for other files.
    """

    text: str
    path: Path
    entry: WeightsEntry | None
    meta: dict[str, Any]


@dataclass(frozen=True)
class WeightsPreprocess:
    """The images that weights expect, as plain values.

    Attributes:
        in_channels: Number of channels: 3 for torchvision's weights and for a file of the user,
            the run's channels for a run.
        mean: Mean of each channel, as a fraction of full scale.
        std: Standard deviation of each channel, as a fraction of full scale.
        image_size: (H, W) in pixels.
        resize_size: Length in pixels to which the shorter side is resized before ``image_size`` is
            cut out of the centre, as ``--resize-mode crop`` does. None for a run.
        interpolation: Interpolation of that resize, ``bilinear`` or ``bicubic``; None for a run.
    """

    in_channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: tuple[int, int]
    resize_size: int | None
    interpolation: str | None


def look_up_source(spec: str, entry: ModelEntry) -> WeightsSource | None:
    """Return where the weights that ``--weights`` names come from, or None for ``none``.

    Nothing is downloaded, and of a file only the metadata are read.

    Args:
        spec: Value of ``--weights``.
        entry: The network's entry in the registry.

    Raises:
        CnncliError: If there are no such weights and no such file, if a folder holds no finished
            run, or if the file's metadata cannot be read.
    """
    if spec == NONE:
        return None
    path = expand_path(spec)
    known = spec == "default" or any(w.name.lower() == spec.lower() for w in entry.weights)
    if known or not path.exists():
        weights = entry.find_weights(spec)
        return WeightsSource(f"{entry.name} {weights.name}", weights.path, weights, {})
    if path.is_dir():
        path = path / BEST_FILE
        if not path.is_file():
            raise CnncliError(f"--weights {spec}: no run folder: there is no {BEST_FILE} in it")
    elif not path.is_file():
        raise CnncliError(f"--weights {spec}: a pipe or a device, not a file; name a file or a run")
    return WeightsSource(spec, path, None, read_meta(path))


def weights_preprocess(source: WeightsSource | None, entry: ModelEntry) -> WeightsPreprocess | None:
    """Return the images that weights expect, or None if that is unknown.

    A file that no run has written is taken to expect the same images as the default weights.

    Args:
        source: Where the weights come from; None for no weights.
        entry: The network's entry in the registry.
    """
    if source is None:
        return None
    if pre := source.meta.get("preprocess"):
        return WeightsPreprocess(
            in_channels=pre["channels"],
            mean=tuple(pre["mean"]),
            std=tuple(pre["std"]),
            image_size=(pre["height"], pre["width"]),
            resize_size=None,
            interpolation=None,
        )
    weights = source.entry or (entry.weights[0] if entry.weights else None)
    if weights is None:
        return None
    return WeightsPreprocess(
        in_channels=len(weights.mean),
        mean=weights.mean,
        std=weights.std,
        image_size=(weights.image_size, weights.image_size),
        resize_size=weights.resize_size,
        interpolation=weights.interpolation,
    )


def weights_normalisation(
    source: WeightsSource | None, entry: ModelEntry, in_channels: int
) -> Normalisation | None:
    """Return the mean and std with which to normalise images for these weights.

    Args:
        source: Where the weights come from; None for no weights.
        entry: The network's entry in the registry.
        in_channels: Number of channels of the images.

    Returns:
        ``in_channels`` values of each; None if the weights prescribe none, so that those of the
        data are used.
    """
    pre = weights_preprocess(source, entry)
    if pre is None:
        return None
    return stem_normalisation(Normalisation(pre.mean, pre.std), in_channels)


def load_weights(
    network: nn.Module,
    source: WeightsSource,
    entry: ModelEntry,
    *,
    class_names: Sequence[str],
    normalisation: Normalisation | None = None,
    assume: Sequence[str] | None = None,
) -> WeightsReport:
    """Load weights into a network where names and shapes agree.

    The first layer is adapted to the network's channels, position embeddings to its image size. The
    rows of the head follow the names of the classes.

    Args:
        network: The network; it is changed in place, and not at all if an error is raised.
        source: Where the weights come from, as `look_up_source` returns it.
        entry: The network's entry in the registry.
        class_names: The names of the network's K classes, in the order of its logits.
        normalisation: Mean and std of the images that the network gets; None for those that
            `weights_normalisation` returns.
        assume: The names of the classes that the rows of the head are taken to be of, where the
            file does not name them; None does not use such a head.

    Raises:
        CnncliError: If the file is missing and cannot be downloaded, is damaged, fits less than
            half of the network's tensors, or holds the network twice.
    """
    own = network.state_dict()
    tensors, extra = strip_prefix(rename(_load_tensors(source), entry), own, source.text)
    pre = weights_preprocess(source, entry)
    expected = Normalisation(pre.mean, pre.std) if pre else None
    adapted = [
        name
        for name in (
            *fit_stem(tensors, own, entry, expected, normalisation),
            *fit_positions(tensors, own),
        )
        if name in tensors
    ]
    known = _class_names(source, len(class_names)) or assume
    others, head = fit_head(tensors, own, find_heads(entry, network), known, class_names)
    fitting = {
        name: tensor
        for name, tensor in tensors.items()
        if name in own
        and name not in others
        and own[name].shape == tensor.shape
        and _is_finite(tensor)
    }
    report = WeightsReport(
        source=source.text,
        loaded=tuple(fitting),
        dropped=(*(name for name in tensors if name not in fitting), *extra),
        missing=tuple(
            name for name in own if name not in fitting and not name.endswith("num_batches_tracked")
        ),
        adapted=tuple(name for name in adapted if name in fitting),
        head=head,
    )
    refuse_poor_fit(report, network, entry, tensors, source.meta.get("model"))
    load_tensors(network, fitting, strict=False)
    return report


def read_head_rows(source: WeightsSource, entry: ModelEntry) -> int:
    """Return how many classes the head in a file of weights has.

    Args:
        source: A file of the user.
        entry: The network's entry in the registry.

    Raises:
        CnncliError: If the file cannot be read, or holds no head of this network.
    """
    tensors = rename(_load_tensors(source), entry)
    heads = [f"{entry.head}.weight"] if entry.head else ["head.weight", "fc.weight"]
    for name, tensor in tensors.items():
        if any(name == head or name.endswith(f".{head}") for head in heads):
            return len(tensor)
    raise CnncliError(
        f"--weights {source.text}: has no last layer of {entry.name} ({heads[0]}), so that its "
        "classes are not known; name the run it is of"
    )


def _class_names(source: WeightsSource, count: int) -> Sequence[str] | None:
    """Return the names of the classes that the head of the weights is of; None if unknown.

    Args:
        source: Where the weights come from.
        count: Number of the network's classes; torchvision's names are read only for as many.
    """
    if source.entry is None:
        names: Sequence[str] | None = source.meta.get("class_names")
        return names
    return imagenet_classes() if count == IMAGENET_CLASSES else None


def load_tensors(network: nn.Module, tensors: Tensors, *, strict: bool = True) -> None:
    """Load a state dict that has no version numbers of its modules.

    torch keeps a version number beside the tensors of each module. safetensors files have none,
    and MNASNet cannot be loaded without, so the network's own numbers are used.

    Args:
        network: The network; it is changed in place.
        tensors: Tensors by name.
        strict: Whether all names must agree.

    Raises:
        RuntimeError: If shapes differ, or names differ and ``strict`` is set.
    """
    state: Any = network.state_dict()
    versions = state._metadata
    state = type(state)(tensors)
    state._metadata = versions
    network.load_state_dict(state, strict=strict)


def _is_finite(tensor: torch.Tensor) -> bool:
    """Return whether no value is NaN or infinite.

    In vgg16's IMAGENET1K_FEATURES, for example, all of the classifier is NaN.
    """
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _load_tensors(source: WeightsSource) -> Tensors:
    if source.entry is None:
        return read_tensors(source.path)
    model = source.text.split()[0]
    return unwrap(download_weights(model, source.entry), source.text)
