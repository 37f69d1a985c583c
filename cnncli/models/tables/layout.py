"""What is known of a network before it is built: the paths of its stem, stages and head.

A path is a dotted name as in ``named_modules``; no torch is imported. A stage lists paths of
modules or single parameters in the order of the forward pass. Together the stages hold each
parameter once, except those of the head and of auxiliary heads, and each dropout layer except the
one directly before the head, which acts on the finished features.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A part of the backbone that is frozen or trained as a whole.

    Attributes:
        name: Name that ``--freeze until:NAME`` takes; the first stage is called ``stem``.
        paths: Dotted paths of its modules and parameters, in the order of the forward pass.
    """

    name: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class ModuleLayout:
    """What the networks of one family have in common.

    Attributes:
        stem: Path of the first convolution; empty if it is unknown or there is none.
        head: Path of the last layer: a linear layer or, in SqueezeNet, a 1×1 convolution. Empty if
            it is unknown.
        about: Description of one line, for lists.
        stem_norm: Path of the normalisation directly behind the first convolution; None if that
            convolution has a bias.
        head_dropout: Path of the dropout layer directly before the head, or None.
        head_activation: Path of the activation behind the head, as in SqueezeNet, or None.
        aux_heads: Paths of the auxiliary heads, which act in training only.
        batch_norm: Whether the networks have BatchNorm layers.
        min_size: Smallest side in pixels that an image may have.
        size_multiple: Number of pixels of which both sides of an image must be multiples.
        square: Whether height and width of an image must be equal.
        keep: Parts of paths. Activations and norms below a path that contains one of them are not
            exchanged by ``--activation`` and ``--norm``: the gates of squeeze-excite blocks,
            Swin's position bias, and layers on pooled values or logits.
    """

    stem: str
    head: str
    about: str
    stem_norm: str | None = None
    head_dropout: str | None = None
    head_activation: str | None = None
    aux_heads: tuple[str, ...] = ()
    batch_norm: bool = True
    min_size: int = 1
    size_multiple: int = 1
    square: bool = False
    keep: tuple[str, ...] = ()
