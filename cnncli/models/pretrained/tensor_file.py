"""Read a file of weights: its metadata, and its tensors under the names that the network uses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from cnncli.errors import CnncliError
from cnncli.models.registry import ModelEntry

# What reading a damaged file raises: the unpickler runs any bytes as its program.
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

# Keys under which training scripts save the weights, and prefixes that wrappers add to names.
_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "network")
_PREFIXES = ("module.", "_orig_mod.", "network.", "model.")

# torchvision's DenseNet files have names from a time when names could hold dots: ``norm.1`` is now
# ``norm1``.
# Source: ``torchvision.models.densenet._load_state_dict``.
_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$"
)


def read_meta(path: Path) -> dict[str, Any]:
    """Return the metadata that a run saved beside its tensors; empty for other files.

    Raises:
        CnncliError: If the file is called ``.safetensors`` and is not of that format.
    """
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("cnncli", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise CnncliError(f"--weights {path}: not safetensors, or cut short ({error})") from None
    return meta if isinstance(meta, dict) else {}


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by the names they have in it, without prefixes of wrappers.

    Raises:
        CnncliError: If the file is damaged, holds more than tensors or holds no tensors.
    """
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


def unwrap(loaded: object, where: str) -> dict[str, torch.Tensor]:
    """Find the state dict in what ``torch.load`` returned.

    Args:
        loaded: A state dict, or nested mappings that hold one.
        where: Name of the file, for the message.

    Returns:
        Tensors by name, without the prefixes of wrappers.

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
    """Return the tensors of a file under the names that the network uses.

    Args:
        tensors: Tensors by the names in the file.
        entry: The network's entry in the registry.
    """
    if entry.family != "densenet":
        return dict(tensors)
    return {_DENSENET.sub(r"\1\2", name): tensor for name, tensor in tensors.items()}
