"""What the page says of a run besides its figures: versions, images, settings, network."""

from __future__ import annotations

import csv
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from cnncli.choices import SPLITS, format_channels, format_size
from cnncli.config import keys_that_name_files
from cnncli.data.exclude import load_excluded
from cnncli.data.split_file import NO_FOLD, SplitFile
from cnncli.errors import count_of
from cnncli.files import (
    BAD_IMAGES_FILE,
    CANDIDATES_FILE,
    CONFIG_FILE,
    EXCLUDED_FILE,
    NOTE_FILE,
    SPLITS_FILE,
)
from cnncli.models.pretrained.digest import KEY
from cnncli.models.pretrained.tensor_file import read_meta
from cnncli.models.registry import names_several, short_name
from cnncli.models.tracing.summary import LayerRow, add_up, summarise
from cnncli.recipes.report.data_check import count_copies
from cnncli.run.kept_out import load_kept_out, load_unsplit
from cnncli.run.read_folder import RunRecord
from cnncli.training.checkpoint import Checkpoint
from cnncli.training.find_run import list_folds

Row = Mapping[str, Any]
_DEPTH = 3  # of the names in the network's table, in parts


def describe_flow(run_dir: Path, splits: SplitFile | None, *, is_lost: bool = False) -> list[Row]:
    """Return how many images and groups went where; empty without ``splits.csv``.

    Args:
        run_dir: The run's folder.
        splits: Its ``splits.csv``.
        is_lost: Whether there is one that is not the run's any more: then no number is known.
    """
    if splits is None:
        unknown = ("found", *SPLITS) if is_lost else ()
        return [{"what": name, "images": None, "groups": None} for name in unknown]
    listed = load_excluded(run_dir)
    kept_out, unsplit = len(load_kept_out(run_dir) & listed.keys()), len(load_unsplit(run_dir))
    left_out = {
        f"cannot be read ({BAD_IMAGES_FILE})": _count_rows(run_dir / BAD_IMAGES_FILE),
        f"excluded on request ({EXCLUDED_FILE})": len(listed) - kept_out - unsplit,
    }
    if unsplit:
        left_out["without a split in the file of --splits"] = unsplit
    if kept_out:
        left_out["kept out for test by the cross-validation"] = kept_out

    def count(what: str, chosen: Any) -> Row:
        groups = splits.groups[chosen]
        named = len(np.unique(groups[groups != ""])) or None
        return {"what": what, "images": len(groups), "groups": named}

    found = len(splits.paths) + sum(left_out.values())
    parts = {str(name): splits.splits == number for number, name in enumerate(SPLITS)}
    if list_folds(run_dir):
        parts = {"kept out of all folds for test": splits.folds == NO_FOLD}
        known = np.unique(splits.folds[splits.folds != NO_FOLD]).tolist()
        parts |= {f"fold {number}": splits.folds == number for number in known}
    bad, *others = left_out.items()
    copies = count_copies(splits)
    return [
        {**count("found", splits.splits == splits.splits), "images": found},
        *(
            {"what": what, "images": number, "groups": None}
            for what, number in (bad, ("used, with the bytes of another image", copies), *others)
        ),
        *(count(name, chosen) for name, chosen in parts.items()),
    ]


def _count_rows(path: Path) -> int:
    """Return the number of rows of a CSV below its header; 0 for no file."""
    if not path.is_file():
        return 0
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return max(0, sum(1 for _ in csv.reader(file)) - 1)


def describe_run(
    record: RunRecord,
    files: Sequence[Path],
    checkpoint: Checkpoint,
    *,
    with_names: bool,
    has_other_splits: bool = False,
) -> list[tuple[str, str]]:
    """Return names and texts of what the run, or the cross-validation, was.

    Args:
        record: What its files say.
        files: The files of its networks.
        checkpoint: The first of these.
        with_names: Whether paths and notes may be told.
        has_other_splits: Whether its ``splits.csv`` is another by now.
    """
    settings = record.settings
    data = str(settings.get("data", "")) if with_names else "(left out: --no-names)"
    versions = ", ".join(f"{name} {version}" for name, version in checkpoint.versions.items())
    kept = f"epoch {checkpoint.epoch}" if checkpoint.epoch else "the fitted head"
    epochs = str(len(record.epochs)) if record.has_kept_epoch else "not known"
    splits = str((record.report or {}).get("splits_hash", ""))
    splits += f" (of the run; {SPLITS_FILE} has another by now)" * has_other_splits
    note = record.path / NOTE_FILE
    has_note = note.is_file() and with_names  # a person wrote it
    facts = [
        ("run" if len(files) == 1 else "cross-validation", record.path.resolve().name),
        ("folds", _describe_folds(files)),
        ("note", note.read_text("utf-8", "replace").strip() if has_note else ""),
        ("data", data),
        ("network", _describe_network(record, checkpoint)),
        ("classes", str(len(checkpoint.class_names))),
        ("epochs", f"{epochs}; kept: {kept}" if len(files) == 1 else ""),
        ("temperature of the weights", _describe_temperature(files, checkpoint)),
        ("seed", str(settings.get("seed", ""))),
        ("versions", versions),
        *_list_digests(files),
        ("fingerprint of the splits (digest)", splits),
    ]
    return [(name, text) for name, text in facts if text]


