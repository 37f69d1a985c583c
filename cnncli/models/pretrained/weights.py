"""Pretrained weights: where they come from and how they get into a network.

``--weights`` takes ``none``, ``default`` or a name (torchvision's), or a PATH: a state dict
(``.pth``, read with ``weights_only``; ``.safetensors``) or the run folder of an earlier run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE
from cnncli.models.pretrained.carry import Tensors, fit_positions, fit_stem
from cnncli.models.pretrained.download import download_weights
from cnncli.models.pretrained.rename import DAMAGED, NAMES_SHOWN, rename, unwrap
from cnncli.models.registry import ModelEntry, short_name
from cnncli.models.stages import network_head
from cnncli.models.stem import Normalisation, stem_normalisation
from cnncli.models.tables.torchvision import WeightsEntry

NONE = "none"


@dataclass(frozen=True)
class WeightsSource:
    """Where weights come from, found before anything is read.

    Attributes:
        text: How to name them in messages.
        path: Of the file; for torchvision's, where it lies in torch's cache.
        entry: torchvision's, or None for a file.
        meta: What a run wrote beside its tensors; empty for others.
    """

    text: str
    path: Path
    entry: WeightsEntry | None
    meta: dict[str, Any]


@dataclass(frozen=True)
class WeightsPreprocess:
    """What images weights expect, as plain values.

    Attributes:
        in_channels: Of the weights' first layer, as far as it is known: 3, or those of the run.
        mean: Per channel, as a fraction of full scale.
        std: Per channel, as a fraction of full scale.
        image_size: (H, W) in pixels.
        resize_size: Side the shorter side is brought to before ``image_size`` is cut out of the
            centre: only ``--resize-mode crop`` does that. None for a run.
        interpolation: Of that resize, ``bilinear`` or ``bicubic``; None for a run.
    """

    in_channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: tuple[int, int]
    resize_size: int | None
    interpolation: str | None


@dataclass(frozen=True)
class WeightsReport:
    """What became of the tensors.

    Attributes:
        source: How the weights are named.
        loaded: Names of the network's tensors that were filled.
        dropped: Names of tensors of the file that were not used: of another shape (the head, when
            classes differ), unknown to the network or not finite.
        missing: Names of the network's parameters and statistics that the file did not fill.
        adapted: Names that were changed on the way (first layer, position embeddings).
    """

    source: str
    loaded: tuple[str, ...]
    dropped: tuple[str, ...]
    missing: tuple[str, ...]
    adapted: tuple[str, ...]

    def line(self) -> str:
        """Return one line for the user."""
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
    """Find what ``--weights`` names; nothing is downloaded or read in full. None for ``none``.

    Raises:
        CnncliError: If there are no such weights and no such file.
    """
    if spec == NONE:
        return None
    path = Path(spec).expanduser()
    known = spec == "default" or any(w.name.lower() == spec.lower() for w in entry.weights)
    if known or not path.exists():
        weights = entry.find_weights(spec)
        return WeightsSource(f"{entry.name} {weights.name}", weights.path, weights, {})
    if path.is_dir():
        path = path / BEST_FILE
        if not path.is_file():
            raise CnncliError(f"--weights {spec}: no run folder: there is no {BEST_FILE} in it")
    return WeightsSource(spec, path, None, _read_meta(path))


def weights_preprocess(source: WeightsSource | None, entry: ModelEntry) -> WeightsPreprocess | None:
    """Return what images the weights expect; None where nobody knows.

    A file that is not of a run is taken to follow the model's default weights.
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
    """Return mean and std to store and to train with for ``in_channels``; None: the data's own."""
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
    """Fill a network with weights, as far as names and shapes agree.

    The first layer is carried over to the network's channels, position embeddings to its size.

    Args:
        network: It is changed; nothing of it is if this fails.
        source: From `look_up_source`.
        entry: Of the network.
        normalisation: Mean and std that the network will see; None: those that
            `weights_normalisation` returns.

    Raises:
        CnncliError: If the file is missing and cannot be downloaded, is damaged, or fits less
            than half of the network.
    """
    tensors = rename(_read_tensors(source), entry)
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
    """Load a state dict that came without the versions torch keeps beside it.

    safetensors files hold none, and MNASNet refuses to load without.

    Raises:
        RuntimeError: If strict, and names or shapes differ.
    """
    state: Any = network.state_dict()
    versions = state._metadata
    state = type(state)(tensors)
    state._metadata = versions
    network.load_state_dict(state, strict=strict)


def _refuse_poor_fit(
    report: WeightsReport, network: nn.Module, entry: ModelEntry, source: WeightsSource
) -> None:
    """Refuse a file that fills less than half of the network's tensors, the head left out."""
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
    """Tell NaN apart: vgg16's IMAGENET1K_FEATURES has it in all of its classifier."""
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _read_meta(path: Path) -> dict[str, Any]:
    """Return what a run wrote beside its tensors; empty for other files."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("cnncli", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise CnncliError(f"--weights {path}: not safetensors, or cut short ({error})") from None
    return meta if isinstance(meta, dict) else {}


def _read_tensors(source: WeightsSource) -> Tensors:
    if source.entry is not None:
        return unwrap(download_weights(source.text.split()[0], source.entry), source.text)
    path = source.path
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        raise CnncliError(
            f"--weights {path}: holds more than tensors, or is damaged; a pickle can run code when "
            "it is opened, so only plain state dicts are read"
        ) from None
    except (SafetensorError, *DAMAGED) as error:
        reason = str(error).split("\n")[0]
        raise CnncliError(f"--weights {path}: no weights can be read from it: {reason}") from None
    return unwrap(loaded, str(path))
