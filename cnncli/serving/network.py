"""The network that a server asks: from the bytes of files to rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnncli.arrays import Array
from cnncli.errors import CnncliError
from cnncli.files import run_dir_of
from cnncli.images.formats import read_header
from cnncli.images.header import Header, ImageError, TooLargeError
from cnncli.plots.grid import to_picture
from cnncli.reporting import Reporter, SilentReporter
from cnncli.run.decide import check_no_abstain
from cnncli.run.decision import Decision, warn_of_views
from cnncli.run.engines import load_networks
from cnncli.run.networks import EngineSettings, Ensemble
from cnncli.run.odd_images import (
    find_dark,
    is_unlike_training,
    warn_of_colour,
    warn_of_dark_files,
    warn_unlike_training,
)
from cnncli.run.prediction_row import Row, build_row, build_unreadable_row
from cnncli.serving.picture import draw_small, to_data_uri
from cnncli.training.distributed import ALONE

if TYPE_CHECKING:
    from cnncli.run.networks import Network
    from cnncli.serving.heat import HeatMaps

_RGBA_BITS = 4 * 16


@dataclass(frozen=True)
class Wanted:
    """What a request wants to know of its images.

    Attributes:
        top_k: Number of classes, the most probable first.
        probabilities: Whether the probability of every class is wanted.
        heat_map: Whether a heat map of the class that an image is given is wanted, and the picture.
    """

    top_k: int = 1
    probabilities: bool = False
    heat_map: bool = False


@dataclass(frozen=True)
class Ready:
    """An image that is ready for the network.

    Attributes:
        pixels: (H, W, C) in each form that the networks take, as `Preprocess` makes it.
        picture: (H', W', C') as a person sees it; None where no heat map is wanted.
        remarks: What is odd about it.
    """

    pixels: tuple[Array, ...]
    picture: Array | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What the network says of an image.

    Attributes:
        probabilities: (K,) after the temperature of the decision.
        label: The number of the class that it is given.
        is_withheld: Whether the label is withheld.
        heat: (h, w) at least 0, of that class; None where it is not wanted.
    """

    probabilities: Array
    label: int
    is_withheld: bool
    heat: Array | None


class ServedNetwork:
    """The network of a run, or those of a cross-validation, as a server needs them.

    Args:
        checkpoint: What ``--checkpoint`` takes; None for the newest finished run.
        settings: With what to compute.
        reporter: Gets remarks.

    Raises:
        CnncliError: If the network cannot be used.
    """

    def __init__(
        self, checkpoint: str | None, settings: EngineSettings, reporter: Reporter
    ) -> None:
        given = () if checkpoint is None else (checkpoint,)
        try:
            loaded = load_networks(given, settings, reporter, ALONE)
        except CnncliError as error:
            if checkpoint is None:
                raise
            # Here the run is an argument, and no value of --checkpoint.
            raise CnncliError(str(error).removeprefix("--checkpoint ")) from None
        first = loaded.networks[0]
        self.count = len(loaded.networks)
        self.heat_maps = _find_heat_maps(first) if self.count == 1 else None
        self.ensemble = Ensemble(loaded.networks)
        self.class_names, self.preprocess = self.ensemble.class_names, self.ensemble.forms[0]
        self.decision = loaded.decision or Decision(self.class_names)
        self._rest = loaded.rest_of(self.decision)
        warn_of_views(loaded.decision, settings.tta, reporter)
        if self.decision.abstain_below is not None:
            check_no_abstain(self.class_names)
        assert first.checkpoint is not None
        self.model, self.engine = first.model, first.engine
        folder = run_dir_of(first.checkpoint).resolve()
        self.run = folder.name if self.count == 1 else folder.parent.name

    def about(self) -> Row:
        """Return what the page says of the network."""
        maps, decision = self.heat_maps, self.decision
        fitted = {"temperature": decision.temperature}
        if decision.temperature is not None:  # without one, that of the weights is not told
            fitted["temperature_of_weights"] = decision.temperature_of_weights
        return {
            "run": self.run,
            "model": self.model,
            "engine": self.engine,
            "networks": self.count,
            "class_names": list(self.class_names),
            "image_size": list(self.preprocess.image_size),
            "resize_mode": self.preprocess.resize_mode,
            "files_per_image": self.preprocess.count_files,
            "heat_map": None if maps is None else {"method": maps.method, "layer": maps.layer.name},
            "decision": {
                **fitted,
                "positive": decision.positive,
                "threshold": decision.threshold,
                "operating_point": decision.operating_point,
                "abstain_below": decision.abstain_below,
            },
        }

    def read(self, name: str, files: Sequence[bytes], most: int, *, draw: bool) -> Ready:
        """Decode an image.

        Args:
            name: Its name, for remarks.
            files: The files of the sample.
            most: Most pixels of a file, as its header says.
            draw: Whether it is to be shown.

        Raises:
            ImageError: If it cannot be read.
            TooLargeError: If it has too many pixels.
        """
        pre = self.preprocess
        for data, count in zip(files, pre.files or (pre.channels,), strict=False):
            _check_size(read_header(data, count), most)
        try:
            found = [form.read(files) for form in self.ensemble.forms]
            pixels, cuts, coloured = zip(*found, strict=True)
            picture = draw_small(files, pixels[0], pre) if draw else None
        except (OSError, ValueError) as error:  # as `predict` takes them
            raise ImageError(f"cannot be read: {error}") from error
        told, name = _Told(), name or "sent without a name"
        warn_unlike_training(int(is_unlike_training(cuts[0], pre)), name, pre, told)
        warn_of_colour(int(any(coloured)), name, told)
        warn_of_dark_files(sum(find_dark(pixels[0][None], pre)), name, pre, told)
        return Ready(pixels, picture, tuple(told.texts))

    def answer(self, images: Sequence[Ready]) -> list[Answer]:
        """Send images through the network together.

        Raises:
            CnncliError: If the network's probabilities are not finite.
        """
        forms = zip(*(image.pixels for image in images), strict=True)
        stacked = [np.stack(form) for form in forms]
        probabilities, labels, withheld = self._rest.decide(self.ensemble.answer(stacked))
        heats: list[Array | None] = [None] * len(images)
        shown = [place for place, image in enumerate(images) if image.picture is not None]
        if shown and self.heat_maps is not None:
            maps = self.heat_maps.compute(stacked[0][shown], labels[shown].tolist())
            for place, heat in zip(shown, maps, strict=True):
                heats[place] = heat
        judged = zip(probabilities, labels.tolist(), withheld.tolist(), heats, strict=True)
        return [Answer(*each) for each in judged]

    def row(self, name: str, image: Ready, answer: Answer, wanted: Wanted) -> Row:
        """Return what is answered for an image: the row of ``predict``, and what else is wanted."""
        row = build_row(
            name,
            answer.probabilities,
            self.class_names,
            label=answer.label,
            is_withheld=None if self.decision.abstain_below is None else answer.is_withheld,
            top_k=wanted.top_k,
            every=wanted.probabilities,
        )
        if image.remarks:
            row["remarks"] = list(image.remarks)
        if image.picture is not None:
            row["picture"] = to_data_uri(to_picture(image.picture))
            row["heat_map"] = None if answer.heat is None else self._draw(image, answer)
        return row

    def unreadable_row(self, name: str, reason: str, wanted: Wanted) -> Row:
        """Return what is answered for an image that cannot be read."""
        return build_unreadable_row(
            name,
            reason,
            top_k=min(wanted.top_k, len(self.class_names)),
            every=wanted.probabilities,
            may_abstain=self.decision.abstain_below is not None,
        )

    def _draw(self, image: Ready, answer: Answer) -> Row:
        assert image.picture is not None
        assert answer.heat is not None
        assert self.heat_maps is not None
        from cnncli.serving.heat import lay_over

        covered = self.heat_maps.layer.covered
        drawn = lay_over(image.picture, answer.heat, self.preprocess, covered)
        return {
            "class": self.class_names[answer.label],
            "method": self.heat_maps.method,
            "layer": self.heat_maps.layer.name,
            "values": answer.heat.round(6).tolist(),
            "picture": to_data_uri(drawn),
        }


def _find_heat_maps(network: Network) -> HeatMaps | None:
    """Return what computes the heat maps of a network; only torch can."""
    if network.engine != "torch":
        return None
    from cnncli.run.torch_network import TorchNetwork
    from cnncli.serving.heat import find_heat_maps

    assert isinstance(network, TorchNetwork)
    return find_heat_maps(network.subject, network.compute.device)


def _check_size(header: Header, most: int) -> None:
    """Refuse an image that would take much time and memory to decode.

    Args:
        header: What its file says.
        most: Most pixels; all channels and frames may have the bytes of so many in RGBA of 16 bits.

    Raises:
        TooLargeError: If it has more.
    """
    shown, pixels = f"{header.width}×{header.height}", header.width * header.height
    if pixels > most:
        raise TooLargeError(f"is too large: {shown} has more than {most:,} pixels")
    if pixels * header.channels * header.bits > most * _RGBA_BITS:
        raise TooLargeError(
            f"is too large: {shown} with {header.channels} channels of {header.bits} bits has more "
            f"than {most * _RGBA_BITS // 8:,} bytes"
        )


class _Told(SilentReporter):
    """Keeps warnings, for the answer."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)
