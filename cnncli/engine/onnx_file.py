"""Opens an ONNX file that cnncli has written, and refuses every other one before it is run.

A file may come from anywhere. It is looked through here, without being built in memory: it may not
name other files, hold tensors larger than itself, or operators that nobody knows. What is left is
given to the engine.
"""

from __future__ import annotations

import hashlib
import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cnncli.engine.metadata import PREFIX, ModelMetadata
from cnncli.engine.protobuf import PIECE, Field, Walker
from cnncli.errors import CnncliError, clip
from cnncli.files import check_regular

# The digest of all other bytes of the file, in its metadata.
DIGEST_KEY = f"{PREFIX}digest"

_MOST_OF_FILE = 2**31 - 1  # bytes; protobuf has no longer messages
_MOST_OF_FIELDS = 3_000_000  # a network with a thousand layers has some ten thousand
_MOST_OF_DIMS = 64
# Domains of operators that ONNX Runtime brings along.
_KNOWN = frozenset(("", "ai.onnx", "com.microsoft"))
_WAY_OUT = "cnncli export RUN writes one"

# The numbers of fields, by message. Source: onnx.proto of ONNX 1.18.
_MODEL_GRAPH, _MODEL_PROPS, _MODEL_FUNCTIONS = 7, 14, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_TENSORS_OF_ATTRIBUTE, _GRAPHS_OF_ATTRIBUTE, _SPARSE_OF_ATTRIBUTE = (5, 10), (6, 11), (22, 23)
_TENSOR_DIMS, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 1, 13, 14


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file of cnncli's.

    Attributes:
        path: The file.
        size: Its bytes.
        props: The texts of its metadata, by key.
        metadata: What they say.
    """

    path: Path
    size: int
    props: dict[str, str]
    metadata: ModelMetadata


def open_onnx(path: Path, where: str = "") -> OnnxFile:
    """Look through an ONNX file and read what it says beside the network.

    Args:
        path: The file.
        where: What stands in front of the path in an error, such as a flag.

    Raises:
        CnncliError: If it cannot be read, is cut short or changed, is not one of cnncli's, or holds
            what cnncli does not run.
    """
    told = f"{where}{path}"
    try:
        check_regular(path, most=_MOST_OF_FILE)
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise CnncliError(f"{told}: cannot be read ({error.strerror})") from None
    except ValueError:  # an empty file cannot be mapped
        raise CnncliError(f"{told}: is empty; {_WAY_OUT}") from None
    with content, memoryview(content) as view:
        size = len(view)
        try:
            props = read_props(view)
        except ValueError as error:
            raise CnncliError(
                f"{told}: not an ONNX file, damaged or cut short ({clip(str(error))}); {_WAY_OUT}"
            ) from None
        if f"{PREFIX}format" not in props:
            raise CnncliError(
                f"{told}: an ONNX file that does not say what cnncli needs to use it (classes, "
                f"preprocessing); {_WAY_OUT}"
            )
        try:
            metadata = ModelMetadata.from_props(props)
            _check_graph(view)
        except (ValueError, MemoryError, zlib.error) as error:
            raise CnncliError(f"{told}: cannot be used: {clip(str(error), 200)}") from None
        if props.get(DIGEST_KEY) != compute_digest(view):
            raise CnncliError(
                f"{told}: damaged or changed: what is in it is not what was written (another "
                "digest); copy it again from where it is whole, or export it again"
            )
    return OnnxFile(path, size, props, metadata)


def compute_digest(content: bytes | memoryview) -> str:
    """Return a digest of an ONNX file: 64 hex digits (SHA-256).

    All bytes count but those of the digest's own entry in the metadata, so that it can be added to
    a file that is complete without it.

    Args:
        content: The bytes of the file.

    Raises:
        ValueError: If they are no ONNX file.
    """
    view = memoryview(content)
    walker = Walker(view, _MOST_OF_FIELDS)
    digest, begin = hashlib.sha256(), 0
    for field in walker.fields(0, len(view)):
        if field.number == _MODEL_PROPS and _read_entry(walker, field)[0] == DIGEST_KEY:
            pass
        else:
            digest.update(view[begin : field.end])
        begin = field.end
    return digest.hexdigest()


def read_props(view: memoryview) -> dict[str, str]:
    """Return the texts of the metadata of an ONNX file.

    Args:
        view: Its bytes.

    Raises:
        ValueError: If the bytes are no ONNX file, or the file ends too early.
    """
    walker = Walker(view, _MOST_OF_FIELDS)
    props, has_graph = {}, False
    for field in walker.fields(0, len(view)):
        has_graph = has_graph or (field.number == _MODEL_GRAPH and field.wire == PIECE)
        if field.number == _MODEL_PROPS:
            key, text = _read_entry(walker, field)
            props[key] = text
    if not has_graph:
        raise ValueError("it holds no network")
    return props


def _read_entry(walker: Walker, field: Field) -> tuple[str, str]:
    """Return the key and the text of one entry of the metadata."""
    if field.wire != PIECE:
        raise ValueError("it is no protobuf")
    parts = {part.number: part for part in walker.fields(field.first, field.end)}
    key, text = (walker.text(parts[number]) if number in parts else "" for number in (1, 2))
    return key, text


def _check_graph(view: memoryview) -> None:
    """Refuse a network of other files, unknown operators, functions, loops, impossible tensors.

    Raises:
        ValueError: If it does.
    """
    walker = Walker(view, _MOST_OF_FIELDS)
    pieces = []
    for field in walker.fields(0, len(view)):
        if field.number == _MODEL_FUNCTIONS:  # each may call the next twice: 2^40 nodes of 40
            raise ValueError("it has functions of its own, which cnncli does not write")
        if field.wire == PIECE:
            pieces.append(field)
    for graph in (field for field in pieces if field.number == _MODEL_GRAPH):
        for part in walker.fields(graph.first, graph.end):
            if part.number == _GRAPH_NODE:
                _check_node(walker, part)
            elif part.number == _GRAPH_INITIALIZER:
                _check_tensor(walker, part)
            elif part.number == _GRAPH_SPARSE:
                raise ValueError("it has sparse tensors, which cnncli does not write")


def _check_node(walker: Walker, node: Field) -> None:
    """Refuse an operator that nobody knows, or that holds networks of its own."""
    operator = domain = ""
    attributes = []
    for part in _parts(walker, node):
        if part.number == _NODE_OPERATOR:
            operator = walker.text(part)
        elif part.number == _NODE_DOMAIN:
            domain = walker.text(part)
        elif part.number == _NODE_ATTRIBUTE:
            attributes.append(part)
    if domain not in _KNOWN:
        raise ValueError(f"its operator {operator} of {domain} is not one of ONNX")
    for attribute in attributes:
        for part in _parts(walker, attribute):
            if part.number in _TENSORS_OF_ATTRIBUTE and part.wire == PIECE:
                _check_tensor(walker, part)
            elif part.number in _GRAPHS_OF_ATTRIBUTE and part.wire == PIECE:
                raise ValueError(f"it has branches or loops ({operator}), which cnncli never runs")
            elif part.number in _SPARSE_OF_ATTRIBUTE:
                raise ValueError("it has sparse tensors, which cnncli does not write")


def _check_tensor(walker: Walker, tensor: Field) -> None:
    """Refuse a tensor whose values lie in another file, or that has more of them than bytes."""
    count, dims = 1, 0
    for part in _parts(walker, tensor):
        if part.number == _TENSOR_EXTERNAL or (part.number == _TENSOR_LOCATION and part.value):
            raise ValueError("its weights lie in other files, which cnncli does not read")
        if part.number == _TENSOR_DIMS:
            for size in walker.numbers(part):
                count, dims = count * size, dims + 1
                if dims > _MOST_OF_DIMS:
                    raise ValueError(f"it has a tensor with more than {_MOST_OF_DIMS} dimensions")
    # The smallest type has two values in a byte.
    if count > 2 * (tensor.end - tensor.first):
        raise ValueError(f"it has a tensor of {count:,} values that are not in it")


def _parts(walker: Walker, piece: Field) -> Iterator[Field]:
    """Yield the fields of a message inside another.

    Raises:
        ValueError: If it is no message.
    """
    if piece.wire != PIECE:
        raise ValueError("it is no protobuf")
    return walker.fields(piece.first, piece.end)
