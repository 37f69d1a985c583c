"""Chooses what computes: ONNX Runtime with a run's ``best.onnx``, or torch with its weights.

Light: torch is imported only where it computes. Both give the same answers, to rounding; a file
that does not certainly hold the run's network and decision is not used, and that is said.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.engine.exported_network import ExportedNetwork
from cnncli.engine.gpu import may_have_gpu
from cnncli.engine.onnx_file import OnnxFile, open_onnx
from cnncli.errors import CnncliError, count_of
from cnncli.files import BEST_FILE, ONNX_FILE, expand_path
from cnncli.reporting import Reporter, SilentReporter
from cnncli.run.decision import Decision, load_decision, parse_decision
from cnncli.run.members import find_all_members
from cnncli.run.networks import EngineSettings, Loaded, Network
from cnncli.torchrun import read_place
from cnncli.training.cores import most_threads

if TYPE_CHECKING:
    from cnncli.training.distributed import World

SUFFIX = ".onnx"


def is_onnx_file(given: str) -> bool:
    """Return whether a text names an ONNX file, and not a run."""
    return given.lower().endswith(SUFFIX) and not expand_path(given).is_dir()


def load_networks(
    given: Sequence[str], settings: EngineSettings, reporter: Reporter, world: World
) -> Loaded:
    """Load the networks of runs, cross-validations and ONNX files.

    Args:
        given: What ``--checkpoint`` takes, as often as it was given; empty for the newest finished
            run or cross-validation.
        settings: With what to compute.
        reporter: Is told which runs were taken, with what they compute, and what the decision of a
            single one does.
        world: The processes that work together.

    Raises:
        CnncliError: If there is no such run, a file of it cannot be used, one is named twice, or
            the engine that is asked for cannot do what else is asked for.
    """
    why_torch = _find_need_of_torch(settings)
    exported = [name for name in given if is_onnx_file(name)]
    if exported:
        return _load_exported(given, exported, settings, why_torch, reporter)
    found = find_all_members(given, reporter, raw=settings.raw)
    files: list[OnnxFile] = []
    if not why_torch:
        files, why_torch = _find_exported([path for path, _ in found], raw=settings.raw)
    if why_torch and settings.engine not in ("auto", "torch"):
        raise CnncliError(f"--engine {settings.engine}: {why_torch}")
    if why_torch:
        if settings.engine == "auto" and any(os.path.lexists(_beside(path)) for path, _ in found):
            reporter.note(f"engine: torch; {why_torch}")
        from cnncli.run.torch_network import load_runs

        return load_runs(found, settings, reporter, world)
    for path, how in found:
        if how:
            reporter.note(f"checkpoint: {path} ({how})")
    decision = None
    if len(found) == 1 and not settings.raw:
        path, metadata = found[0][0], files[0].metadata
        decision = load_decision(path, metadata.weights_digest, metadata.class_names, reporter)
    networks = _start(files, settings, reporter)
    return Loaded(networks, decision, is_tempered=True)


def _find_need_of_torch(settings: EngineSettings) -> str:
    """Return why only torch can do what is asked for; empty if another engine can."""
    if settings.engine == "torch":
        return "--engine torch asks for it"
    if read_place() is not None:
        return "the processes of torchrun are joined by torch"
    if settings.device not in ("auto", "cpu"):
        return f"--device {settings.device} is computed by torch"
    if settings.tta is not None:
        return f"--tta {settings.tta} is computed by torch"
    may_be = (None, "fp32", "bf16") if settings.engine == "openvino" else (None, "fp32")
    if settings.precision not in may_be:
        return f"--precision {settings.precision} is computed by torch"
    if settings.device == "auto" and settings.engine == "auto" and may_have_gpu():
        return "this machine may have a GPU (--device cpu leaves it out)"
    return ""


def _beside(checkpoint: Path) -> Path:
    """Return where the exported network of a checkpoint lies."""
    return checkpoint.with_name(ONNX_FILE)


def _find_exported(checkpoints: Sequence[Path], *, raw: bool) -> tuple[list[OnnxFile], str]:
    """Return the exported networks of checkpoints, or why they cannot be used."""
    files: list[OnnxFile] = []
    for path in checkpoints:
        if path.name != BEST_FILE:
            return [], f"{path} is no run's {BEST_FILE}, and has no {ONNX_FILE}"
        try:
            file, why = _check_exported(path, raw=raw or len(checkpoints) > 1)
        except CnncliError as error:
            return [], str(error)
        if file is None:
            return [], why
        files.append(file)
    return files, ""


def _check_exported(checkpoint: Path, *, raw: bool) -> tuple[OnnxFile | None, str]:
    """Return the exported network of a checkpoint, or why it cannot be used.

    Args:
        checkpoint: The file of the weights.
        raw: Whether the decision is left out.

    Raises:
        CnncliError: If a file cannot be read or used.
    """
    path = _beside(checkpoint)
    anew = f"cnncli export {checkpoint.parent} writes it anew"
    if not os.path.lexists(path):
        return None, f"there is no {path}; cnncli export {checkpoint.parent} writes it"
    meta = read_checkpoint_metadata(checkpoint)
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
    elif exported != load_decision(checkpoint, digest, metadata.class_names, SilentReporter()):
        return None, f"{path} is of another decision than decision.json beside it; {anew}"
    return file, ""


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


def read_checkpoint_metadata(path: Path) -> dict[str, Any]:
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


def _load_exported(
    given: Sequence[str],
    exported: Sequence[str],
    settings: EngineSettings,
    why_torch: str,
    reporter: Reporter,
) -> Loaded:
    """Load networks of which at least one is named by its ONNX file."""
    name = exported[0]
    if why_torch and not why_torch.startswith("this machine"):
        raise CnncliError(
            f"--checkpoint {name}: runs without torch, and {why_torch}; leave that out, or name "
            "the run in place of the file"
        )
    paths = [expand_path(text) for text in exported]
    if len({path.resolve() for path in paths}) < len(paths):
        raise CnncliError(f"--checkpoint {name}: given twice, and would count twice")
    files = [open_onnx(path, "--checkpoint ") for path in paths]
    is_one = len(given) == 1
    decisions = [read_decision(file) for file in files]
    is_decided = is_one and not settings.raw
    tempered = [one is not None and one.temperature is not None for one in decisions]
    for file in () if is_decided else compress(files, tempered):
        why = "--raw leaves it out" if is_one else "a mean is of probabilities without one"
        raise CnncliError(
            f"--checkpoint {file.path}: a temperature is part of this network, and {why}; name "
            "the run in its place"
        )
    rest = [text for text in given if text not in exported]
    if rest:
        found = find_all_members(rest, reporter, raw=settings.raw)
        more, why = _find_exported([path for path, _ in found], raw=True)
        if why:
            raise CnncliError(f"--checkpoint {name}: runs without torch, and of the others {why}")
        files += more
    decision = decisions[0] if is_decided else None
    if decision is not None:
        reporter.note(f"{files[0].path}: {decision.describe()}; --raw leaves it out")
    return Loaded(_start(files, settings, reporter), decision, is_tempered=True)


def _start(
    files: Sequence[OnnxFile], settings: EngineSettings, reporter: Reporter
) -> list[Network]:
    """Load exported networks, and say with what they compute."""
    kind = _find_engine(settings)
    threads, asked = most_threads(), settings.precision or "fp32"
    networks: list[Network] = [kind(file, threads, asked) for file in files]
    precision = networks[0].precision
    named = str(files[0].path) if len(files) == 1 else count_of(len(files), "file")
    rounded = "" if precision == "fp32" else f", computed in {precision}"
    reporter.note(f"engine: {kind.engine}, with {named}{rounded}")
    return networks


def _find_engine(settings: EngineSettings) -> type[ExportedNetwork]:
    if settings.engine == "openvino":
        from cnncli.engine.openvino_network import OpenvinoNetwork

        return OpenvinoNetwork
    from cnncli.engine.onnx_network import OnnxNetwork

    return OnnxNetwork
