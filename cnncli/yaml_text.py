"""YAML 1.2 as people write it: read with PyYAML's parser, by the rules of the core schema.

``0224`` is the number 224 and ``010`` the number 10, ``no``, ``on`` and ``12:30:45`` are texts, and
``1e3`` is a number. A setting that is a text keeps what is written: ``data: 0123`` is the folder
``0123``. A key that is given twice is an error.

Source: https://yaml.org/spec/1.2.2/, section 10.3, for the schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from cnncli.errors import CnncliError
from cnncli.files import CONFIG_FILE, decode_text, expand_path, read_file

# libyaml's parser, ten times as fast, where PyYAML was built with it.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Escapes of a path's bytes that are no text, as in "\\uDCE9"; libyaml refuses them.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_MOST_SLOW = 100_000  # letters
_TAG = "tag:yaml.org,2002:"
_NULL = re.compile("null|Null|NULL|~|")
_BOOL = re.compile("true|True|TRUE|false|False|FALSE")
_INT = re.compile("[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)
_MOST_BYTES = 4 * 2**20
_MOST_DEPTH = 40
_MOST_KEYS = 1000  # of one mapping
_MOST_BY_ALIASES = 10_000  # values that `*name` stands for, beside those written out
# The mapping whose keys are settings too: what `cnncli tune` searches.
_SEARCH = "search"


def parse_yaml(text: str, texts: Mapping[str, bool] | None = None) -> Any:
    """Parse a YAML document of plain values; all keys of mappings are texts.

    Args:
        text: The document.
        texts: Keys whose value is a text or a list of texts: they keep what is written. The value
            says whether the setting may also be null. They count at the top level, and in a
            mapping ``search`` there.

    Raises:
        ValueError: If the text is not YAML, or a key is given twice.
    """
    try:
        return _Document(text).read(texts or {})
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise ValueError(f"not YAML: {line}{problem}") from None
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise ValueError(f"not YAML: {error}".replace("\n", " ")) from None


def read_yaml(path: str | Path, texts: Mapping[str, bool] | None = None) -> Any:
    """Read a YAML file in UTF-8, or in UTF-16 with a byte order mark.

    Args:
        path: Path of the file; ``~`` stands for the home directory.
        texts: As in `parse_yaml`.

    Raises:
        CnncliError: If it cannot be read or is not YAML; without the path, which the caller names.
    """
    try:
        return parse_yaml(decode_text(read_file(expand_path(path), most=_MOST_BYTES)), texts)
    except UnicodeDecodeError:
        raise CnncliError("not YAML: its text is not UTF-8; save it as UTF-8") from None
    except ValueError as error:
        raise CnncliError(str(error)) from None
    except OSError as error:
        raise CnncliError(error.strerror or str(error)) from None


def read_settings(path: str, texts: Mapping[str, bool]) -> dict[str, Any]:
    """Read the YAML file of ``--config`` without checking any setting in it.

    The arguments are those of `read_yaml`.

    Raises:
        CnncliError: If the file cannot be read or does not hold a mapping.
    """
    try:
        values = read_yaml(path, texts)
    except CnncliError as error:
        inside = f"{path.rstrip('/')}/{CONFIG_FILE}"
        told = f"a folder; name {inside}" if expand_path(inside).is_file() else error
        raise CnncliError(f"--config {path}: {told}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise CnncliError(f"--config {path}: holds no settings; write one `key: value` a line")
    return values


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper, with quotes around every text that YAML 1.1 or 1.2 reads as another type."""


_Dumper.yaml_implicit_resolvers = dict(yaml.SafeDumper.yaml_implicit_resolvers)
# PyYAML takes y and n for texts; other readers of YAML 1.1 take them for booleans.
for _tag, _pattern, _letters in (
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("bool", re.compile("[yYnN]"), "yYnN"),
):
    _whole = re.compile(rf"(?:{_pattern.pattern})\Z")
    _Dumper.add_implicit_resolver(_TAG + _tag, _whole, list(_letters))


def dump_yaml(values: Mapping[str, Any], *, flat: bool = False, only_ascii: bool = False) -> str:
    """Return YAML that readers of YAML 1.1 and 1.2 read back to the same values.

    Args:
        values: Plain values, in the order in which they are to stand.
        flat: Whether a list or mapping of plain values stands on one line.
        only_ascii: Whether other characters are written as escapes in quotes.
    """
    style = None if flat else False
    options: Any = {"allow_unicode": not only_ascii, "default_flow_style": style}
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, **options))