def _describe_temperature(files: Sequence[Path], checkpoint: Checkpoint) -> str:
    """Return by what a run's network divides its logits; empty where it does not."""
    if checkpoint.temperature == 1 or len(files) > 1:
        return ""
    return f"{checkpoint.temperature:.4g}, fitted on val: it makes the network less sure"


def _list_digests(files: Sequence[Path]) -> list[tuple[str, str]]:
    """Return names and digests of the networks' weights."""
    texts = [str(read_meta(path).get(KEY, "")) or "none: of an earlier version" for path in files]
    if len(files) == 1:
        return [("fingerprint of the weights (digest)", texts[0])]
    return [
        (f"fingerprint of the weights of fold {number}", text)
        for number, text in enumerate(texts, start=1)
    ]


def _describe_folds(files: Sequence[Path]) -> str:
    """Return how many networks a cross-validation has; empty for a run."""
    if len(files) == 1:
        return ""
    return (
        f"{len(files)}, each judged by a network that was trained on the images of the others "
        "(out of fold)"
    )


def _describe_network(record: RunRecord, checkpoint: Checkpoint) -> str:
    pre = checkpoint.preprocess
    size = f"{format_channels(pre.channels)}, {format_size(pre.image_size)} px ({pre.resize_mode})"
    parameters = "" if record.parameters is None else f"{record.parameters:,} parameters, "
    told = f"{short_name(checkpoint.model)}, {parameters}{size}"
    if names_several(str(record.settings.get("model", ""))):
        return f"{told} in fold 1; each fold has chosen its own ({CANDIDATES_FILE})"
    return told


def list_commands(record: RunRecord, *, with_names: bool) -> list[tuple[str, str]]:
    """Return the lines that train the run again, and that look at its data."""
    from_weights = record.settings.get("weights", "none") != "none"
    word = "finetune" if from_weights else "train"
    if list_folds(record.path):
        word = f"cross-validate{' --finetune' * from_weights}"
    config = os.path.join(record.path, CONFIG_FILE) if with_names else CONFIG_FILE
    data = str(record.settings.get("data", "DATA")) if with_names else "DATA"
    return [
        ("train it again", f"cnncli {word} --config {config}"),
        ("check the data", f"cnncli check-data {data}{_name_columns(record, with_names)}"),
    ]


def _name_columns(record: RunRecord, with_names: bool) -> str:
    """Return the flags by which the run found labels, splits and groups."""
    keys = ("image_col", "label_col", "split_col", "group_col", "group_regex")
    given = {key: record.settings.get(key) for key in keys} if with_names else {}
    flags = {key.replace("_", "-"): str(value) for key, value in given.items() if value}
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in flags.items())


def describe_layers(
    network: nn.Module, checkpoint: Checkpoint, *, in_haste: bool = False
) -> tuple[str, list[Row]]:
    """Return what the network is in a line, and the rows of its table.

    Args:
        network: The network.
        checkpoint: The classifier that it is of.
        in_haste: Whether to leave the table out where torch would first import its compiler, which
            takes a second or two. After a training that is done.
    """
    pre = checkpoint.preprocess
    if in_haste and "torch._dynamo" not in sys.modules:
        return f"{short_name(checkpoint.model)}; cnncli inspect-layers lists its layers", []
    try:
        layers = summarise(network, pre.image_size, pre.channels, depth=_DEPTH)
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).split("\n")[0]
        return f"{short_name(checkpoint.model)}; its layers cannot be listed ({reason})", []
    totals = add_up(layers)
    told = (
        f"{short_name(checkpoint.model)}: {count_of(totals.parameters, 'parameter')}, "
        f"{count_of(totals.macs, 'multiply-accumulate')} for an image of "
        f"{format_size(pre.image_size)} pixels"
    )
    return told, [_describe_layer(layer) for layer in layers]


def _describe_layer(layer: LayerRow) -> Row:
    size = None if layer.field is None else layer.field.size
    return {
        "name": layer.name or "(the network)",
        "type": layer.type,
        "output": "×".join(map(str, layer.output_shape or ())),
        "parameters": f"{layer.parameters:,}",
        "macs": f"{layer.macs:,}",
        "field": "" if size is None else "×".join(map(str, size)) if type(size) is tuple else size,
    }


def hide_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without those that may name people: where the data and tables lie."""
    hidden = keys_that_name_files()
    return {k: "(left out: --no-names)" if k in hidden and v else v for k, v in settings.items()}
