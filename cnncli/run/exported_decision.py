"""The decision in exported networks beside a checkpoint follows the one that evaluate stores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnncli import __version__
from cnncli.engine.onnx_file import open_onnx
from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, INT8_FILE, ONNX_FILE, OPENVINO_FILE, write_atomically
from cnncli.reporting import Reporter
from cnncli.run.decision import Decision


def take_over_decision(
    checkpoint: Path, digest: str, file: Path, decision: Decision, reporter: Reporter
) -> None:
    """Write a decision into the exported networks of a checkpoint: `best.onnx`, `best.int8.onnx`.

    Nothing is exported anew: the temperature is a part of the graph of its own, and the rest of the
    decision stands in the metadata. What fails is one warning, since `predict` uses no file of
    another decision.

    Args:
        checkpoint: The checkpoint's file.
        digest: Its digest.
        file: The decision's file, as it was written.
        decision: The decision.
        reporter: Is told what was done.
    """
    if checkpoint.name != BEST_FILE:
        return
    anew = f"to make it anew: cnncli export {checkpoint.parent}"
    for name, flag in ((ONNX_FILE, ""), (INT8_FILE, " --int8")):
        path = checkpoint.with_name(name)
        if not path.exists():
            continue
        try:
            is_written = _write_decision(
                path, digest, json.loads(file.read_text("utf-8")), decision
            )
        except (CnncliError, OSError, ImportError) as error:
            reporter.warn(
                f"{path} has not got this decision, and predict does not use it: {error}; "
                f"{anew}{flag}"
            )
        else:
            if is_written:
                reporter.note(f"{path}: has this decision too")
    path = checkpoint.with_name(OPENVINO_FILE)
    if path.exists():
        reporter.warn(f"{path} has not got this decision; {anew} --format openvino")


def _write_decision(
    path: Path, digest: str, content: dict[str, object], decision: Decision
) -> bool:
    """Return whether a file was written: one of other weights stays as it is."""
    metadata = open_onnx(path).metadata
    if metadata.weights_digest != digest:
        return False
    import onnx

    from cnncli.export.graph import set_temperature, to_bytes
    from cnncli.export.parity import OnnxModel

    model = onnx.load(path)
    set_temperature(model, None)
    golden = metadata.golden
    if golden:
        raw = OnnxModel(to_bytes(model, {}))(np.stack([sample.array for sample in golden]))
        answers = decision.adjust(raw.astype(np.float64))
        golden = tuple(
            replace(sample, probabilities=answer)
            for sample, answer in zip(golden, answers, strict=True)
        )
    set_temperature(model, decision.temperature)
    changed = replace(metadata, decision=content, golden=golden, version=__version__)
    data = to_bytes(model, changed.to_props())
    write_atomically(path, lambda part: part.write_bytes(data))
    return True
