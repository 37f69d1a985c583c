"""Names of tensors in files made elsewhere, brought to those of our networks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pickle import UnpicklingError
from typing import Any

import torch

from cnncli.errors import CnncliError
from cnncli.models.registry import ModelEntry

NAMES_SHOWN = 3  # names in a message before "and N more"

# What reading a damaged file raises; the unpickler takes any bytes for its program.
DAMAGED = (
    OSError,
    RuntimeError,
    EOFError,
    UnpicklingError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)

# Where training scripts put the weights in what they save, and what wrappers put before names.
_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "network")
_PREFIXES = ("module.", "_orig_mod.", "network.", "model.")

# torchvision's DenseNet files are of a time when names could hold dots: norm.1 is norm1 now.
# Source: ``torchvision.models.densenet._load_state_dict``.
_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$"
)


def unwrap(loaded: object, where: str) -> dict[str, torch.Tensor]:
    """Return the tensors of what ``torch.load`` gave.

    Raises:
        CnncliError: If there is no state dict in it.
    """
    for _ in range(3):
        if not isinstance(loaded, Mapping):
            break
        tensors: dict[str, Any] = {
            str(key): value for key, value in loaded.items() if isinstance(value, torch.Tensor)
        }
        inner = next((loaded[key] for key in _KEYS if isinstance(loaded.get(key), Mapping)), None)
        if inner is None and tensors:
            return _without_prefix(tensors)
        loaded = inner
    raise CnncliError(f"--weights {where}: no state dict in it (tensors by name)")


def _without_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def rename(tensors: dict[str, torch.Tensor], entry: ModelEntry) -> dict[str, torch.Tensor]:
    """Return the tensors under the names that the network has today."""
    if entry.family != "densenet":
        return dict(tensors)
    return {_DENSENET.sub(r"\1\2", name): tensor for name, tensor in tensors.items()}
