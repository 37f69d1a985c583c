"""The job of ``export``: a run's network as a file for other programs, checked against torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from cnncli.choices import EXPORT_SUFFIXES, ExportFormat
from cnncli.errors import CnncliError, count_of, shorten
from cnncli.export.golden import COUNT
from cnncli.export.graph import check_size
from cnncli.export.openvino_file import OpenvinoModel, load_openvino
from cnncli.export.parity import Parity
from cnncli.export.reference import (
    can_reproduce,
    check_replaced,
    name_reference,
    write_reference,
)
from cnncli.files import BEST_FILE, ONNX_FILE, check_output_file, write_atomically
from cnncli.images.preprocess import Preprocess
from cnncli.models.registry import short_name
from cnncli.reporting import Reporter
from cnncli.run.afters import After, FinishedRun
from cnncli.run.members import find_members
from cnncli.run.split_images import SplitImages
from cnncli.run.write_int8 import make_int8
from cnncli.run.write_onnx import (
    compare_with_torch,
    find_val_images,
    load_run_network,
    make_onnx,
)

# The most seconds that val images are compared: for the command, and at the end of a run.
_SECONDS, _SECONDS_AFTER = 30.0, 1.0
# Seconds of a core that the smallest network's file takes, imports and comparison included, and
# each layer; a run whose time limit leaves less is not held up for it.
_SECONDS_LEAST, _SECONDS_PER_LAYER = 1.5, 0.02


@dataclass(frozen=True)
class ExportSettings:
    """What to export.

    Attributes:
        run: Run folder, part of a run's name, or a checkpoint; None for the newest finished run.
        output: The file; None for one beside the checkpoint.
        golden_from_val: Whether the golden samples are val images in place of drawn pictures.
        int8: Whether weights and activations have 8 bits.
        kind: ``onnx``, or ``openvino`` for OpenVINO's two files.
    """

    run: str | None = None
    output: Path | None = None
    golden_from_val: bool = False
    int8: bool = False
    kind: ExportFormat = "onnx"


def export_run(settings: ExportSettings, reporter: Reporter) -> Path:
    """Write a run's network as an ONNX file, and a script of its preprocessing beside it.

    Args:
        settings: What to export.
        reporter: Is told what was compared; gets warnings.

    Returns:
        The file.

    Raises:
        CnncliError: If there is no such run, torch's exporter cannot write its network, or the
            written network does not answer as torch does; there is then no file.
    """
    if settings.kind == "openvino":
        load_openvino()
    path = _find_checkpoint(settings.run, reporter)
    output = settings.output or _choose_output(path, settings)
    network = load_run_network(path, reporter)
    check_replaced(output, network.subject.preprocess)
    images = find_val_images(network.subject, reporter)
    if images is None and (settings.golden_from_val or settings.int8):
        flag = "--golden-from-val" if settings.golden_from_val else "--int8"
        raise CnncliError(f"{flag}: needs the run's val images, and none can be read")
    chosen = list(images.read(COUNT)) if settings.golden_from_val and images else []
    if settings.golden_from_val and not chosen:
        raise CnncliError("--golden-from-val: none of the val images that were chosen can be read")
    data, parity = make_onnx(network, images, chosen, reporter, seconds=_SECONDS)
    told = _tell(parity, images)
    if settings.int8 and images is not None:
        data, judgement = make_int8(network, data, images)
        told = judgement.describe()
    if settings.kind == "openvino":
        model = OpenvinoModel(data)
        told = _tell(compare_with_torch(network, model, images, seconds=_SECONDS), images)
        model.save(output)
    else:
        write_atomically(output, lambda part: part.write_bytes(data))
    reporter.note(f"{output}: {told}")
    _write_script(output, network.subject.preprocess, reporter)
    if chosen:
        names = shorten([image.path for image in chosen])
        reporter.warn(
            f"{output} holds {count_of(len(chosen), 'val image')} of the run ({names}), which go "
            "wherever the file goes"
        )
    return output


def onnx_after() -> After:
    """Return what makes ``best.onnx`` in the folder of a run that has just finished."""
    return After(ONNX_FILE, "cnncli export {folder}", _export_finished)


def _export_finished(run: FinishedRun, reporter: Reporter) -> None:
    """Write ``best.onnx`` into the folder of a run that has finished.

    Args:
        run: The run.
        reporter: Is told what was compared, or that there is no time left for it.

    Raises:
        CnncliError: As `export_run` does.
    """
    begun, used = time.monotonic(), time.process_time()
    network = load_run_network(run.folder / BEST_FILE, reporter)
    try:
        check_size(network.classifier, short_name(network.subject.model))
    except CnncliError as error:  # no other command makes it either
        reporter.warn(f"no {ONNX_FILE}: {error}")
        return
    # Beside busy processes all takes longer: as much as this has.
    slower = (time.monotonic() - begun) / max(1e-3, time.process_time() - used)
    layers = sum(1 for part in network.classifier.modules() if not any(part.children()))
    needed = max(1.0, slower) * (_SECONDS_LEAST + _SECONDS_PER_LAYER * layers)
    if run.left is not None and run.left < needed:
        reporter.note(
            f"no {ONNX_FILE}: it takes some {needed:.0f} s, and {run.left:.1f} s are left of "
            f"--time-limit; to make it: cnncli export {run.folder}"
        )
        return
    images = find_val_images(network.subject, reporter, run.samples)
    data, parity = make_onnx(
        network, images, [], reporter, seconds=_SECONDS_AFTER, is_hurried=run.left is not None
    )
    write_atomically(run.folder / ONNX_FILE, lambda part: part.write_bytes(data))
    reporter.note(f"{run.folder / ONNX_FILE}: {_tell(parity, images)}")


def _write_script(output: Path, preprocess: Preprocess, reporter: Reporter) -> None:
    """Write the preprocessing as a script beside the network, where a script can do it."""
    path = output.with_name(name_reference(output.name))
    if not can_reproduce(preprocess):
        reporter.note(f"no {path.name}: it does not know transparent images")
        return
    script = write_reference(path, preprocess, output.name)
    reporter.note(f"{script}: from image files to the network's input, as cnncli does it")


def _find_checkpoint(given: str | None, reporter: Reporter) -> Path:
    _, files, how = find_members(given, flag="")
    if len(files) > 1:
        raise CnncliError(
            f"{files[0].parent.parent}: a cross-validation of {len(files)} networks, and a file "
            f"holds one; export one of them: cnncli export {files[0].parent}"
        )
    if how:
        reporter.note(f"checkpoint: {files[0]} ({how})")
    return files[0]


def _choose_output(path: Path, settings: ExportSettings) -> Path:
    stem = Path(ONNX_FILE).stem if path.name == BEST_FILE else path.stem
    name = f"{stem}{'.int8' * settings.int8}{EXPORT_SUFFIXES[settings.kind]}"
    return check_output_file(str(path.with_name(name)))


def _tell(parity: Parity, images: SplitImages | None) -> str:
    of = "val image" if images is not None else "drawn picture"
    return f"{parity.describe()} on {count_of(parity.images, of)}"
