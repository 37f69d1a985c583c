"""Names in other spellings than ours: in any case, with other marks, or as others call them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cnncli.errors import clip

# What PyTorch, Keras and others call the same thing, in the form that `plain_form` returns. Only
# what means the same stands here: torch's LinearLR and ConstantLR are other schedules than ours.
_OTHER_NAMES: Mapping[str, str] = {
    "swish": "silu",
    "batchnorm": "batch",
    "batchnorm2d": "batch",
    "batchnormalization": "batch",
    "layernorm": "layer",
    "layernormalization": "layer",
    "instancenorm": "instance",
    "instancenorm2d": "instance",
    "groupnorm": "group",
    "groupnormalization": "group",
    "cosineannealing": "cosine",
    "cosineannealinglr": "cosine",
    "steplr": "step",
    "multisteplr": "multistep",
    "reducelronplateau": "plateau",
    "onecyclelr": "onecycle",
    "crossentropyloss": "cross_entropy",
    "categoricalcrossentropy": "cross_entropy",
    "sparsecategoricalcrossentropy": "cross_entropy",
    "focalloss": "focal",
    "float32": "fp32",
    "bfloat16": "bf16",
    "float16": "fp16",
    "validation": "val",
}
# The modules and the short forms of modules that people write in front of such names.
_MODULES = re.compile(
    r"((torch|torchvision|tf|tensorflow|keras|nn|optim|optimizers|lr_scheduler|losses|activations"
    r"|layers|models|functional|transforms|v2|F|A|T|iaa|imgaug|augmenters|albumentations)\.)+"
)


def find_choice(word: str, names: Iterable[str]) -> str | None:
    """Find the name that a word means: in any case, with ``-`` for ``_``, or as others call it.

    Args:
        word: What the user wrote, such as ``AdamW``, ``resnet-18`` or ``torch.optim.Adam``.
        names: The names that there are.

    Returns:
        The name as we write it; None if no name is meant, or more than one could be.
    """
    known = list(names)
    if word in known:
        return word
    # The nearest spelling first: regnet_x_1_6gf and regnet_x_16gf differ in nothing but marks.
    for form in (str.lower, _join_words, plain_form):
        found = [name for name in known if form(name) == form(word)]
        if found:
            return found[0] if len(found) == 1 else None
    other = _OTHER_NAMES.get(plain_form(word))
    return other if other in known else None


def _join_words(text: str) -> str:
    return text.strip().lower().replace("-", "_")


def plain_form(word: str) -> str:
    """Return a name in lower case, without marks, spaces, ``()`` and the module before it."""
    name = _MODULES.sub("", word.strip()[:100], count=1)
    return re.sub(r"[-_\s]", "", name.removesuffix("()").lower())


# Arguments of others' optimizers, schedulers and losses, and the flags that say the same.
_FLAGS_OF = {
    "lr": "--lr",
    "learning_rate": "--lr",
    "max_lr": "--lr",
    "momentum": "--momentum",
    "weight_decay": "--weight-decay",
    "step_size": "--lr-step",
    "gamma": "--lr-gamma",
    "label_smoothing": "--label-smoothing",
}


def respell_call(flag: str, text: str, names: Iterable[str]) -> str:
    """Return how to write ``SGD(lr=0.01)`` in flags, as the end of an error.

    Args:
        flag: The flag that got the text, such as ``--optimizer``.
        text: The text.
        names: The names that the flag takes.

    Returns:
        ``"; write --optimizer sgd --lr 0.01"``, or an empty text where it is no such call.
    """
    known = list(names)
    match = re.fullmatch(r"([\w.]{1,60})\((.{0,200})\)", text.strip())
    name = find_choice(match[1], known) if match else None
    if match is None or name is None:
        return ""
    given = dict(re.findall(r"(\w+)\s*=\s*([-+.\w]+)", match[2]))
    if name == "sgd" and "momentum" in known and _float_of(given.get("momentum")):
        name = "nesterov" if given.get("nesterov") == "True" else "momentum"
    flags = [f"{_FLAGS_OF[key]} {value}" for key, value in given.items() if key in _FLAGS_OF]
    return f"; write {' '.join([flag, name, *flags])}"


def _float_of(text: str | None) -> float:
    """Return the number that a text is, 0 where it is none."""
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def tell_taken(where: str, word: object, taken: object) -> str:
    """Return what to tell the user of a word that was taken for a name.

    Args:
        where: The flag or the key.
        word: What the user wrote.
        taken: The value that was taken.

    Returns:
        A line, or an empty text if the word is that name, whatever its case.
    """
    if not isinstance(word, str) or not isinstance(taken, str) or word.lower() == taken.lower():
        return ""
    return f"{where} {clip(word)}: taken as {taken}"
