"""``best.safetensors``, all that predict and evaluate need, and ``last.pt``.

Nothing is ever unpickled from a file a user hands in: safetensors holds tensors and text only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from cnncli import __version__
from cnncli.augmentation.notation import Pipeline, parse_augment
from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, write_atomically
from cnncli.images.preprocess import FULL_SCALE, Preprocess
from cnncli.models.build import Classifier, build_network
from cnncli.models.pretrained.weights import load_tensors
from cnncli.training.history import TIME_COLUMNS

FORMAT = 2
_KEY = "cnncli"


@dataclass(frozen=True)
class Checkpoint:
    """What a trained classifier is, but for its weights.

    Attributes:
        model: Name in the registry.
        class_names: K names, in the order of the logits.
        preprocess: Exactly what turns a file into the network's input.
        options: What was changed in the network: activation, norm, dropout.
        freeze: The policy that was in force when these weights were trained.
        ordered: Whether the order of the classes means something.
        augment: The steps that training images went through; empty for none.
        epoch: The epoch the weights are of, from 1.
        metrics: That epoch's row of ``metrics.csv``.
        versions: Of what wrote it.
    """

    model: str
    class_names: tuple[str, ...]
    preprocess: Preprocess
    options: Mapping[str, Any] = field(default_factory=dict)
    freeze: str = "none"
    ordered: bool = False
    augment: Pipeline = field(default_factory=list)
    epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Build the network, untrained."""
        return build_network(
            self.model,
            num_classes=len(self.class_names),
            in_channels=self.preprocess.channels,
            image_size=self.preprocess.image_size,
            **self.options,
        )

    def classifier(self, network: nn.Module) -> Classifier:
        """Return normalise + network + softmax as one module."""
        pre = self.preprocess
        return Classifier(network, pre.mean, pre.std, FULL_SCALE[pre.dtype])


def save_checkpoint(path: Path, network: nn.Module, checkpoint: Checkpoint) -> None:
    """Write weights, under the network's own tensor names, and everything else as metadata."""
    versions = {"cnncli": __version__, "torch": torch.__version__}
    meta = {
        "format": FORMAT,
        "model": checkpoint.model,
        "options": dict(checkpoint.options),
        "class_names": list(checkpoint.class_names),
        "freeze": checkpoint.freeze,
        "ordered": checkpoint.ordered,
        "augment": checkpoint.augment,
        "preprocess": checkpoint.preprocess.to_dict(),
        "epoch": checkpoint.epoch,
        # Without times, the same run gives the same file.
        "metrics": {k: v for k, v in checkpoint.metrics.items() if k not in TIME_COLUMNS},
        "versions": versions,
    }
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    metadata = {_KEY: json.dumps(meta, ensure_ascii=False, allow_nan=False)}

    def write(part: Path) -> None:
        try:
            save_file(tensors, part, metadata=metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error

    write_atomically(path, write)


def load_checkpoint(path: Path) -> tuple[nn.Module, Checkpoint]:
    """Read a checkpoint and build its network, in eval mode on the CPU.

    Raises:
        CnncliError: If the file is missing, damaged, not safetensors, or not of ours.
    """
    tensors, meta = _read(path)
    written = meta.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise CnncliError(
            f"--checkpoint {path}: format {written} of a newer cnncli, this one reads up to "
            f"{FORMAT}; upgrade cnncli"
        )
    try:
        checkpoint = Checkpoint(
            model=meta["model"],
            class_names=tuple(meta["class_names"]),
            preprocess=Preprocess.from_dict(meta["preprocess"]),
            options=meta["options"],
            freeze=meta["freeze"],
            ordered=meta["ordered"],
            augment=_read_augment(meta.get("augment")),
            epoch=meta["epoch"],
            metrics=meta["metrics"],
            versions=meta["versions"],
        )
        _check_normalisation(checkpoint.preprocess)
        network = checkpoint.build()
        load_tensors(network, tensors)
    except (CnncliError, KeyError, TypeError, ValueError, RuntimeError) as error:
        first = str(error).split("\n")[0]
        if isinstance(error, KeyError):
            first = f"{first} is missing in its metadata"
        raise CnncliError(
            f"--checkpoint {path}: not a checkpoint this version can use: {first}"
        ) from error
    return network.eval(), checkpoint


def _read_augment(steps: object) -> Pipeline:
    """Read and check the steps; files written before there were any have none."""
    if not steps:
        return []
    read = parse_augment(steps)
    return [] if read == "none" else read


def _check_normalisation(preprocess: Preprocess) -> None:
    if len(preprocess.mean) != preprocess.channels:
        raise ValueError("no mean and std for each channel")


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CnncliError(f"--checkpoint {path}: {error.strerror}") from None
    # A safetensors file begins with the length of its header, any 8 bytes, then the header.
    if head[8:] != b"{" and head.startswith((b"PK", b"\x80")):
        raise CnncliError(
            f"--checkpoint {path}: a pickle (torch.save), which can run code when it is opened; "
            f"give the {BEST_FILE} of a run"
        )
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get(_KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise CnncliError(
            f"--checkpoint {path}: not a safetensors file, or cut short ({error}); "
            f"give the {BEST_FILE} of a run"
        ) from None
    if not isinstance(meta, dict):
        raise CnncliError(
            f"--checkpoint {path}: holds weights but not what cnncli needs to use them (classes, "
            f"preprocessing); give the {BEST_FILE} of a run"
        )
    return tensors, meta


def find_checkpoint(given: str | None, output: str = "runs") -> tuple[Path, bool]:
    """Find the checkpoint that ``--checkpoint`` names.

    Args:
        given: A run folder or a file; None for the newest run in ``output``.
        output: The folder of run folders.

    Returns:
        The file, and whether it was chosen as the newest.

    Raises:
        CnncliError: If there is none.
    """
    if given is not None:
        path = Path(given).expanduser()
        if path.is_dir():
            path = path / BEST_FILE
        if not path.is_file():
            raise CnncliError(f"--checkpoint {given}: no such run folder or file ({path})")
        return path, False
    found = sorted(Path(output).glob(f"*/{BEST_FILE}"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise CnncliError(
            f"no run in {output}/: train one (cnncli train --data FOLDER) or name one with "
            "--checkpoint"
        )
    return found[-1], True
