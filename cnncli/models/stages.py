"""Stages of a built network, whatever made it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from torch import nn

from cnncli.models.registry import find_model
from cnncli.models.tables.layout import Stage


def network_head(name: str, network: nn.Module) -> str:
    """Return the path of a built network's last layer.

    Args:
        name: As ``--model`` takes it.
        network: Built by that name.
    """
    entry = find_model(name)
    if entry.head:
        return entry.head
    head = cast(Any, network).get_classifier()  # timm's own
    return str(next(path for path, part in network.named_modules() if part is head))


def network_stages(name: str, network: nn.Module) -> tuple[Stage, ...]:
    """Return a built network's stages in forward order.

    Every parameter but those of the head and of auxiliary heads lies in exactly one.

    Args:
        name: As ``--model`` takes it.
        network: Built by that name.
    """
    entry = find_model(name)
    if not entry.stages:
        return _derive_stages(network, network_head(name, network))
    known = {path for path, _ in network.named_modules()}
    known |= {path for path, _ in network.named_parameters()}
    stages = (Stage(s.name, tuple(p for p in s.paths if p in known)) for s in entry.stages)
    # The last dense layer of a chain may be its head.
    return tuple(stage for stage in stages if stage.paths)


def _derive_stages(network: nn.Module, head: str) -> tuple[Stage, ...]:
    """Take a network's children as its stages, and those of numbered lists one by one.

    Parameters of the network itself (class tokens) and whatever comes before the first list join
    the stem; whatever comes after the last list joins the last stage.
    """
    stem = [path for path, _ in network.named_parameters(recurse=False)]
    stages: list[tuple[str, list[str]]] = [("stem", stem)]
    for name, child in network.named_children():
        for path, listed in _list_parts(name, child, head):
            if not any(True for _ in network.get_submodule(path).parameters()):
                continue
            if listed:
                stages.append((path, [path]))
            else:
                stages[-1][1].append(path)
    return tuple(Stage(name, tuple(paths)) for name, paths in stages if paths)


def _list_parts(path: str, module: nn.Module, head: str) -> Iterator[tuple[str, bool]]:
    """Yield paths of ``module`` without the head, and whether each is an item of a list."""
    if path == head:
        return
    if head.startswith(path + "."):
        for name, child in module.named_children():
            yield from _list_parts(f"{path}.{name}", child, head)
        return
    children = [name for name, _ in module.named_children()]
    if isinstance(module, nn.Sequential | nn.ModuleList) and len(children) > 1:
        yield from ((f"{path}.{name}", True) for name in children)
        return
    yield path, isinstance(module, nn.Sequential | nn.ModuleList)
