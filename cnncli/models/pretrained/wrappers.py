"""Finds a network's state dict in the file of a training script, whatever it is wrapped in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from cnncli.errors import CnncliError, shorten

Tensors = dict[str, torch.Tensor]

# Keys under which training scripts save the weights, the first one that is there.
_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "network")
# Mappings within mappings in which a state dict is looked for.
_DEPTH = 4


def unwrap(loaded: object, where: str) -> Tensors:
    """Find the state dict in what ``torch.load`` returned.

    Args:
        loaded: A state dict, or nested mappings that hold one.
        where: Name of the file, for the message.

    Returns:
        Tensors by the names they have in the file.

    Raises:
        CnncliError: If there is no state dict in it, or if there are several.
    """
    for _ in range(_DEPTH):
        if not isinstance(loaded, Mapping):
            break
        tensors = _tensors_in(loaded)
        key = _usual_key(loaded)
        if key is None and tensors:
            return tensors
        if key is None:
            inner = [
                name
                for name, part in loaded.items()
                if isinstance(part, Mapping) and (_tensors_in(part) or _usual_key(part))
            ]
            key = inner[0] if inner else None
        else:
            inner = [key, *_find_copies(loaded, key)]
        if len(inner) > 1:
            names = shorten([str(name) for name in inner])
            raise CnncliError(
                f"--weights {where}: holds several state dicts ({names}); save the one to "
                "start from in a file of its own"
            )
        loaded = None if key is None else loaded[key]
    raise CnncliError(f"--weights {where}: no state dict in it (tensors by name)")


def _usual_key(loaded: Mapping[Any, Any]) -> str | None:
    return next((key for key in _KEYS if isinstance(loaded.get(key), Mapping)), None)


def _find_copies(loaded: Mapping[Any, Any], key: str) -> list[Any]:
    """Return the keys of other state dicts of the network at ``key``, such as its moving average.

    Most of their tensors have the names of its tensors, perhaps with a prefix.
    """
    names = set(_names_in(loaded[key]))
    copies = []
    for other, part in loaded.items():
        theirs = [] if other == key else list(_names_in(part))
        known = sum(
            any(name.split(".", cut)[-1] in names for cut in range(name.count(".") + 1))
            for name in theirs
        )
        if theirs and 2 * known > len(theirs):
            copies.append(other)
    return copies


def _names_in(part: object) -> Iterator[str]:
    """Yield the names of all tensors in nested mappings."""
    for name, value in part.items() if isinstance(part, Mapping) else ():
        if isinstance(value, torch.Tensor):
            yield str(name)
        yield from _names_in(value)


def _tensors_in(loaded: Mapping[Any, Any]) -> Tensors:
    return {str(key): value for key, value in loaded.items() if isinstance(value, torch.Tensor)}


def strip_prefix(
    tensors: Tensors, own: Iterable[str], where: str
) -> tuple[Tensors, tuple[str, ...]]:
    """Take away what wrappers have put in front of a network's names, such as ``model.module.``.

    The prefix is the one with which most of the network's names are in the file.

    Args:
        tensors: Tensors by the names they have in the file.
        own: Names of the network's tensors.
        where: Name of the file, for the message.

    Returns:
        Tensors by the network's names, and the names of tensors without the prefix, which are left
        out.

    Raises:
        CnncliError: If the network is in the file twice.
    """
    names = set(own)
    counts: Counter[str] = Counter()
    for name in tensors:
        if name in names:
            counts[""] += 1
        dot = name.find(".")
        while dot >= 0:
            if name[dot + 1 :] in names:
                counts[name[: dot + 1]] += 1
            dot = name.find(".", dot + 1)
    most = max(counts.values(), default=0)
    if counts[""] == most:
        return tensors, ()
    found = [prefix for prefix, count in counts.items() if 2 * count >= most]
    if len(found) > 1 and 2 * most >= len(names):
        raise CnncliError(
            f"--weights {where}: the network is in it more than once ({shorten(found)}); save the "
            "one to start from in a file of its own"
        )
    prefix = max(counts, key=lambda name: counts[name])
    inside = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    return inside, tuple(name for name in tensors if not name.startswith(prefix))
