"""Albumentations' classes by name; the only module that reaches Albumentations."""

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

# Bases and adapters that are no operations; Lambda would need code.
_NO_STEPS = {"BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D", "Lambda"}


@cache
def import_albumentations() -> Any:
    """Import Albumentations, which takes two seconds, silently and without the network."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the network at import otherwise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import albumentations
    # What a step does not like, the dry run has told; "already grey" is no news for each image.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"albumentations\.")
    return albumentations


class AlbumentationsStep:
    """One of Albumentations' transforms, drawn by a seed of its own each time."""

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __call__(self, image: Array, state: int, *, force: bool = False) -> Array:
        """Draw once; see :class:`cnncli.augmentation.operations.Operation`."""
        self.transform.set_random_seed(state)
        changed = self.transform(image=image, force_apply=force)["image"]
        if isinstance(changed, np.ndarray) and changed.ndim == 2 and image.shape[2] == 1:
            changed = changed[..., None]
        # What is no array at all (a tensor) is refused by the dry run.
        return np.ascontiguousarray(changed) if isinstance(changed, np.ndarray) else changed


def build_class(name: str, arguments: Mapping[str, Any]) -> AlbumentationsStep:
    """Build a class of Albumentations from literals.

    Raises:
        CnncliError: If there is no such class, or it does not take these arguments.
    """
    kind = _find_class(name)
    known = [key for key in inspect.signature(kind).parameters if key not in ("self", "strict")]
    for key in arguments:  # it only warns, and goes on without them
        if key not in known:
            near = did_you_mean(key, known) or f"; it takes {', '.join(known)}"
            raise CnncliError(f"--augment: {name}: unknown argument {key!r}{near}")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            step = AlbumentationsStep(kind(**arguments))
        except Exception as error:  # each class checks in its own way
            raise CnncliError(f"--augment: {name}: {_one_line(error)}") from None
    # Where a check fails unforeseen, it warns and takes its defaults in place of the arguments.
    serious = [w for w in told if not issubclass(w.category, DeprecationWarning | FutureWarning)]
    if serious:
        raise CnncliError(f"--augment: {name}: {_one_line(serious[0].message)}")
    return step


def complete_steps(steps: Pipeline) -> Pipeline:
    """Return the steps with the default arguments of Albumentations' classes written out.

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
    """Return a class's defaults as YAML has them; None is what it takes by itself."""
    parameters = inspect.signature(kind).parameters.items()
    found = {name: _plain(p.default) for name, p in parameters if p.default is not p.empty}
    return {name: value for name, value in found.items() if value is not None and name != "strict"}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        return None if None in items else items
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and np.isfinite(value):
        return int(value) if isinstance(value, int) else float(value)
    return None


def _find_class(name: str) -> Any:
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
    """Return what a library says, pydantic's several lines as one."""
    cause: Any = getattr(error, "__cause__", None)
    if hasattr(cause, "errors"):
        told = (
            (".".join(str(p) for p in e["loc"] if isinstance(p, str)), e["msg"].split(", ", 1)[-1])
            for e in cause.errors()
        )
        return "; ".join(dict.fromkeys(f"{place}: {text}" for place, text in told))
    return " ".join(str(error).split()) or type(error).__name__
