"""The network of the run whose weights a new run starts from, where the user names no other."""

from __future__ import annotations

import json
from typing import Any

from cnncli.config.settings import RunConfig
from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, expand_path

# What else decides which tensors a network has, and what they do.
_OPTIONS = ("activation", "norm")


def take_network(config: RunConfig) -> tuple[RunConfig, str]:
    """Return the settings with the network that ``--weights RUN`` is of, unless another was given.

    Args:
        config: The settings; those that the user gave are in its ``model_fields_set``.

    Returns:
        The settings, and a line that says what was taken; it is empty where nothing was.
    """
    if "model" in config.model_fields_set or config.weights in ("none", "default"):
        return config, ""
    meta = _read_meta(config.weights)
    if not isinstance(meta.get("model"), str):
        return config, ""
    options = meta.get("options") or {}
    taken = {"model": meta["model"]} | {
        name: options[name]
        for name in _OPTIONS
        if options.get(name) and name not in config.model_fields_set
    }
    told = ", ".join(f"--{name} {value}" for name, value in taken.items())
    return config.model_copy(update=taken), f"{told}: the network of --weights {config.weights}"


def _read_meta(weights: str) -> dict[str, Any]:
    """Return the metadata of a run's checkpoint; none for all other weights."""
    from safetensors import SafetensorError, safe_open

    try:
        path = expand_path(weights)
        path = path / BEST_FILE if path.is_dir() else path
        if path.suffix != ".safetensors" or not path.is_file():
            return {}
        with safe_open(path, framework="numpy") as file:
            meta = json.loads((file.metadata() or {}).get("cnncli", "{}"))
    # What is wrong with the file is told where its tensors are read.
    except (CnncliError, SafetensorError, OSError, ValueError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) else {}
