"""Pretrained weights: find them, read what images they expect, load them into a network.

``--weights`` takes ``none``; ``default`` or a name for torchvision's weights; or the PATH of a
state dict (``.pth``, read with ``weights_only``, or ``.safetensors``) or of a run folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, expand_path
from cnncli.models.pretrained.download import download_weights
from cnncli.models.pretrained.fit import Tensors, fit_positions, fit_stem
from cnncli.models.pretrained.tensor_file import read_meta, read_tensors, rename, unwrap
from cnncli.models.registry import ModelEntry, short_name
from cnncli.models.stages import network_head
from cnncli.models.stem import Normalisation, stem_normalisation
from cnncli.models.tables.torchvision import WeightsEntry

NONE = "none"
NAMES_SHOWN = 3  # names in a message before "and N more"


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


@dataclass(frozen=True)
class WeightsReport:
    """Which tensors were loaded and which were not.

    Attributes:
        source: Name of the weights in messages.
        loaded: Names of the network's tensors that were loaded.
        dropped: Names of the file's tensors that were not used, because they have another shape
            (as the head has if the classes differ), are unknown to the network or are not finite.
        missing: Names of the network's parameters and statistics that were not loaded.
        adapted: Names of loaded tensors that were changed before: first layer, position
            embeddings.
    """

    source: str
    loaded: tuple[str, ...]
    dropped: tuple[str, ...]
    missing: tuple[str, ...]
    adapted: tuple[str, ...]

    def line(self) -> str:
        """Return one line of text for the user."""
        parts = [f"weights {self.source}: {len(self.loaded)} tensors loaded"]
        for words, names in (
            ("adapted", self.adapted),
            ("dropped", self.dropped),
            ("left as they were", self.missing),
        ):
            if names:
                more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
                parts.append(f"{len(names)} {words} ({', '.join(names[:NAMES_SHOWN])}{more})")
        return ", ".join(parts)


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
    normalisation: Normalisation | None = None,
) -> WeightsReport:
    """Load weights into a network where names and shapes agree.

    The first layer is adapted to the network's channels, position embeddings to its image size.

    Args:
        network: The network; it is changed in place, and not at all if an error is raised.
        source: Where the weights come from, as `look_up_source` returns it.
        entry: The network's entry in the registry.
        normalisation: Mean and std of the images that the network gets; None for those that
            `weights_normalisation` returns.

    Raises:
        CnncliError: If the file is missing and cannot be downloaded, is damaged, or fits less
            than half of the network's tensors.
    """
    tensors = rename(_load_tensors(source), entry)
    pre = weights_preprocess(source, entry)
    expected = Normalisation(pre.mean, pre.std) if pre else None
    own = network.state_dict()
    adapted = [
        name
        for name in (
            *fit_stem(tensors, own, entry, expected, normalisation),
            *fit_positions(tensors, own),
        )
        if name in tensors
    ]
    fitting = {
        name: tensor
        for name, tensor in tensors.items()
        if name in own and own[name].shape == tensor.shape and _is_finite(tensor)
    }
    report = WeightsReport(
        source=source.text,
        loaded=tuple(fitting),
        dropped=tuple(name for name in tensors if name not in fitting),
        missing=tuple(
            name for name in own if name not in fitting and not name.endswith("num_batches_tracked")
        ),
        adapted=tuple(name for name in adapted if name in fitting),
    )
    _refuse_poor_fit(report, network, entry, source)
    load_tensors(network, fitting, strict=False)
    return report


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


def _refuse_poor_fit(
    report: WeightsReport, network: nn.Module, entry: ModelEntry, source: WeightsSource
) -> None:
    """Refuse a file that fits less than half of the network's parameters outside its heads."""
    head = network_head(entry.name, network)
    apart = tuple(f"{path}." for path in (head, *entry.aux_heads))
    names = [name for name, _ in network.named_parameters() if not name.startswith(apart)]
    filled = sum(name in report.loaded for name in names)
    if 2 * filled < len(names) or not report.loaded:
        of = f" (they are of {short_name(source.meta['model'])})" if "model" in source.meta else ""
        raise CnncliError(
            f"--weights {report.source}: only {filled} of {len(names)} tensors fit "
            f"{short_name(entry.name)}{of}; name the model they are of with --model"
        )


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
