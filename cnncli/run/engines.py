"""Chooses what computes: ONNX Runtime with a run's ``best.onnx``, or torch with its weights.

Light: torch is imported only where it computes. Both give the same answers, to rounding; a file
that does not certainly hold the run's network and decision is not used, and that is said.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.engine.exported_network import ExportedNetwork
from cnncli.engine.gpu import may_have_gpu
from cnncli.engine.onnx_file import OnnxFile, open_onnx
from cnncli.errors import CnncliError, count_of
from cnncli.files import BEST_FILE, ONNX_FILE, expand_path
from cnncli.reporting import Reporter
from cnncli.run.decision import load_decision, note_left_out
from cnncli.run.exported_files import (
    check_exported,
    compare_beside,
    find_exported,
    read_decision,
)
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
    asked = _find_need_of_torch(settings)
    exported = [name for name in given if is_onnx_file(name)]
    if exported:
        return _load_exported(given, exported, settings, asked, reporter)
    found = find_all_members(given, reporter, raw=settings.raw)
    why_torch = asked or _find_gpu(settings)
    files: list[OnnxFile] = []
    networks: list[Network] = []
    if not why_torch:
        files, why_torch = _find_exported([path for path, _ in found], raw=settings.raw)
    if why_torch and settings.engine not in ("auto", "torch"):
        raise CnncliError(f"--engine {settings.engine}: {why_torch}")
    if not why_torch:
        try:
            networks = _build(files, settings)
        except CnncliError as error:
            if settings.engine != "auto":
                raise
            why_torch = str(error)
    if why_torch:
        has_file = any(os.path.lexists(find_exported(path)) for path, _ in found)
        if settings.engine == "auto" and has_file:
            reporter.note(f"engine: torch; {why_torch}")
        from cnncli.run.torch_network import load_runs

        loaded = load_runs(found, settings, reporter, world)
        _refuse_twice(given, loaded.networks)
        return loaded
    for path, how in found:
        if how:
            reporter.note(f"checkpoint: {path} ({how})")
    decision = None
    if len(found) == 1 and not settings.raw:
        path, metadata = found[0][0], files[0].metadata
        decision = load_decision(path, metadata.weights_digest, metadata.class_names, reporter)
    _refuse_twice(given, networks)
    _tell_engine(networks, reporter)
    return Loaded(networks, decision, is_tempered=True)


def _find_need_of_torch(settings: EngineSettings) -> str:
    """Return what is asked for that only torch can do; empty if another engine can, too."""
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
    return ""


def _find_gpu(settings: EngineSettings) -> str:
    """Return that torch may have a GPU here, where that decides; a named file does without one."""
    if settings.device == "auto" and settings.engine == "auto" and may_have_gpu():
        return "this machine may have a GPU (--device cpu leaves it out)"
    return ""


def _find_exported(checkpoints: Sequence[Path], *, raw: bool) -> tuple[list[OnnxFile], str]:
    """Return the exported networks of checkpoints, or why they cannot be used."""
    files: list[OnnxFile] = []
    for path in checkpoints:
        if path.name != BEST_FILE:
            return [], f"{path} is no run's {BEST_FILE}, and has no {ONNX_FILE}"
        try:
            file, why = check_exported(path, raw=raw or len(checkpoints) > 1)
        except CnncliError as error:
            return [], str(error)
        if file is None:
            return [], why
        files.append(file)
    return files, ""


def _load_exported(
    given: Sequence[str],
    exported: Sequence[str],
    settings: EngineSettings,
    asked: str,
    reporter: Reporter,
) -> Loaded:
    """Load networks of which at least one is named by its ONNX file."""
    name = exported[0]
    if asked:
        raise CnncliError(
            f"--checkpoint {name}: runs without torch, and {asked}; leave that out, or name "
            "the run in place of the file"
        )
    paths = [expand_path(text) for text in exported]
    if len({path.resolve() for path in paths}) < len(paths):
        raise CnncliError(f"--checkpoint {name}: given twice, and would count twice")
    files = [open_onnx(path, "--checkpoint ") for path in paths]
    is_one = len(given) == 1
    decisions = [read_decision(file) for file in files]
    is_decided = is_one and not settings.raw
    for file in files:
        compare_beside(file, reporter, with_decision=is_decided)
    tempered = [one is not None and one.temperature is not None for one in decisions]
    for file in () if is_decided else compress(files, tempered):
        why = "--raw leaves it out" if is_one else "a mean is of probabilities without one"
        raise CnncliError(
            f"--checkpoint {file.path}: a temperature is part of this network, and {why}; name "
            "the run in its place"
        )
    rest = [text for text in given if text not in exported]
    found = find_all_members(rest, reporter, raw=True) if rest else []
    if not (is_one or settings.raw):
        decided = [file.path for file, one in zip(files, decisions, strict=True) if one is not None]
        note_left_out([path for path, _ in found], reporter, decided)
    if rest:
        more, why = _find_exported([path for path, _ in found], raw=True)
        if why:
            raise CnncliError(f"--checkpoint {name}: runs without torch, and of the others {why}")
        files += more
    networks = _build(files, settings)
    _refuse_twice(given, networks)
    decision = decisions[0] if is_decided else None
    if decision is not None:
        reporter.note(f"{files[0].path}: {decision.describe()}; --raw leaves it out")
    _tell_engine(networks, reporter)
    return Loaded(networks, decision, is_tempered=True)


def _build(files: Sequence[OnnxFile], settings: EngineSettings) -> list[Network]:
    """Load exported networks.

    Raises:
        CnncliError: If the engine is not there, or cannot run one of them.
    """
    kind = _find_engine(settings)
    threads, asked = most_threads(), settings.precision or "fp32"
    return [kind(file, threads, asked) for file in files]


def _tell_engine(networks: Sequence[Network], reporter: Reporter) -> None:
    first = networks[0]
    named = str(first.checkpoint) if len(networks) == 1 else count_of(len(networks), "file")
    rounded = "" if first.precision == "fp32" else f", computed in {first.precision}"
    reporter.note(f"engine: {first.engine}, with {named}{rounded}")


def _refuse_twice(given: Sequence[str], networks: Sequence[Network]) -> None:
    """Refuse the same network under two names: it would count twice in the mean."""
    seen: dict[str | Path, Path] = {}
    for network in networks if len(given) > 1 else ():
        path = network.checkpoint
        assert path is not None
        for key in (path.resolve(), network.digest):
            if key in seen:
                other = "" if seen[key] == path else f"the same network as {seen[key]}, "
                raise CnncliError(f"--checkpoint {path}: {other}given twice, and would count twice")
            if key:
                seen[key] = path


def _find_engine(settings: EngineSettings) -> type[ExportedNetwork]:
    if settings.engine == "openvino":
        from cnncli.engine.openvino_network import OpenvinoNetwork

        return OpenvinoNetwork
    from cnncli.engine.onnx_network import OnnxNetwork

    return OnnxNetwork
