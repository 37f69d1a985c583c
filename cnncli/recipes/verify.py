"""Whether an exported network answers here as it did where it was exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnncli.engine.metadata import MOST_APART, GoldenSample
from cnncli.engine.onnx_file import open_onnx
from cnncli.engine.onnx_network import OnnxNetwork
from cnncli.errors import CnncliError, count_of
from cnncli.files import BEST_FILE, ONNX_FILE, expand_path
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter
from cnncli.run.engines import is_onnx_file
from cnncli.run.members import find_all_members
from cnncli.training.cores import most_threads


def verify(given: Sequence[str], reporter: Reporter) -> tuple[bool, str]:
    """Send the golden samples of an exported network through it.

    Each sample holds image files, the array that they become, and the probabilities that were
    answered to it where the network was exported: by torch, or by ONNX Runtime if the network has 8
    bits or its decision was taken over later.

    Args:
        given: What ``--checkpoint`` takes: an ONNX file, or a run with one; empty for the newest
            finished run.
        reporter: Is told which run was taken.

    Returns:
        Whether arrays are the same bit by bit and probabilities to rounding; and a sentence that
        says so, or what differs.

    Raises:
        CnncliError: If there is no such file, it cannot be used, or it has no golden samples.
    """
    path = _find(given, reporter)
    file = open_onnx(path)
    golden = file.metadata.golden
    if not golden:
        raise CnncliError(f"{path}: has no golden samples by which it could be verified")
    network = OnnxNetwork(file, most_threads())
    what = count_of(len(golden), "golden sample")
    for number, sample in enumerate(golden, start=1):
        if told := _tell_other_array(sample, file.metadata.preprocess):
            return False, f"{path}: golden sample {number} of {len(golden)}: {told}"
    found = network.answer(np.stack([sample.array for sample in golden]))
    apart = float(np.abs(found - [sample.probabilities for sample in golden]).max())
    most = MOST_APART[file.metadata.precision]
    if not apart <= most:  # not finite is neither
        return False, (
            f"{path}: probabilities of its {what} are {apart:.2g} apart from those that the file "
            f"holds, and at most {most:g} is rounding"
        )
    return True, (
        f"{path}: verified: its {what} give the same arrays, and probabilities at most "
        f"{apart:.1e} apart from those that the file holds"
    )


def _find(given: Sequence[str], reporter: Reporter) -> Path:
    """Return the ONNX file that ``--checkpoint`` names."""
    if len(given) > 1:
        raise CnncliError(f"--verify: checks one file, and --checkpoint names {len(given)}")
    if given and is_onnx_file(given[0]):
        return expand_path(given[0])
    found = find_all_members(given, reporter, raw=True)
    if len(found) > 1:
        raise CnncliError(
            f"--verify: checks one file, and {given[0]} has {len(found)}; name one of its folds"
        )
    path, how = found[0]
    if path.name != BEST_FILE:  # a file of that name, or weights of a kept epoch
        raise CnncliError(
            f"--checkpoint {given[0]}: --verify checks an exported network, and this is no .onnx "
            "file; name one, or a run that has one"
        )
    exported = path.with_name(ONNX_FILE)
    if not exported.exists():
        raise CnncliError(
            f"{path.parent}: has no {ONNX_FILE}; cnncli export {path.parent} writes it"
        )
    if how:
        reporter.note(f"checkpoint: {exported} ({how})")
    return exported


def _tell_other_array(sample: GoldenSample, preprocess: Preprocess) -> str:
    """Return how the array of a sample's files differs from the one it holds; empty if not."""
    try:
        array = preprocess(sample.files)
    except (ImageError, OSError, ValueError) as error:
        return f"its files cannot be read here ({error})"
    if array.shape == sample.array.shape and np.array_equal(array, sample.array):
        return ""
    apart = np.abs(array.astype(np.float64) - sample.array).max()
    return (
        f"its files become another array here, by up to {apart:.3g}: images are decoded or "
        "resized in another way than where the network was exported"
    )
