"""The job of ``export``: a run's network as a file for other programs, checked against torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cnncli import __version__
from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.data.splits import VAL
from cnncli.engine.metadata import MOST_OF_ARRAY, GoldenSample, ModelMetadata
from cnncli.errors import RUNTIME_FAILURE, CnncliError, count_of, shorten
from cnncli.export.golden import COUNT, draw_pictures
from cnncli.export.graph import build_graph, set_temperature, to_bytes
from cnncli.export.parity import MOST_APART, OnnxModel, Parity, compare_networks
from cnncli.export.reference import REFERENCE_FILE, can_reproduce, write_reference
from cnncli.files import BEST_FILE, ONNX_FILE, check_output_file, write_atomically
from cnncli.images.preprocess import Preprocess
from cnncli.models.registry import short_name
from cnncli.reporting import Reporter
from cnncli.run.afters import After, FinishedRun
from cnncli.run.decision import Decision, find_decision_file, load_decision
from cnncli.run.members import find_members
from cnncli.run.split_images import SplitImage, SplitImages, find_split_images
from cnncli.run.subject import Subject
from cnncli.training.checkpoint import load_checkpoint

# The most val images that are compared, and the most seconds that this takes: for the command, and
# at the end of a run.
_MOST_IMAGES = 500
_SECONDS, _SECONDS_AFTER = 30.0, 1.0
# Bytes of golden samples that hold images of the run.
_MOST_OF_GOLDEN = 2**25
# Seconds that torch's exporter takes for the smallest network, and for each layer, on a slow core;
# a run whose time limit leaves less is not held up for it.
_SECONDS_LEAST, _SECONDS_PER_LAYER = 4.0, 0.06


@dataclass(frozen=True)
class ExportSettings:
    """What to export.

    Attributes:
        run: Run folder, part of a run's name, or a checkpoint; None for the newest finished run.
        output: The file; None for one beside the checkpoint.
        golden_from_val: Whether the golden samples are val images in place of drawn pictures.
    """

    run: str | None = None
    output: Path | None = None
    golden_from_val: bool = False


@dataclass(frozen=True)
class _Network:
    """A run's network on the CPU, and what its file is to say.

    Attributes:
        subject: The network with its decision.
        digest: The digest of its checkpoint.
        classifier: Normalisation, network and softmax.
    """

    subject: Subject
    digest: str
    classifier: torch.nn.Module

    def answer(self, images: Array) -> Array:
        """Return the probabilities (N, K) of images (N, H, W, C), after the temperature."""
        with torch.inference_mode():
            found = self.classifier(torch.from_numpy(images)).double().numpy()
        decision = self.subject.decision
        return np.asarray(found if decision is None else decision.adjust(found))


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
    path = _find_checkpoint(settings.run, reporter)
    output = settings.output or _choose_output(path)
    network = _load(path, reporter)
    images = _find_val(network.subject, reporter)
    if settings.golden_from_val and images is None:
        raise CnncliError("--golden-from-val: the run's val images are not there to be taken")
    chosen = list(images.read(COUNT)) if settings.golden_from_val and images else []
    data, parity = _make(network, images, chosen, seconds=_SECONDS)
    write_atomically(output, lambda part: part.write_bytes(data))
    reporter.note(f"{output}: {_tell(parity, images)}")
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
    network = _load(run.folder / BEST_FILE, reporter)
    layers = sum(1 for part in network.classifier.modules() if not any(part.children()))
    needed = _SECONDS_LEAST + _SECONDS_PER_LAYER * layers
    if run.left is not None and run.left < needed:
        reporter.note(
            f"no {ONNX_FILE}: it takes some {needed:.0f} s, and {run.left:.1f} s are left of "
            f"--time-limit; to make it: cnncli export {run.folder}"
        )
        return
    images = _find_val(network.subject, reporter, run.samples)
    data, parity = _make(network, images, [], seconds=_SECONDS_AFTER)
    write_atomically(run.folder / ONNX_FILE, lambda part: part.write_bytes(data))
    reporter.note(f"{run.folder / ONNX_FILE}: {_tell(parity, images)}")


def _write_script(output: Path, preprocess: Preprocess, reporter: Reporter) -> None:
    """Write the preprocessing as a script beside the network, where a script can do it."""
    if not can_reproduce(preprocess):
        reporter.note(f"no {REFERENCE_FILE}: it does not know transparent images")
        return
    script = write_reference(output.parent / REFERENCE_FILE, preprocess, output.name)
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


def _choose_output(path: Path) -> Path:
    name = ONNX_FILE if path.name == BEST_FILE else f"{path.stem}.onnx"
    return check_output_file(str(path.with_name(name)))


def _load(path: Path, reporter: Reporter) -> _Network:
    network, checkpoint = load_checkpoint(path)
    names = checkpoint.class_names
    subject = Subject(
        model=checkpoint.model,
        network=network,
        preprocess=checkpoint.preprocess,
        class_names=names,
        checkpoint=path,
        is_trained=True,
        decision=load_decision(path, checkpoint.digest, names, reporter),
    )
    return _Network(subject, checkpoint.digest, subject.classifier())


def _find_val(
    subject: Subject, reporter: Reporter, samples: Samples | None = None
) -> SplitImages | None:
    """Return the run's val images; None, with a warning, if they are not there.

    Args:
        subject: The run's network.
        reporter: Gets the warning.
        samples: The run's images, if they are at hand.
    """
    assert subject.checkpoint is not None
    names, preprocess = subject.class_names, subject.preprocess
    try:
        return find_split_images(subject.checkpoint, names, preprocess, VAL, samples)
    except CnncliError as error:
        reporter.warn(f"compared on drawn pictures, and not on the run's val images: {error}")
        return None


def _make(
    network: _Network, images: SplitImages | None, chosen: list[SplitImage], *, seconds: float
) -> tuple[bytes, Parity]:
    """Return the content of the file, and how it compares with torch.

    Args:
        network: The network.
        images: Val images to compare it on; None for the drawn pictures alone.
        chosen: Val images that become its golden samples; empty for drawn pictures.
        seconds: So long images are compared.
    """
    subject = network.subject
    name, preprocess = short_name(subject.model), subject.preprocess
    drawn = [(files, preprocess(files)) for files in draw_pictures(preprocess)]
    example = drawn[0][1]
    model = build_graph(network.classifier, example, name)
    decision = subject.decision
    set_temperature(model, None if decision is None else decision.temperature)
    pairs = [(image.files, image.array) for image in chosen] or drawn
    metadata = ModelMetadata(
        class_names=subject.class_names,
        preprocess=preprocess,
        weights_digest=network.digest,
        decision=_read_decision(subject.checkpoint, decision),
        golden=_answer_golden(network, pairs),
        golden_source="val" if chosen else "seed",
        model=subject.model,
        version=__version__,
    )
    data = to_bytes(model, metadata.to_props())
    del model
    parity = compare_networks(
        network.answer,
        OnnxModel(data, torch.get_num_threads()),
        _list_arrays(images, [array for _, array in drawn]),
        seconds=seconds,
    )
    if not parity.is_kept:
        raise CnncliError(
            f"{name}: the exported network does not answer as torch does ({parity.describe()}, on "
            f"{count_of(parity.images, 'image')}; at most {MOST_APART:g} is allowed): not written",
            exit_code=RUNTIME_FAILURE,
        )
    return data, parity


def _list_arrays(images: SplitImages | None, drawn: list[Array]) -> Iterator[Array]:
    """Yield what is compared: val images, or else the drawn pictures, often enough for batches."""
    found = 0
    for image in images.read(_MOST_IMAGES) if images is not None else ():
        found += 1
        yield image.array
    if not found:
        for number in range(10):
            yield np.roll(drawn[number % len(drawn)], number, axis=1)


def _answer_golden(
    network: _Network, pairs: list[tuple[tuple[bytes, ...], Array]]
) -> tuple[GoldenSample, ...]:
    """Return golden samples of files and the arrays that they give; none of very large arrays."""
    if pairs[0][1].nbytes > MOST_OF_ARRAY:
        return ()
    size = sum(len(data) for files, _ in pairs for data in files)
    if size > _MOST_OF_GOLDEN:
        raise CnncliError(
            f"--golden-from-val: the files of {len(pairs)} val images have {size / 2**20:.0f} MiB; "
            f"at most {_MOST_OF_GOLDEN / 2**20:.0f} MiB are put into a file; leave it out"
        )
    answers = network.answer(np.stack([array for _, array in pairs]))
    return tuple(
        GoldenSample(files, array, answer)
        for (files, array), answer in zip(pairs, answers, strict=True)
    )


def _read_decision(checkpoint: Path | None, decision: Decision | None) -> dict[str, object] | None:
    """Return what the decision's file holds; it was read and checked before."""
    file = None if checkpoint is None or decision is None else find_decision_file(checkpoint)
    if file is None:
        return None
    content: dict[str, object] = json.loads(file.read_text("utf-8"))
    return content


def _tell(parity: Parity, images: SplitImages | None) -> str:
    of = "val image" if images is not None else "drawn picture"
    return f"{parity.describe()} on {count_of(parity.images, of)}"
