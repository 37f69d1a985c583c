"""What is known of a network before it is built: where stem, stages and head lie; no torch.

A stage names modules or bare parameters by path, in forward order. Together the stages hold every
parameter but those of the head and of auxiliary heads, each once, and every dropout but the one
right before the head, which acts on the finished features.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A part of the backbone that is frozen or trained as a whole.

    Attributes:
        name: ``stem`` for the first.
        paths: Of modules or parameters, dotted, in forward order.
    """

    name: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class ModuleLayout:
    """What a family shares.

    Attributes:
        stem: Path of the first convolution.
        stem_norm: Path of the normalisation right behind it, where that convolution has no bias.
        head: Path of the last layer, linear or (SqueezeNet) a 1×1 convolution.
        head_dropout: Path of the dropout right before the head, or None.
        aux_heads: Paths of the auxiliary heads, which act in training only.
        batch_norm: Whether the family holds BatchNorm; VGG differs by name.
        min_size: Smallest side in pixels.
        size_multiple: Sides are multiples of it.
        square: Height and width must be equal.
        keep: Last words of paths whose activations and norms are no choice: gates of
            squeeze-excite blocks, Swin's position bias, what stands on pooled values or logits.
        about: One line for lists.
    """

    stem: str
    head: str
    about: str
    stem_norm: str | None = None
    head_dropout: str | None = None
    aux_heads: tuple[str, ...] = ()
    batch_norm: bool = True
    min_size: int = 1
    size_multiple: int = 1
    square: bool = False
    keep: tuple[str, ...] = ()