class _Document:
    """One YAML document: its nodes, and the values they stand for."""

    def __init__(self, text: str) -> None:
        slow = len(text) < _MOST_SLOW and _HALF.search(text)
        self._events: Any = yaml.parse(text, yaml.SafeLoader if slow else _Parser)
        self._anchors: dict[str, yaml.Node] = {}
        self._nodes = 0  # that are written out
        self._steps = 0  # values read so far, those behind aliases too

    def read(self, texts: Mapping[str, bool]) -> Any:
        """Return the document's value; None for an empty document."""
        root = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    _fail(event, "a second document begins here; write one document a file")
                root = self._build_node(next(self._events), 0)
        if not isinstance(root, yaml.MappingNode):
            return None if root is None else self._read_value(root)
        settings = {}
        for key, node in self._list_pairs(root).items():
            if key == _SEARCH and isinstance(node, yaml.MappingNode):
                pairs = self._list_pairs(node).items()
                settings[key] = {k: self._read_setting(v, texts.get(k), True) for k, v in pairs}
            else:
                settings[key] = self._read_setting(node, texts.get(key), False)
        return settings

    def _build_node(self, event: Any, depth: int) -> yaml.Node:
        """Return the node that begins with an event."""
        self._nodes += 1
        if depth > _MOST_DEPTH:
            _fail(event, f"more than {_MOST_DEPTH} lists or mappings in each other")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                _fail(event, f"*{event.anchor}: nothing above is called &{event.anchor}")
            return self._anchors[event.anchor]
        tag: Any = event.tag
        mark: Any = event.start_mark
        node: yaml.Node
        if isinstance(event, yaml.ScalarEvent):
            style = event.style or None  # libyaml: an empty text for a plain scalar
            node = yaml.ScalarNode(tag, event.value, mark, style=style)
        elif isinstance(event, yaml.SequenceStartEvent):
            _check_tag(event, ("seq",))
            items = []
            while not isinstance(event_inside := next(self._events), yaml.SequenceEndEvent):
                items.append(self._build_node(event_inside, depth + 1))
            node = yaml.SequenceNode(tag, items, mark)
        else:
            _check_tag(event, ("map",))
            pairs: list[tuple[yaml.Node, yaml.Node]] = []
            while not isinstance(event_inside := next(self._events), yaml.MappingEndEvent):
                key = self._build_node(event_inside, depth + 1)
                if len(pairs) == _MOST_KEYS:
                    _fail(
                        key, f"more than {_MOST_KEYS} keys in one mapping; no setting has so many"
                    )
                pairs.append((key, self._build_node(next(self._events), depth + 1)))
            node = yaml.MappingNode(tag, pairs, mark)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _read_setting(self, node: yaml.Node, may_be_null: bool | None, searched: bool) -> Any:
        """Return the value of a key of the file, or of ``search``.

        Args:
            node: The value.
            may_be_null: Whether a text can also be null; None for a setting that is no text.
            searched: Whether a list holds the values to try, and is not itself the value.
        """
        if may_be_null is None or isinstance(node, yaml.MappingNode):
            return self._read_value(node)
        if isinstance(node, yaml.SequenceNode):
            return [
                _read_text(item, may_be_null and searched)
                if isinstance(item, yaml.ScalarNode)
                else self._read_value(item)
                for item in node.value
            ]
        return _read_text(node, may_be_null)

    def _read_value(self, node: yaml.Node) -> Any:
        """Return the value of a node by the core schema of YAML 1.2."""
        self._count_step(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._read_value(item) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return {key: self._read_value(item) for key, item in self._list_pairs(node).items()}
        return _read_scalar(node)

    def _list_pairs(self, node: yaml.Node) -> dict[str, yaml.Node]:
        """Return the values of a mapping by their keys, and behind them what ``<<`` merges in."""
        pairs: dict[str, yaml.Node] = {}
        lines: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                _fail(key, "a list or a mapping is no key; put a text with braces into quotes")
            name, line = key.value, key.start_mark.line + 1
            if name in lines:
                _fail(key, f"{name} is given twice, first in line {lines[name]}; keep one")
            lines[name] = line
            if name == "<<" and key.style is None:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            else:
                pairs[name] = value
        for other in merged:
            if not isinstance(other, yaml.MappingNode):
                _fail(other, "<< takes an alias of a mapping, such as `<<: *name`")
            self._count_step(other)
            pairs = {**self._list_pairs(other), **pairs}
        return pairs

    def _count_step(self, node: yaml.Node) -> None:
        """Count a value that is read; refuse aliases that stand for too many values."""
        self._steps += 1
        if self._steps > self._nodes + _MOST_BY_ALIASES:
            _fail(node, f"aliases (`*name`) stand for more than {_MOST_BY_ALIASES} values")


def _read_text(node: Any, may_be_null: bool) -> str | None:
    """Return a scalar as it is written; None where nothing is, or where it may be null and is."""
    if node.style is None and node.tag is None:
        if not node.value or (may_be_null and _NULL.fullmatch(node.value)):
            return None
        return str(node.value)
    value = _read_scalar(node)
    return None if value is None else str(node.value)


def _read_scalar(node: Any) -> str | float | bool | None:
    """Return a scalar by the core schema; a quoted one is a text."""
    written: str = node.value
    if node.tag in ("!", _TAG + "str") or (node.tag is None and node.style is not None):
        return written
    _check_tag(node, ("null", "bool", "int", "float"))
    value: str | float | bool | None = written
    if _NULL.fullmatch(written):
        value = None
    elif _BOOL.fullmatch(written):
        value = written.lower() == "true"
    elif _INT.fullmatch(written):
        if len(written) > 400:
            _fail(node, f"{written[:20]}… has too many digits")
        value = int(written, {"0o": 8, "0x": 16}.get(written[:2], 10))
    elif _FLOAT.fullmatch(written):
        value = float(re.sub(r"\.(inf|nan)", r"\1", written.lower()))
    found = "null" if value is None else type(value).__name__
    if node.tag is not None and node.tag != _TAG + found:
        if (node.tag, found) != (_TAG + "float", "int"):
            _fail(node, f"{written} is no {node.tag.replace(_TAG, '!!')}")
        value = float(written)
    return value


def _check_tag(node: Any, known: tuple[str, ...]) -> None:
    """Refuse a tag that does not stand in the core schema."""
    if node.tag not in (None, "!", *(_TAG + name for name in known)):
        _fail(node, f"the tag {node.tag.replace(_TAG, '!!')} has no meaning here; leave it out")


def _fail(node: Any, problem: str) -> NoReturn:
    """Raise an error that names the line of a node or an event."""
    raise ValueError(f"line {node.start_mark.line + 1}: {problem}")
