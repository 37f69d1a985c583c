"""A short script that turns image files into a network's input as cnncli does, bit by bit."""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnncli import __version__
from cnncli.errors import CnncliError
from cnncli.export import reference_parts as parts
from cnncli.files import BEST_FILE, read_file, write_atomically
from cnncli.images.preprocess import Preprocess

REFERENCE_FILE = "reference_preprocess.py"  # beside the network of a run

_MOST_OF_SCRIPT = 2**20  # bytes
_RESIZE: dict[str, Callable[..., Any]] = {
    "squash": parts.resize_squash,
    "pad": parts.resize_pad,
    "crop": parts.resize_crop,
}
_HEADER = '''"""From image files to the input of {model}; needs NumPy, OpenCV and Pillow.

    array = preprocess(["image.png"])  # {shape}, {dtype}
    session.run(["probabilities"], {{"image": array[None]}})

Written by cnncli {version} for this one network. The values are those of `cnncli predict`, bit by
bit, for JPEG, PNG, BMP, WebP and .npy files. The golden samples in the model show it; see
docs/export.md.
"""

import io
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

'''
_FOOTER = """

if __name__ == "__main__":
    array = preprocess(sys.argv[1:])
    print(array.shape, array.dtype, "mean of each channel:", array.mean(axis=(0, 1)))
"""


def name_reference(model: str) -> str:
    """Return the name of the script for an exported network, by which Python can import it.

    Args:
        model: Name of the network's file; those of a run, such as ``best.onnx``, share one script.
    """
    if re.fullmatch(r"best(\.int8)?\.(onnx|xml)", model):
        return REFERENCE_FILE
    return f"preprocess_{re.sub(r'[^a-zA-Z0-9_]', '_', Path(model).stem)}.py"


def check_replaced(output: Path, preprocess: Preprocess) -> None:
    """Refuse to replace a script that is not of the same network, or to leave one there.

    Args:
        output: The exported network's file, beside which the script is to lie.
        preprocess: The preprocessing.

    Raises:
        CnncliError: If there is a file of the script's name, which cnncli has not written for a
            file of this name, for this run, or with the same preprocessing.
    """
    path = output.with_name(name_reference(output.name))
    if not os.path.lexists(path):
        return
    try:
        there = read_file(path, most=_MOST_OF_SCRIPT).decode("utf-8", "replace")
    except OSError:
        there = ""
    is_written = there.startswith(_HEADER.partition("{")[0])
    if not can_reproduce(preprocess):
        is_right = not is_written
    elif is_written and path.name == REFERENCE_FILE and output.with_name(BEST_FILE).exists():
        is_right = True
    else:
        text = build_reference(preprocess, output.name)
        is_right = is_written and any(
            there.partition(end)[part] == text.partition(end)[part]
            for end, part in (("\n", 0), ("import io\n", 2))  # its first line, or what it does
        )
    if not is_right:
        raise CnncliError(
            f"{path}: is there already, and not of this network; move it, or name another place "
            "with --output"
        )


def write_reference(path: Path, preprocess: Preprocess, model: str) -> Path:
    """Write the script of a preprocessing.

    Args:
        path: The file; one that is there is replaced.
        preprocess: The preprocessing.
        model: Name of the exported network's file, for the script's first line.
    """
    text = build_reference(preprocess, model)
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
    return path


def can_reproduce(preprocess: Preprocess) -> bool:
    """Return whether the script does all that a preprocessing does: it knows nothing of alpha."""
    return not preprocess.keep_alpha


def build_reference(preprocess: Preprocess, model: str) -> str:
    """Return the script of a preprocessing, which `can_reproduce` allows."""
    pre = preprocess
    is_float, is_area = pre.dtype == "float32", pre.interpolation == "area"
    reduces = is_area and not pre.exact_decode
    windows: list[tuple[float, float, str] | None] = [None] * pre.count_files
    if pre.windows:
        windows = [(window.low, window.high, window.unit) for window in pre.windows]
    lines = [
        f"HEIGHT, WIDTH = {pre.height}, {pre.width}",
        f"CHANNELS = {tuple(pre.files) or (pre.channels,)}  # of each file of a sample",
        f"WINDOWS = {tuple(windows)}  # of each file: the values that become 0 and 1",
    ]
    if pre.resize_size is not None:
        lines.append(f"RESIZE_SIZE = {pre.resize_size}")
    if not is_area:
        lines.append(f"FILTER = Image.Resampling.{pre.interpolation.upper()}")
    if reduces:
        lines.append(f"REDUCE_BY = {'min' if pre.resize_mode == 'pad' else 'max'}")
    resize = _RESIZE[pre.resize_mode] if pre.resize_size is None else parts.resize_shorter_side
    chosen: list[tuple[Callable[..., Any], str]] = [
        (parts.preprocess, "preprocess"),
        (parts.decode, "decode"),
        (parts.reduced_jpeg_flags if reduces else parts.jpeg_flags, "jpeg_flags"),
        (parts.on_white, "on_white"),
        (parts.turn_upright, "turn_upright"),
        (parts.to_fractions if is_float else parts.to_type, "to_type"),
        (parts.to_channels, "to_channels"),
        *([(parts.scale_opencv, "scale_opencv")] if is_area else []),
        (parts.scale_area if is_area else parts.scale_pillow, "scale"),
        (resize, "resize"),
        (parts.finish_floats if is_float else parts.finish, "finish"),
    ]
    header = _HEADER.format(
        model=model,
        shape=(*pre.image_size, pre.channels),
        dtype=pre.dtype,
        version=__version__,
    )
    bodies = "\n\n".join(_copy(function, name) for function, name in chosen)
    return header + "\n".join(lines) + "\n\n\n" + bodies + _FOOTER


def _copy(function: Callable[..., Any], name: str) -> str:
    """Return the source of a function under another name, without types."""
    source = inspect.getsource(function)
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.FunctionDef)
    given = ", ".join(argument.arg for argument in tree.args.args)
    keywords = ", ".join(argument.arg for argument in tree.args.kwonlyargs)
    lines = source.splitlines(keepends=True)
    # Comments in front of the first statement belong to the body.
    signature = source.index(":\n") + 2
    body = "".join(lines)[signature:]
    star = f", *, {keywords}" if keywords else ""
    return f"def {name}({given}{star}):\n{body}"
