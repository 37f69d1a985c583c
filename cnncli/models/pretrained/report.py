"""What became of the tensors of pretrained weights, and whether enough of them fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from cnncli.errors import CnncliError, count_of, shorten
from cnncli.models.registry import ModelEntry, short_name
from cnncli.models.stages import network_head

NAMES_SHOWN = 3  # names in a message before "and N more"
# What the profiler thop leaves in every module of a network that it has counted; no layer reads it.
_COUNTERS = (".total_ops", ".total_params")


@dataclass(frozen=True)
class WeightsReport:
    """Which tensors were loaded and which were not.

    Attributes:
        source: Name of the weights in messages.
        loaded: Names of the network's tensors that were loaded.
        dropped: Names of the file's tensors that were not used, because they have another shape
            (as the head has if the number of classes differs), belong to other classes, are unknown
            to the network or are not finite.
        missing: Names of the network's parameters and statistics that were not loaded.
        adapted: Names of loaded tensors that were changed before: first layer, position
            embeddings.
        head: A clause on what was done with the head because of its classes; empty for nothing.
    """

    source: str
    loaded: tuple[str, ...]
    dropped: tuple[str, ...]
    missing: tuple[str, ...]
    adapted: tuple[str, ...]
    head: str = ""

    def line(self) -> str:
        """Return one line of text for the user."""
        parts = [f"weights {self.source}: {count_of(len(self.loaded), 'tensor')} loaded"]
        for words, names in (
            ("adapted", self.adapted),
            ("dropped", self.dropped),
            ("left as they were", self.missing),
        ):
            if names:
                parts.append(f"{len(names)} {words} ({shorten(names, NAMES_SHOWN)})")
        return ", ".join(parts) + f"; {self.head}" * bool(self.head)


def refuse_poor_fit(
    report: WeightsReport,
    network: nn.Module,
    entry: ModelEntry,
    known: Iterable[str],
    model: str | None,
) -> None:
    """Refuse a file that fits less than half of the network's parameters outside its heads.

    Args:
        report: What fits.
        network: The network.
        entry: The network's entry in the registry.
        known: Names of the file's tensors, without prefixes.
        model: The network that the file says its weights are of; None if it does not say.

    Raises:
        CnncliError: If less than half fits.
    """
    head = network_head(entry.name, network)
    apart = tuple(f"{path}." for path in (head, *entry.aux_heads))
    names = [name for name, _ in network.named_parameters() if not name.startswith(apart)]
    filled = sum(name in report.loaded for name in names)
    if 2 * filled >= len(names) and report.loaded:
        return
    short, theirs = short_name(entry.name), list(known)
    if model is None and not set(names) & set(theirs):
        raise CnncliError(
            f"--weights {report.source}: none of its tensors has a name of {short}'s: it has "
            f"{shorten(theirs, NAMES_SHOWN)}, {short} has {shorten(names, NAMES_SHOWN)}; "
            "rename them, or name the model they are of with --model"
        )
    of = "" if model is None else f" (they are of {short_name(model)})"
    raise CnncliError(
        f"--weights {report.source}: only {filled} of {count_of(len(names), 'tensor')} fit "
        f"{short}{of}; "
        "name the model they are of with --model"
    )


def refuse_other_network(report: WeightsReport, network: nn.Module, model: str) -> None:
    """Refuse weights to answer with that are not all of a network, or more than it has.

    Args:
        report: What fits.
        network: The network.
        model: Its name in messages.

    Raises:
        CnncliError: If a tensor of the network is not in the file or cannot be used, or if the file
            has more layers within a part of the network, as those of a ResNet-34 for a ResNet-18.
    """
    where = f"--weights {report.source}"
    unusable = [name for name in report.missing if name in report.dropped]
    if unusable:
        raise CnncliError(
            f"{where}: tensors of {model} in it have another shape, or hold NaN or infinity, and "
            f"cannot be used: {shorten(unusable, NAMES_SHOWN)}"
        )
    if report.missing:
        raise CnncliError(
            f"{where}: not all of {model} is in it, and what is missing would be random: "
            f"{shorten(report.missing, NAMES_SHOWN)}"
        )
    parts = {name for name, _ in network.named_children()}
    more = [
        name
        for name in report.dropped
        if name.split(".")[0] in parts and not name.endswith(_COUNTERS)
    ]
    if more:
        raise CnncliError(
            f"{where}: has {count_of(len(more), 'tensor')} that {model} has not "
            f"({shorten(more, NAMES_SHOWN)}), so it is of another network; name that one with "
            "--model"
        )
