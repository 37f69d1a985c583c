"""Names among the settings, in the spelling that the record of a run has."""

from __future__ import annotations

import re

from pydantic.fields import FieldInfo

from cnncli.choices.spelling import find_choice
from cnncli.config.wanted import names_of
from cnncli.training.history import MONITORS

# The words among the values of settings that take other texts too.
_WORDS = {
    "batch_size": ("auto",),
    "device": ("auto", "cpu", "cuda", "mps"),
    "freeze": ("backbone", "none"),
    "monitor": MONITORS,
    "threads": ("auto",),
    "weights": ("default", "none"),
}
# Settings whose names may be written in any case, or as others write them.
SPELT = (
    *_WORDS, "activation", "balance", "bn", "calibrate", "head", "log", "loss", "model", "norm",
    "on_bad_image", "on_nan", "optimizer", "precision", "resize_mode", "scheduler",
)  # fmt: skip


def spell(key: str, value: object, field: FieldInfo) -> object:
    """Return a setting's value with the name that it means as we write it.

    Args:
        key: The setting, one of `SPELT`.
        value: Its value; what is no text, or no name, is returned as it is.
        field: The setting's field.
    """
    if not isinstance(value, str):
        return value
    if key == "model":
        # For commands without a network not needed.
        from cnncli.models.registry import spell_model, split_names

        return ",".join(map(spell_model, split_names(value)))
    if key == "freeze":
        value = spell_policy(value)
    return find_choice(value, _WORDS.get(key) or names_of(field)) or value


def spell_policy(text: str) -> str:
    """Return a freeze policy, or ``EPOCH=POLICY``, with the policy's own words in lower case."""
    words = r"(?i)^(\s*\d+\s*=\s*)?(backbone$|none$|stages:|until:)"
    return re.sub(words, lambda found: found[0].lower(), text)
