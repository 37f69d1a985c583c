"""The network of the run whose weights a new run starts from, where the user names no other."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from cnncli.config.settings import RunConfig
from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, expand_path
from cnncli.models.registry import AUTO, MODELS, names_several
from cnncli.training.find_run import find_by_name, tell_runs_inside

DEFAULT = "default"  # of --weights: those that torchvision offers first
# What else decides which tensors a network has, and what they do.
_OPTIONS = ("activation", "norm")


def take_network(config: RunConfig) -> tuple[RunConfig, str]:
    """Return the settings with the network that ``--weights RUN`` is of, unless another was given.

    Where ``--model`` leaves the network open, only the runs are found that ``--weights`` names.

    Args:
        config: The settings; those that the user gave are in its ``model_fields_set``.

    Returns:
        The settings, and a line that says what was taken; it is empty where nothing was.

    Raises:
        CnncliError: If ``--weights`` names a part of several runs, or a folder of runs.
    """
    if config.weights in ("none", DEFAULT):
        return config, ""
    if names_several(config.model):
        return _find_runs(config)
    config, named = _find_run(config)
    if "model" in config.model_fields_set:
        return config, named
    meta = _read_meta(config.weights)
    if not isinstance(meta.get("model"), str):
        return config, named
    options = meta.get("options") or {}
    taken = {"model": meta["model"]} | {
        name: options[name]
        for name in _OPTIONS
        if options.get(name) and name not in config.model_fields_set
    }
    told = ", ".join(f"--{name} {value}" for name, value in taken.items())
    told += f": the network of --weights {config.weights}"
    return config.model_copy(update=taken), f"{named}; {told}".removeprefix("; ")


def are_names(weights: Sequence[str]) -> bool:
    """Return whether weights are named as torchvision names its own."""
    known = {DEFAULT, *(w.name.lower() for entry in MODELS.values() for w in entry.weights)}
    return known.issuperset(text.lower() for text in weights)


def split_weights(text: str) -> list[str]:
    """Return the parts of a list ``A.pth,B.pth``; the path of a file may have commas."""
    if "," not in text or expand_path(text).exists():
        return [text]
    return [part.strip() for part in text.split(",") if part.strip()] or [text]


def _find_runs(config: RunConfig) -> tuple[RunConfig, str]:
    """Do what `_find_run` does with each part of a list."""
    parts = split_weights(config.weights)
    found = [_find_run(config.model_copy(update={"weights": part})) for part in parts]
    told = "; ".join(named for _, named in found if named)
    return config.model_copy(update={"weights": ",".join(one.weights for one, _ in found)}), told


def _find_run(config: RunConfig) -> tuple[RunConfig, str]:
    """Return the settings with the path of the run that ``--weights`` names, and that in words.

    The settings of a run hold the path, so that they mean the same run tomorrow.

    Raises:
        CnncliError: If several runs could be meant or are given, or if the path is that of a folder
            of runs.
    """
    given, where = config.weights, f"--weights {config.weights}"
    path = expand_path(given)
    if os.path.lexists(path):
        inside = tell_runs_inside(path)
        if inside:
            raise CnncliError(f"{where}: {inside}")
        return config, ""
    if are_names([given]):
        return config, ""
    run = find_by_name(given, where)
    if run is None:
        parts = split_weights(given)
        if len(parts) > 1 and all(expand_path(part).exists() for part in parts):
            raise CnncliError(f"{where}: several files; with --model {AUTO} the best one is taken")
        return config, ""
    return config.model_copy(update={"weights": str(run)}), f"{where}: {run}"


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
