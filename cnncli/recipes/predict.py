"""Predict: one row for each image, in the order of the inputs, as soon as it is known."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, compress, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import Engine, Precision
from cnncli.data.inputs import expand_inputs, group_files, select_shard
from cnncli.errors import CnncliError
from cnncli.reporting import Reporter
from cnncli.run.decision import Decision, warn_of_views
from cnncli.run.engines import load_networks
from cnncli.run.fingerprint import fingerprint
from cnncli.run.networks import EngineSettings, Ensemble, Loaded
from cnncli.run.odd_images import find_dark, has_raw_name, is_unlike_training
from cnncli.run.prediction_row import Row, build_row, build_unreadable_row
from cnncli.run.read_ahead import LoadedImage, read_batches
from cnncli.training.distributed import ALONE, World

if TYPE_CHECKING:
    from cnncli.augmentation.notation import Tta


@dataclass(frozen=True)
class PredictSettings:
    """How to predict.

    Attributes:
        checkpoints: Run folders, cross-validations or checkpoints, whose probabilities are
            averaged; empty for the newest finished run.
        model: Network of the registry that predicts in place of a run; None for a run.
        weights: Its weights: ``default``, a name, or the path of a file.
        top_k: Number of classes per row, the most probable first.
        probabilities: Whether rows also hold the probability of every class.
        nested: Whether these are a dict by class, as for JSON, or a column for each, as for CSV.
        batch_size: Largest number of images per forward pass.
        device: The device as torch names it, or ``auto``.
        precision: The precision to compute in; None for exact float32.
        tta: Views of each image, over which the probabilities are averaged; None for the image
            alone.
        image_col: Names of the columns of images of a table; None looks for the usual ones.
        shard: ``(I, N)`` takes the I-th of every N inputs, I from 1.
        engine: What computes; ``auto`` takes ONNX Runtime where it gives the same answers.
        raw: Whether the decision that lies beside a run's weights is left out.
        abstain_below: Labels with a smaller probability are withheld; None for what the decision
            says.
    """

    checkpoints: tuple[str, ...] = ()
    model: str | None = None
    weights: str = "default"
    top_k: int = 1
    probabilities: bool = False
    nested: bool = False
    batch_size: int = 32
    device: str = "auto"
    precision: Precision | None = None
    tta: Tta | None = None
    engine: Engine = "auto"
    image_col: str | None = None
    shard: tuple[int, int] = (1, 1)
    raw: bool = False
    abstain_below: float | None = None


class Predictor:
    """Predicts the classes of images with checkpoints, or with a network of the registry.

    Attributes:
        settings: How to predict.
        reporter: Gets remarks.
        world: The processes that work together.
        ensemble: The networks; mostly one.
        class_names: The names of the K classes.
        preprocess: Turns the content of an image file into the first network's input.
        decision: What is done with the probabilities.
        precision: The precision that the networks are computed in.
        top_k: Number of classes per row, at most K.
        odd: Number of the images predicted so far, and the path of the first, that are ``unlike``
            the training images, ``coloured`` for a grey network, or ``dark``: fractions for one
            of levels; ``raw`` are those whose names are not UTF-8. They are of all processes
            when all rows are there.
    """

    def __init__(self, settings: PredictSettings, reporter: Reporter, world: World = ALONE) -> None:
        """Load the networks.

        Args:
            settings: How to predict.
            reporter: Gets remarks.
            world: The processes that work together.

        Raises:
            CnncliError: If the network cannot be used, or two columns would have one name.
        """
        self.settings = settings
        self.reporter = reporter
        self.odd = dict.fromkeys(("unlike", "coloured", "dark", "raw"), (0, ""))
        self.world = world
        loaded = self._load()
        self.ensemble = Ensemble(loaded.networks)
        self.class_names = self.ensemble.class_names
        self.preprocess = self.ensemble.forms[0]
        self.decision = loaded.decision or Decision(self.class_names)
        warn_of_views(loaded.decision, settings.tta, reporter)
        self._settle_abstaining()
        self._rest = loaded.rest_of(self.decision)
        self.precision = loaded.networks[0].precision
        self.top_k = min(settings.top_k, len(self.class_names))
        places = {str(place) for place in range(2, self.top_k + 1)}
        clash = sorted(places & set(self.class_names)) if settings.probabilities else []
        if clash and not settings.nested:
            raise CnncliError(
                f"--top-k {settings.top_k} with --probabilities: column probability_{clash[0]} "
                f"would be both place {clash[0]} and class {clash[0]!r}; use --format jsonl, "
                "which keeps them apart"
            )

    def _settle_abstaining(self) -> None:
        """Let labels be withheld as the settings say, or the decision."""
        asked = self.settings.abstain_below
        if asked is None and self.decision.abstain_below is None:
            return
        from cnncli.run.decide import check_no_abstain, warn_of_abstaining

        if asked is not None:
            self.decision = replace(self.decision, abstain_below=asked)
            warn_of_abstaining(self.decision, self.reporter)
        check_no_abstain(self.class_names)

    def _load(self) -> Loaded:
        """Load the networks, with what is to compute them."""
        given = self.settings
        engine = EngineSettings(given.engine, given.device, given.precision, given.tta, given.raw)
        if given.model is None:
            return load_networks(given.checkpoints, engine, self.reporter, self.world)
        from cnncli.run.torch_network import load_registered

        return load_registered(given.model, given.weights, engine, self.reporter, self.world)

    @property
    def columns(self) -> list[str]:
        """The names of the CSV's columns, or the keys of a row of JSON."""
        names = ["path", "label", "probability"]
        for place in range(2, self.top_k + 1):
            names += [f"label_{place}", f"probability_{place}"]
        if self.settings.probabilities and not self.settings.nested:
            names += [f"probability_{name}" for name in self.class_names]
        elif self.settings.probabilities:
            names.append("probabilities")
        return [*names, *self._withheld, "error"]

    @property
    def fingerprint(self) -> str:
        """What tells the answers of this network from those of another: 12 hex digits."""
        digests = [network.digest for network in self.ensemble.networks]
        how = (self.settings.tta, self.precision)
        return fingerprint(digests, self.class_names, self.decision, *how)

    @property
    def _withheld(self) -> list[str]:
        """The column of the class whose label may be withheld; empty where none is."""
        return [] if self.decision.abstain_below is None else ["suggested"]

    def list_files(self, inputs: Sequence[str], stdin: TextIO) -> Iterator[tuple[str, ...]]:
        """Yield the paths of the files of each image, in the order of the inputs.

        Args:
            inputs: Files, folders, glob patterns and tables; ``-`` reads paths from ``stdin``.
            stdin: Paths of images, one a line.

        Raises:
            CnncliError: If an input does not exist, or if several processes would have to read
                stdin.
        """
        world, count = self.world, self.preprocess.count_files
        if world.size > 1 and "-" in inputs:
            raise CnncliError(
                "predict -: torchrun's processes have one stdin between them; name folders or "
                "globs, or give each process its part of the list: cnncli predict --shard I/N"
            )

        def find(table: Path) -> list[str]:
            from cnncli.data.table_inputs import list_table

            column, tell = self.settings.image_col, self.reporter.note
            return list_table(table, image_col=column, count=count, tell=tell)

        files = group_files(expand_inputs(inputs, stdin, find), count)
        return select_shard(files, self.settings.shard)

    def predict(self, files: Iterator[tuple[str, ...]]) -> Generator[Row, None, None]:
        """Yield a row for each image, as `predict_batches` does, one by one."""
        with closing(self.predict_batches(files)) as batches:
            for rows in batches:
                yield from rows

    def predict_batches(self, files: Iterator[tuple[str, ...]]) -> Generator[list[Row], None, None]:
        """Yield a row for each image, with all columns; ``error`` is empty if it could be read.

        Rows come together if their images were answered together: what is behind them may have to
        be waited for. The memory needed does not grow with the number of images. Each of several
        processes predicts a part of them; rank 0 yields the rows of all, in the order of the
        inputs, and the other processes yield none.

        Args:
            files: The paths of the files of each image, as `list_files` yields them.

        Raises:
            CnncliError: If the network's probabilities are not finite.
        """
        world = self.world
        if world.size == 1:
            yield from self._predict(files)
            return
        part = select_shard(files, (world.rank + 1, world.size))
        rows = chain.from_iterable(self._predict(part))
        count = self.settings.batch_size
        is_over = False
        while not is_over:  # process r has predicted every size-th file, from file r on
            turns = world.gather(list(islice(rows, count)))
            is_over = len(turns[0]) < count  # no other process has more than rank 0
            if world.is_first:
                yield [row for turn in zip_longest(*turns) for row in turn if row]
        parts = world.gather(self.odd)
        self.odd = {kind: _sum_up([part[kind] for part in parts]) for kind in self.odd}

    def _predict(self, files: Iterator[tuple[str, ...]]) -> Iterator[list[Row]]:
        """Yield the rows of this process's images, each given as the paths of its files."""
        for batch in read_batches(files, self.ensemble.forms, self.settings.batch_size):
            images = [image for _, image, _, _ in batch if not isinstance(image, str)]
            answers: Iterator[tuple[Array, int, bool, bool]] = iter(())
            if images:
                stacked = [np.stack(form) for form in zip(*images, strict=True)]
                probabilities, labels, held = self._rest.decide(self.ensemble.answer(stacked))
                dark = find_dark(stacked[0], self.preprocess)
                answers = zip(probabilities, labels.tolist(), held.tolist(), dark, strict=True)
            yield [self._take(loaded, answers) for loaded in batch]

    def _take(self, loaded: LoadedImage, answers: Iterator[tuple[Array, int, bool, bool]]) -> Row:
        """Return the row of an image, and take its answer if it could be read."""
        path, image, cut, is_coloured = loaded
        if has_raw_name(path):
            self._count("raw", path)
        if isinstance(image, str):
            return self._unreadable_row(path, image)
        probability, label, is_withheld, is_dark = next(answers)
        if cut or is_coloured or is_dark:
            found = (is_unlike_training(cut, self.preprocess), is_coloured, is_dark)
            for kind in compress(self.odd, found):
                self._count(kind, path)
        return self._row(path, probability, label, is_withheld)

    def _count(self, kind: str, path: str) -> None:
        """Count an image that is odd in some way."""
        count, first = self.odd[kind]
        self.odd[kind] = count + 1, first or path

    def _row(self, path: str, probabilities: Array, label: int, is_withheld: bool) -> Row:
        """Return the row of an image by its probabilities (K,) and the class it is given."""
        row = build_row(
            path,
            probabilities,
            self.class_names,
            label=label,
            is_withheld=is_withheld if self._withheld else None,
            top_k=self.top_k,
            every=self.settings.probabilities,
        )
        if self.settings.probabilities and not self.settings.nested:
            by_class = dict(zip(self.class_names, probabilities.round(6).tolist(), strict=True))
            del row["probabilities"]
            row |= {f"probability_{name}": value for name, value in by_class.items()}
        return row

    def _unreadable_row(self, path: str, reason: str) -> Row:
        """Return the row of an image that cannot be read: the columns of the others, empty."""
        row = build_unreadable_row(
            path,
            reason,
            top_k=self.top_k,
            every=self.settings.probabilities and self.settings.nested,
            may_abstain=bool(self._withheld),
        )
        return row if self.settings.nested else {**dict.fromkeys(self.columns), **row}


def _sum_up(parts: Sequence[tuple[int, str]]) -> tuple[int, str]:
    """Return the number of images of all processes, and the path of the first of them."""
    found = [part for part in parts if part[0]]
    return sum(count for count, _ in found), found[0][1] if found else ""
