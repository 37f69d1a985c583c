"""``best.safetensors``: the weights, and everything else that predict and evaluate need.

A file that a user names is never unpickled, as a pickle can run code: it has tensors and text only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from cnncli import __version__
from cnncli.augmentation.notation import Pipeline, parse_augment
from cnncli.errors import CnncliError, clip
from cnncli.files import (
    BEST_FILE,
    EPOCHS_FOLDER,
    MOST_OF_WEIGHTS,
    check_regular,
    write_atomically,
)
from cnncli.images.preprocess import FULL_SCALE, Preprocess
from cnncli.models.build import Classifier, build_network
from cnncli.models.pretrained.digest import KEY, check_digest, compute_digest
from cnncli.models.pretrained.tensor_file import parse_class_names
from cnncli.models.pretrained.weights import load_tensors
from cnncli.training.history import TIME_COLUMNS

FORMAT = 3
_KEY = "cnncli"


@dataclass(frozen=True)
class Checkpoint:
    """A trained classifier without its weights: how to build and to use the network.

    Attributes:
        model: The network's name in the registry.
        class_names: The names of the K classes, in the order of the logits.
        preprocess: Turns the content of an image file into the network's input.
        options: What was changed in the network: activation, norm, dropout, linear_head.
        freeze: The freeze policy by which these weights were trained.
        ordered: Whether the classes have an order, like grades.
        augment: The augmentation of the training images; empty for none.
        temperature: What the logits are divided by before the softmax, above 0.
        epoch: The epoch after which the weights were saved, from 1.
        metrics: That epoch's row of ``metrics.csv``.
        versions: The versions of cnncli and torch that wrote the file, by name.
        digest: Digest of all that the file holds, weights included; empty before it is written.
    """

    model: str
    class_names: tuple[str, ...]
    preprocess: Preprocess
    options: Mapping[str, Any] = field(default_factory=dict)
    freeze: str = "none"
    ordered: bool = False
    augment: Pipeline = field(default_factory=list)
    temperature: float = 1.0
    epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    digest: str = field(default="", compare=False)

    def build(self) -> nn.Module:
        """Return the network with random weights."""
        return build_network(
            self.model,
            num_classes=len(self.class_names),
            in_channels=self.preprocess.channels,
            image_size=self.preprocess.image_size,
            **self.options,
        )

    def classifier(self, network: nn.Module) -> Classifier:
        """Return normalisation, network, temperature and softmax as one module."""
        pre = self.preprocess
        return Classifier(network, pre.mean, pre.std, FULL_SCALE[pre.dtype], self.temperature)


def save_checkpoint(path: Path, network: nn.Module, checkpoint: Checkpoint) -> None:
    """Write a checkpoint: the weights as tensors, everything else as JSON in the metadata.

    Args:
        path: The file to write.
        network: The network; its tensors keep their names.
        checkpoint: Everything else; its ``versions`` are replaced by those of this process.

    Raises:
        CnncliError: If the file cannot be written.
    """
    versions = {"cnncli": __version__, "torch": torch.__version__}
    meta = {
        "format": FORMAT,
        "model": checkpoint.model,
        "options": dict(checkpoint.options),
        "class_names": list(checkpoint.class_names),
        "freeze": checkpoint.freeze,
        "ordered": checkpoint.ordered,
        "augment": checkpoint.augment,
        "temperature": checkpoint.temperature,
        "preprocess": checkpoint.preprocess.to_dict(),
        "epoch": checkpoint.epoch,
        # Times are left out, so that the same run writes the same file.
        "metrics": {k: v for k, v in checkpoint.metrics.items() if k not in TIME_COLUMNS},
        "versions": versions,
    }
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    meta[KEY] = compute_digest(tensors, meta)
    metadata = {_KEY: json.dumps(meta, ensure_ascii=False, allow_nan=False)}

    def write(part: Path) -> None:
        try:
            save_file(tensors, part, metadata=metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error

    write_atomically(path, write)


def epoch_path(run_dir: Path, epoch: int) -> Path:
    """Return where a run keeps the checkpoint of an epoch; 0 is before the first step."""
    return run_dir / EPOCHS_FOLDER / f"{epoch:04d}.safetensors"


def list_kept_epochs(run_dir: Path) -> list[Path]:
    """Return the checkpoints of the epochs that a run has kept, the first epoch first."""
    found = (run_dir / EPOCHS_FOLDER).glob("*.safetensors")
    return sorted((p for p in found if p.stem.isdecimal()), key=lambda path: int(path.stem))


def load_checkpoint(path: Path) -> tuple[nn.Module, Checkpoint]:
    """Read a checkpoint and build its network.

    Returns:
        The network with the trained weights, in eval mode on the CPU, and everything else.

    Raises:
        CnncliError: If the file is missing, damaged, or not written by this or an earlier cnncli.
    """
    tensors, meta = _read_file(path)
    written = meta.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise CnncliError(
            f"{path}: format {clip(str(written), 20)} of a newer cnncli, this one reads up to "
            f"{FORMAT}; upgrade cnncli"
        )
    try:
        checkpoint = Checkpoint(
            model=meta["model"],
            class_names=parse_class_names(meta["class_names"]),
            preprocess=Preprocess.from_dict(meta["preprocess"]),
            options=meta["options"],
            freeze=meta["freeze"],
            ordered=meta["ordered"],
            augment=_parse_augment(meta.get("augment")),
            temperature=_parse_temperature(meta.get("temperature", 1.0)),
            epoch=meta["epoch"],
            metrics=meta["metrics"],
            versions=meta["versions"],
        )
        _check_normalisation(checkpoint.preprocess)
    except (CnncliError, KeyError, TypeError, ValueError) as error:
        raise _unusable(path, error) from error
    digest = check_digest(tensors, meta, str(path))  # before a damaged number is built
    try:
        network = checkpoint.build()
        load_tensors(network, tensors)
    except RuntimeError as error:
        why = f"its tensors are not those of {clip(checkpoint.model)}"
        raise _unusable(path, ValueError(why)) from error
    except (CnncliError, KeyError, TypeError, ValueError) as error:
        raise _unusable(path, error) from error
    return network.eval(), replace(checkpoint, digest=digest)


def _unusable(path: Path, error: Exception) -> CnncliError:
    why = clip(str(error), 200)
    if isinstance(error, KeyError):
        why = f"{why} is missing in its metadata"
    return CnncliError(f"{path}: not a checkpoint this version can use: {why}")


def _parse_augment(steps: object) -> Pipeline:
    """Return the checked steps of augmentation; the oldest checkpoints have none."""
    if not steps:
        return []
    read = parse_augment(steps)
    return [] if read == "none" else read


def _parse_temperature(value: object) -> float:
    """Return the checked temperature; older checkpoints have none, which is 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError("temperature: no number above 0")
    return float(value)


def _check_normalisation(preprocess: Preprocess) -> None:
    if len(preprocess.mean) != preprocess.channels:
        raise ValueError("no mean and std for each channel")


def _read_file(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors and the metadata of a file."""
    try:
        check_regular(path, most=MOST_OF_WEIGHTS)
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror}") from None
    # A safetensors file begins with the length of its header, any 8 bytes, then the header.
    if head[8:] != b"{" and head.startswith((b"PK", b"\x80")):
        raise CnncliError(
            f"{path}: a pickle (torch.save), which can run code when it is opened; "
            f"give the {BEST_FILE} of a run"
        )
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get(_KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RecursionError):
        raise CnncliError(
            f"{path}: not a safetensors file, or cut short; give the {BEST_FILE} of a run"
        ) from None
    if not isinstance(meta, dict):
        raise CnncliError(
            f"{path}: holds weights but not what cnncli needs to use them (classes, "
            f"preprocessing); give the {BEST_FILE} of a run"
        )
    return tensors, meta
