"""What a setting takes, in the words of an error: from its type and its bounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

_NOUNS = {int: "whole number", float: "number", str: "text"}


def describe_wanted(field: FieldInfo, *, item: bool = False) -> str:
    """Return what a setting takes, such as ``a whole number from 0 to 1024``.

    Args:
        field: The setting's field.
        item: Whether one item of a list is meant and not the list.
    """
    bounds = dict(_read_bounds(field.metadata))
    kinds = [_describe(kind, bounds, item=item) for kind in _split(field.annotation)]
    return " or ".join(dict.fromkeys(kinds))


def names_of(field: FieldInfo) -> list[str]:
    """Return the names of which a setting takes one; none where it takes other values."""
    return [
        name
        for kind in _split(field.annotation)
        if get_origin(kind) is Literal
        for name in get_args(kind)
    ]


def _split(annotation: Any) -> list[Any]:
    """Return the types of a union without None, or the only type."""
    union = get_origin(annotation) in (Union, UnionType)
    return (
        [kind for kind in get_args(annotation) if kind is not NoneType] if union else [annotation]
    )


def _describe(kind: Any, bounds: dict[str, float], *, item: bool) -> str:
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *metadata = get_args(kind)
        return _describe(inner, {**bounds, **dict(_read_bounds(metadata))}, item=item)
    if origin is Literal:
        *most, last = map(str, get_args(kind))
        return f"{', '.join(most)} or {last}" if most else last
    if origin is list:
        one = _describe(get_args(kind)[0], bounds, item=True)
        return one if item else f"a list, each item {one}"
    if kind is bool:
        return "true or false"
    text = f"a {_NOUNS.get(kind, 'value')}"
    return text + (_bound_int(bounds) if kind is int else _bound_float(bounds))


def _read_bounds(metadata: Iterable[Any]) -> Iterator[tuple[str, float]]:
    """Yield the bounds among the remarks on a type, under pydantic's names: ge, gt, le, lt."""
    for remark in metadata:
        if isinstance(remark, FieldInfo):
            yield from _read_bounds(remark.metadata)
        for name in ("ge", "gt", "le", "lt"):
            if getattr(remark, name, None) is not None:
                yield name, getattr(remark, name)


def _bound_int(bounds: dict[str, float]) -> str:
    low = bounds["ge"] if "ge" in bounds else bounds["gt"] + 1 if "gt" in bounds else None
    high = bounds["le"] if "le" in bounds else bounds["lt"] - 1 if "lt" in bounds else None
    if low is None:
        return "" if high is None else f" of at most {high}"
    return f" of at least {low}" if high is None else f" from {low} to {high}"


def _bound_float(bounds: dict[str, float]) -> str:
    if {"ge", "le"} <= bounds.keys():
        return f" from {bounds['ge']:g} to {bounds['le']:g}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = " and ".join(f"{words[name]} {bounds[name]:g}" for name in words if name in bounds)
    return f" of {found}" if found.startswith("at") else f" {found}" if found else ""
