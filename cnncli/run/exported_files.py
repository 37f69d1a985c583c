"""Whether an exported network is the one of the run that it lies in, with the run's decision.

Light: weights are not read; each file says which ones it is of.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cnncli.engine.onnx_file import OnnxFile, open_onnx
from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, DECISION_FILE, ONNX_FILE
from cnncli.reporting import Reporter, SilentReporter
from cnncli.run.decision import Decision, load_decision, parse_decision


def find_exported(checkpoint: Path) -> Path:
    """Return where the exported network of a checkpoint lies."""
    return checkpoint.with_name(ONNX_FILE)


def check_exported(checkpoint: Path, *, raw: bool) -> tuple[OnnxFile | None, str]:
    """Return the exported network of a checkpoint, or why it cannot be used.

    Args:
        checkpoint: The file of the weights.
        raw: Whether the decision is left out.

    Raises:
        CnncliError: If a file cannot be read or used.
    """
    path = find_exported(checkpoint)
    anew = f"cnncli export {checkpoint.parent} writes it anew"
    if not os.path.lexists(path):
        return None, f"there is no {path}; cnncli export {checkpoint.parent} writes it"
    meta = _read_metadata(checkpoint)
    digest = meta.get("digest")
    if not digest:
        return None, f"{checkpoint} has no digest, by which {ONNX_FILE} could be compared with it"
    file = open_onnx(path)
    metadata = file.metadata
    if metadata.weights_digest != digest:
        return None, f"{path} is of other weights than {checkpoint.name}; {anew}"
    if metadata.precision != "float32":
        return (
            None,
            f"{path} is {metadata.precision}, whose answers differ; name the file to use it",
        )
    exported = read_decision(file)
    if raw:
        if exported is not None and exported.temperature is not None:
            return None, f"{path} has the temperature of the decision in it, which is left out here"
    elif told := _tell_other_decision(file, checkpoint, digest):
        return None, f"{path} {told}; {anew}"
    return file, ""


def compare_beside(file: OnnxFile, reporter: Reporter, *, with_decision: bool) -> None:
    """Compare a file that is named with the checkpoint that it lies beside, if there is one.

    Args:
        file: The file.
        reporter: Is told where there is nothing to compare with, or the file, by its name, need
            not be of that checkpoint.
        with_decision: Whether the file's decision counts, and is compared, too.

    Raises:
        CnncliError: If the checkpoint has other weights, or another decision lies beside it.
    """
    path, checkpoint = file.path, _find_beside(file.path)
    if checkpoint is None:
        return
    digest = _read_metadata(checkpoint).get("digest")
    if not digest:
        reporter.note(f"{path}: not compared with {checkpoint.name} beside it, without a digest")
    digest = digest or file.metadata.weights_digest
    eight = " --int8" if file.metadata.precision == "int8" else ""
    run = checkpoint.parent if checkpoint.name == BEST_FILE else checkpoint
    ways = f"cnncli export {run}{eight} writes it anew; in a folder of its own it is used as it is"
    if file.metadata.weights_digest != digest:
        told = f"{path}: is of other weights than {checkpoint.name} beside it"
        if _stem(path) != checkpoint.stem:
            reporter.warn(told)
            return
        raise CnncliError(f"--checkpoint {told}; {ways}")
    if with_decision and (told := _tell_other_decision(file, checkpoint, digest)):
        raise CnncliError(f"--checkpoint {path}: {told}; {ways}")


def _find_beside(path: Path) -> Path | None:
    """Return the checkpoint beside a file: the one of its name, or else the best; None for none."""
    for place in (path, path.resolve()):
        for name in (f"{_stem(path)}{Path(BEST_FILE).suffix}", BEST_FILE):
            if place.with_name(name).is_file():
                return place.with_name(name)
    return None


def _stem(path: Path) -> str:
    """Return the name of a file without ``.onnx`` or ``.int8.onnx``."""
    return path.stem.removesuffix(".int8")


def _tell_other_decision(file: OnnxFile, checkpoint: Path, digest: str) -> str:
    """Return how the decision in a file differs from that of its checkpoint; empty if not.

    Raises:
        CnncliError: If one of the two cannot be used.
    """
    names = file.metadata.class_names
    stored = load_decision(checkpoint, digest, names, SilentReporter())
    if read_decision(file) == stored:
        return ""
    if stored is None:
        return f"is of another decision than the run, which has no {DECISION_FILE}"
    return f"is of another decision than {DECISION_FILE} beside it"


def read_decision(file: OnnxFile) -> Decision | None:
    """Return the decision in an exported file; None for none.

    Raises:
        CnncliError: If it is not what cnncli writes.
    """
    content = file.metadata.decision
    if content is None:
        return None
    try:
        decision = parse_decision(content)
    except (ValueError, TypeError) as error:
        raise CnncliError(f"{file.path}: its decision cannot be used ({error})") from None
    if decision.class_names != file.metadata.class_names:
        raise CnncliError(f"{file.path}: its decision is of other classes than the file")
    return decision


def _read_metadata(path: Path) -> dict[str, Any]:
    """Return what a checkpoint says beside its weights, which are not read.

    Returns:
        The metadata; empty if the file is none of cnncli's: whoever needs it says so.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            meta = json.loads((file.metadata() or {}).get("cnncli", "null"))
    except (SafetensorError, OSError, ValueError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) else {}
