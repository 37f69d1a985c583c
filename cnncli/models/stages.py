"""The head and the stages of a built network, from the registry or from the network itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from torch import nn

from cnncli.errors import CnncliError
from cnncli.models.registry import find_model
from cnncli.models.tables.layout import Stage


def network_head(name: str, network: nn.Module) -> str:
    """Return the path of a built network's last layer.

    Args:
        name: Name that ``--model`` takes.
        network: The network that was built by that name.

    Raises:
        CnncliError: If it has several heads, whose answers it joins.
    """
    entry = find_model(name)
    if entry.head:
        return entry.head
    head = cast(Any, network).get_classifier()  # all networks of timm have this method
    if isinstance(head, tuple):
        raise CnncliError(
            f"--model {name}: has {len(head)} heads, as distilled networks have; use one with a "
            "single head"
        )
    return str(next(path for path, part in network.named_modules() if part is head))


def network_stages(name: str, network: nn.Module) -> tuple[Stage, ...]:
    """Return a built network's stages in forward order.

    Every parameter lies in exactly one stage, except those of the head and of auxiliary heads.

    Args:
        name: Name that ``--model`` takes.
        network: The network that was built by that name.
    """
    entry = find_model(name)
    if not entry.stages:
        return _derive_stages(network, network_head(name, network))
    known = {path for path, _ in network.named_modules()}
    known |= {path for path, _ in network.named_parameters()}
    stages = (Stage(s.name, tuple(p for p in s.paths if p in known)) for s in entry.stages)
    # In a network written by hand, the last dense layer may be the head: its stage is then empty.
    return tuple(stage for stage in stages if stage.paths)


def _derive_stages(network: nn.Module, head: str) -> tuple[Stage, ...]:
    """Derive stages from the children of a network, for networks of timm.

    Each item of a list of modules (``nn.Sequential`` or ``nn.ModuleList``) is a stage. Children
    before the first list, and parameters of the network itself such as class tokens, belong to the
    stem; other children belong to the stage before them.
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
    """Yield the paths of a module's parts without the head, and whether each is a list's item."""
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
