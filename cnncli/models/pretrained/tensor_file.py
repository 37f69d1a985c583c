"""Read a file of weights: its metadata, and its tensors under the names that the network uses."""

from __future__ import annotations

import errno
import json
import re
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from cnncli.errors import CnncliError, shorten
from cnncli.files import BEST_FILE
from cnncli.models.pretrained.digest import KEY, check_digest, is_whole
from cnncli.models.pretrained.wrappers import unwrap
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

# torchvision's DenseNet files have names from a time when names could hold dots: ``norm.1`` is now
# ``norm1``.
# Source: ``torchvision.models.densenet._load_state_dict``.
_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$"
)


def read_meta(path: Path) -> dict[str, Any]:
    """Return the metadata that a run saved beside its tensors; empty for other files.

    Raises:
        CnncliError: If the file is called ``.safetensors`` and is not of that format, or if its
            metadata cannot be of a run.
    """
    if path.suffix != ".safetensors":
        return {}
    where = f"--weights {path}"
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("cnncli", "{}"))
        if not isinstance(meta, dict) or (path.name == BEST_FILE and not meta):
            raise ValueError("no metadata of a run in it")  # noqa: TRY301 - reported below
        if "class_names" in meta:
            parse_class_names(meta["class_names"])
        if KEY in meta:
            check_digest(read_safetensors(path), meta, where)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        ours = isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError)
        why = f" ({error})" if ours else ""
        raise CnncliError(
            f"{where}: not safetensors, or damaged{why}; copy it again from where it is whole"
        ) from None
    return meta


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file by name; raises SafetensorError or OSError."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def parse_class_names(names: object) -> tuple[str, ...]:
    """Return the names of classes from the metadata of a checkpoint.

    Raises:
        ValueError: If they are not a list of different texts.
    """
    if not isinstance(names, list) or not names:
        raise ValueError("its class_names are not a list of names")
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError("not all of its class_names are texts")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"its class_names have {shorten(twice)} more than once")
    return tuple(names)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by the names they have in it.

    Raises:
        CnncliError: If the file is damaged, holds more than tensors or holds no tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return read_safetensors(path)
        if not is_whole(path):  # the last.pt of a run
            raise CnncliError(
                f"--weights {path}: damaged: what is in it is not what was written (another "
                "digest); copy it again from where it is whole"
            )
        loaded = load_pickle(path)
    except UnpicklingError:
        raise CnncliError(
            f"--weights {path}: holds more than tensors, or is damaged; a pickle can run code when "
            "it is opened, so only plain state dicts are read (torch.save(network.state_dict(), …))"
        ) from None
    except (SafetensorError, *DAMAGED) as error:
        raise CnncliError(
            f"--weights {path}: no weights can be read from it: {describe_damage(error)}"
        ) from None
    return unwrap(loaded, str(path))


def describe_damage(error: Exception) -> str:
    """Return in a few words why a file of tensors cannot be read."""
    if isinstance(error, SafetensorError):
        return "it is no safetensors file, or cut short"
    if isinstance(error, OSError) and error.strerror and error.errno != errno.EINVAL:
        return error.strerror
    if isinstance(error, EOFError | OSError) or "central directory" in str(error):
        return "it is cut short"
    return "it is not what torch.save writes"


def load_pickle(path: Path) -> Any:
    """Return the tensors, numbers, texts, lists and dicts of a file that ``torch.save`` wrote.

    Nothing else is loaded, so that no code that the file may hold is run. torch's own warnings are
    not printed: they advise to load the rest, too.

    Raises:
        UnpicklingError: If it holds anything else.
        OSError: If it cannot be read. A damaged file raises any of ``DAMAGED``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except RuntimeError as error:
            if "weights_only" in str(error):  # an archive of TorchScript, which is a program
                raise UnpicklingError from None
            raise


def rename(tensors: dict[str, torch.Tensor], entry: ModelEntry) -> dict[str, torch.Tensor]:
    """Return the tensors of a file under the names that the network uses.

    Args:
        tensors: Tensors by the names in the file.
        entry: The network's entry in the registry.
    """
    if entry.family != "densenet":
        return dict(tensors)
    return {_DENSENET.sub(r"\1\2", name): tensor for name, tensor in tensors.items()}
