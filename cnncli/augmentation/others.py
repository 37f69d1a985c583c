"""How to write the augmentations of imgaug, torchvision and Keras in the words of ``--augment``."""

from __future__ import annotations

import re

# Others' names in lower case without marks, and the word that comes nearest to each. What they do
# at borders, and how often, is not quite the same, so that they are told and not taken.
_WORDS = {
    "fliplr": "hflip",
    "randomhorizontalflip": "hflip",
    "horizontalflip": "hflip",
    "flipud": "vflip",
    "randomverticalflip": "vflip",
    "verticalflip": "vflip",
    "randomrotation": "rotate",
    "rotate": "rotate",
    "rotationrange": "rotate",
    "zoomrange": "scale",
    "shearrange": "shear",
    "widthshiftrange": "translate",
    "heightshiftrange": "translate",
    "brightnessrange": "brightness",
    "affine": "affine",
    "randomaffine": "affine",
    "gaussianblur": "blur",
    "additivegaussiannoise": "noise",
    "randomerasing": "dropout",
    "randomresizedcrop": "crop",
    "randaugment": "randaugment",
    "trivialaugmentwide": "trivialaugment",
}
_NUMBER = r"-?\d*\.?\d+"


def respell_step(text: str) -> str:
    """Return ``"; write 'hflip p=0.5'"`` for ``Fliplr(0.5)``; empty if it is no such step.

    Args:
        text: A step: a name with arguments in brackets, a name alone, or ``name=value``.
    """
    found = re.fullmatch(r"([\w.]{1,60})(?:\((.{0,200})\)|=(.{1,200}))?", text.strip(), re.DOTALL)
    if found is None:
        return ""
    name = re.sub(r"[-_]", "", found[1].rpartition(".")[2].lower())
    word = _WORDS.get(name)
    inside = (found[2] if found[2] is not None else found[3]) or ""
    if word is None or (word == "affine" and not inside):
        return ""
    return f"; write {' '.join(filter(None, [word, _arguments(word, inside)]))!r}"


def _arguments(word: str, inside: str) -> str:
    ranges = re.sub(rf"[(\[]\s*({_NUMBER})\s*,\s*({_NUMBER})\s*[)\]]", r"\1:\2", inside)
    if word == "affine":
        known = re.findall(rf"(rotate|scale|shear)\s*=\s*({_NUMBER}(?::{_NUMBER})?)", ranges)
        return " ".join([*(f"{key}={value}" for key, value in known), "p=1"])
    number = re.search(rf"{_NUMBER}(?::{_NUMBER})?", ranges)
    if word in ("hflip", "vflip"):
        return f"p={number[0]}" if number else ""
    if word in ("rotate", "scale", "shear", "translate"):
        return f"{number[0] if number else ''} p=1".strip()
    return ""
