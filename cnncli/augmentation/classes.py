"""Albumentations' classes by name; the only module that imports Albumentations."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.augmentation.notation import Pipeline
from cnncli.augmentation.words import WORDS
from cnncli.errors import CnncliError, did_you_mean

# Base classes, which are no operations, and Lambda, whose argument would be code.
_NO_STEPS = {"BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D", "Lambda"}


@cache
def import_albumentations() -> Any:
    """Import Albumentations, without its warnings and its request to the network.

    The first call takes two seconds.
    """
    # Otherwise it asks the network for a newer version when it is imported.
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import albumentations
    # It would warn at every image, for instance of one that is grey already; what makes a step
    # unusable is found by the dry run.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"albumentations\.")
    return albumentations


class AlbumentationsStep:
    """A transform of Albumentations as a step of a pipeline; each call has a seed of its own."""

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __call__(self, image: Array, state: int, *, force: bool = False) -> Array:
        """Return a changed image; see :class:`cnncli.augmentation.operations.Operation`."""
        self.transform.set_random_seed(state)
        changed = self.transform(image=image, force_apply=force)["image"]
        if isinstance(changed, np.ndarray) and changed.ndim == 2 and image.shape[2] == 1:
            changed = changed[..., None]
        # A result that is no array, such as a tensor, is refused by the dry run.
        return np.ascontiguousarray(changed) if isinstance(changed, np.ndarray) else changed


def build_class(name: str, arguments: Mapping[str, Any]) -> AlbumentationsStep:
    """Build a transform of Albumentations.

    Args:
        name: Name of the class, such as ``GaussNoise``.
        arguments: The arguments of the class: numbers, texts, lists and mappings.

    Raises:
        CnncliError: If there is no such class, or it does not take these arguments.
    """
    kind = _find_class(name)
    known = [key for key in inspect.signature(kind).parameters if key not in ("self", "strict")]
    for key in arguments:  # Albumentations only warns of an unknown one and leaves it out
        if key not in known:
            near = did_you_mean(key, known) or f"; it takes {', '.join(known)}"
            raise CnncliError(f"--augment: {name}: unknown argument {key!r}{near}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            step = AlbumentationsStep(kind(**arguments))
        except Exception as error:  # each class raises errors of its own
            raise CnncliError(f"--augment: {name}: {_one_line(error)}") from None
    # Some classes only warn of a wrong value, and use their default in its place.
    serious = [w for w in caught if not issubclass(w.category, DeprecationWarning | FutureWarning)]
    if serious:
        raise CnncliError(f"--augment: {name}: {_one_line(serious[0].message)}")
    return step


def complete_steps(steps: Pipeline) -> Pipeline:
    """Return the steps with the defaults of Albumentations' classes written out.

    So a pipeline that is stored with a run means the same if a later version has other defaults.

    Args:
        steps: What :func:`cnncli.augmentation.notation.parse_augment` returned.

    Raises:
        CnncliError: If there is no such class, or it does not take these arguments.
    """
    complete: Pipeline = []
    for step in steps:
        ((name, arguments),) = step.items()
        if name not in WORDS:
            build_class(name, arguments)
            arguments = {**_defaults(_find_class(name)), **arguments}
        complete.append({name: arguments})
    return complete


def _defaults(kind: Any) -> dict[str, Any]:
    """Return the default arguments of a class, as far as YAML can hold them."""
    parameters = inspect.signature(kind).parameters.items()
    found = {name: _plain(p.default) for name, p in parameters if p.default is not p.empty}
    return {name: value for name, value in found.items() if value is not None and name != "strict"}


def _plain(value: Any) -> Any:
    """Return a value in YAML's types, or None if it has none that YAML can hold."""
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        return None if None in items else items
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and np.isfinite(value):
        return int(value) if isinstance(value, int) else float(value)
    return None


def _find_class(name: str) -> Any:
    """Return a class of Albumentations by its name; raises CnncliError if it has none."""
    library = import_albumentations()
    kind = getattr(library, name, None)
    if not _is_step(library, kind) or name in _NO_STEPS:
        names = [n for n in dir(library) if _is_step(library, getattr(library, n))]
        near = did_you_mean(name, [*(n for n in names if n not in _NO_STEPS), *WORDS])
        version = library.__version__
        raise CnncliError(f"--augment: Albumentations {version} has no operation {name!r}{near}")
    return kind


def _is_step(library: Any, kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, library.BasicTransform)


def _one_line(error: object) -> str:
    """Return the message of an error or warning in one line, also pydantic's of several lines."""
    cause: Any = getattr(error, "__cause__", None)
    if hasattr(cause, "errors"):
        parts = (
            (".".join(str(p) for p in e["loc"] if isinstance(p, str)), e["msg"].split(", ", 1)[-1])
            for e in cause.errors()
        )
        return "; ".join(dict.fromkeys(f"{place}: {text}" for place, text in parts))
    return " ".join(str(error).split()) or type(error).__name__
