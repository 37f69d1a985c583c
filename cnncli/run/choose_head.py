"""How a run's head begins: fitted to features at once, or trained by epochs."""

from __future__ import annotations

from dataclasses import dataclass

from cnncli.choices import HeadStart
from cnncli.config import RunConfig, flag_name
from cnncli.errors import CnncliError
from cnncli.models.registry import find_model

# Settings that the fit cannot follow, and the values at which they change nothing.
_NOT_FITTED: dict[str, tuple[object, ...]] = {
    "loss": ("cross_entropy",),
    "mixup": (0,),
    "cutmix": (0,),
    "label_smoothing": (None, 0),
    "l1": (0,),
    "elastic_net": (None,),
    "unfreeze_at": ([],),
}
# Settings of the epochs. With a frozen backbone a fitted head has none.
_OF_EPOCHS: dict[str, tuple[object, ...]] = {
    "epochs": (None,),
    "optimizer": ("adamw",),
    "augment": (None,),
    "lr": (None,),
    "momentum": (None,),
    "scheduler": ("cosine",),
    "warmup": (None,),
    "weight_decay": (None,),
    "dropout": (None,),
    "ema": (0,),
    "patience": (None,),
}


@dataclass(frozen=True)
class HeadChoice:
    """How the head begins, and what follows.

    Attributes:
        start: ``fit`` or ``epochs``.
        freeze: The freeze policy of the epochs; None leaves it to the number of images.
        why: The line for the user where a flag keeps the head from being fitted; else empty.
    """

    start: HeadStart
    freeze: str | None
    why: str = ""

    def describe(self) -> str:
        """Return the stages of the run in one line."""
        if self.start == "epochs":
            return "one stage: head and backbone by epochs, as --freeze says"
        if self.freeze == "backbone":
            return "one stage: head, fitted to features of the frozen backbone"
        rest = "all weights" if self.freeze == "none" else f"what --freeze {self.freeze} leaves"
        return (
            f"two stages: head, fitted to features; all, {rest} by epochs from there; val says "
            "which of the two is kept"
        )


def choose_head(config: RunConfig) -> HeadChoice:
    """Decide how the head begins, as far as the flags decide it.

    Args:
        config: The settings that the user gave.

    Raises:
        CnncliError: If a fit is asked for, and another setting does not allow it.
    """
    if config.head == "epochs":
        return HeadChoice("epochs", config.freeze)
    wanted = config.head == "fit"
    freeze = config.freeze or "none"
    if config.weights == "none":
        if wanted:
            raise CnncliError("--head fit: a fit needs --weights; random features tell too little")
        return HeadChoice("epochs", config.freeze)
    if config.freeze not in (None, "backbone") and not wanted:
        return HeadChoice("epochs", config.freeze)
    found = [] if wanted or config.freeze is None else _given(config, _OF_EPOCHS)
    found += _given(config, _NOT_FITTED)
    if find_model(config.model).aux_heads:
        found.append(f"--model {config.model}, whose auxiliary heads are trained too")
    if not found:
        return HeadChoice("fit", freeze)
    if wanted:
        raise CnncliError(
            f"--head fit: does not go together with {found[0]}; leave one of them out"
        )
    return HeadChoice("epochs", config.freeze, explain_epochs(" and ".join(found)))


def explain_epochs(reason: str) -> str:
    """Return the line that says why a head is not fitted."""
    return f"the head is trained by epochs, not fitted: {reason}"


def _given(config: RunConfig, table: dict[str, tuple[object, ...]]) -> list[str]:
    """Return the flags of a table that were given a value other than those that change nothing."""
    names = [name for name, idle in table.items() if getattr(config, name) not in idle]
    return [
        flag_name(name) if name in ("augment", "unfreeze_at") else _show(config, name)
        for name in names
    ]


def _show(config: RunConfig, name: str) -> str:
    value = getattr(config, name)
    return (
        f"{flag_name(name)} {value:g}" if isinstance(value, float) else f"{flag_name(name)} {value}"
    )
