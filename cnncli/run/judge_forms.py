"""Ways in which images come to size, judged by a fitted head on folds of train."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.data.loader import Loader, SplitDataset
from cnncli.data.splits import TRAIN
from cnncli.data.store import map_in_threads
from cnncli.errors import CnncliError
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess, read_forms
from cnncli.models.stages import network_head
from cnncli.reporting import Reporter
from cnncli.run.fit_head import choose_judged, draw_head_folds
from cnncli.run.prepared_run import PreparedRun
from cnncli.training.cores import count_cpus
from cnncli.training.head_features import compute_vectors
from cnncli.training.head_fit import Judgement, is_better, judge_strengths
from cnncli.training.kept_features import digest_layers
from cnncli.training.threads import limited_blas

_MOST_IMAGES = 1_000
_MOST_SHARED = 2_000  # of all folds together


def judge_forms(
    run: PreparedRun,
    forms: Mapping[str, Preprocess],
    judged: dict[Preprocess, Judgement],
    reporter: Reporter,
    what: str,
    *,
    errors: float,
) -> str:
    """Return how images are to come to size: as now, unless another way is better on folds.

    For each way a head is judged on folds inside train, on the features of at most 1,000 images.

    Args:
        run: The run, its images in memory as they are now.
        forms: The preprocessing of each way by its name, that of the run first.
        judged: What is known of some; the others are added.
        reporter: Gets progress, and a line that says what was tried and what won.
        what: What the names are: ``resize mode`` or ``image size``.
        errors: By how many standard errors another way must be better than the present one.
    """
    indices = run.indices(TRAIN)
    chosen = np.linspace(0, len(indices) - 1, min(len(indices), _MOST_IMAGES)).astype(int)
    indices = indices[np.unique(chosen)]
    usual, *others = forms
    folds = draw_head_folds(run, indices)
    if folds is None or run.store.cached is None:
        return usual
    targets, num_classes = run.samples.targets[indices], len(run.samples.class_names)
    # The folds of a cross-validation share what the network says of all images.
    every = run.indices(None)
    is_shared = run.shared is not None and len(every) <= _MOST_SHARED
    looked_at = every if is_shared else indices
    new = {name: form for name, form in forms.items() if form not in judged}
    seen: set[str] = set()
    read = _Reading(run, looked_at, {name: form for name, form in new.items() if name != usual})
    with reporter.progress(f"{what}s", len(new) * len(looked_at)) as advance:
        for name, form in new.items():

            def look(name: str = name) -> tuple[str, Array | None]:
                images = None if name == usual else read.take(name)
                return _look(run, images, looked_at, seen, advance)

            if is_shared and run.shared is not None:
                (digest, vectors), _ = run.shared.take(_key(run, form, every), look)
            else:
                digest, vectors = look()
            seen.add(digest)
            if vectors is not None:
                views = vectors[:, np.searchsorted(looked_at, indices)]
                kept = choose_judged(views, num_classes)
                with limited_blas():
                    judged[form] = judge_strengths(
                        views[:, kept], targets[kept], num_classes, folds[kept]
                    )
    found = {name: judged[form] for name, form in forms.items() if form in judged}
    best = usual
    for name in others:
        if name in found and is_better(found[name], found[usual], errors=errors):
            best = name if found[name].loss < found[best].loss else best
    if len(found) > 1:
        told = ", ".join(f"{name} {judgement.loss:.4f}" for name, judgement in found.items())
        better = "which is clearly better" if errors else "which is better"
        why = "as the weights expect it" if best == usual else better
        reporter.note(f"{what} {best}, {why}: loss on folds of train {told}")
    return best


def _key(run: PreparedRun, form: Preprocess, numbers: Array) -> tuple[object, ...]:
    """Return all that the vectors of images ``numbers`` in a form depend on."""
    head = network_head(run.config.model, run.network)
    layers = digest_layers(run.network, (head,), numbers)
    return "form", layers, form, run.store.preprocess, run.config.batch_size


def _look(
    run: PreparedRun,
    images: Array | None,
    numbers: Array,
    seen: Collection[str],
    advance: Callable[[int, str], None],
) -> tuple[str, Array | None]:
    """Return a digest of images in a form, and the head's input (1, M, D) of them.

    Args:
        run: The run.
        images: The images (M, H, W, C); None for those of the run.
        numbers: (M,) numbers of the images.
        seen: The digests of earlier forms; of the same images again the input is None.
        advance: Called with the number of images of each batch and an empty text.
    """
    if images is None:
        assert run.store.cached is not None
        images = run.store.cached[numbers].numpy()
    digest = hashlib.blake2b(images.tobytes(), digest_size=16).hexdigest()
    if digest in seen:
        advance(len(images), "")
        return digest, None
    return digest, _compute(run, images, run.samples.targets[numbers], advance)


class _Reading:
    """Images read anew in the forms that are not the run's, each file decoded once for all."""

    def __init__(self, run: PreparedRun, numbers: Array, forms: dict[str, Preprocess]):
        """Set what is read when the first form is taken.

        Args:
            run: The run.
            numbers: (M,) numbers of the images.
            forms: The forms by their names.
        """
        self._run, self._numbers, self._forms = run, numbers, forms
        self._read: dict[str, Array] = {}

    def take(self, name: str) -> Array:
        """Return the images (M, H, W, C) in a form, and forget them."""
        if name not in self._read:
            self._read_all()
        return self._read.pop(name)

    def _read_all(self) -> None:
        source, forms = self._run.samples.source, self._forms

        def load(number: int) -> list[Array]:
            return read_forms(source.read(number), list(forms.values()))

        try:
            images = map_in_threads(load, self._numbers.tolist(), count_cpus())
            for index, of_image in enumerate(images):
                for name, image in zip(forms, of_image, strict=True):
                    if not index:
                        shape = (len(self._numbers), *image.shape)
                        self._read[name] = np.empty(shape, image.dtype)
                    self._read[name][index] = image
        except (ImageError, OSError) as error:  # it could be read a moment ago
            raise CnncliError(f"--data: an image {error}; it was there a moment ago") from None


def _compute(
    run: PreparedRun, images: Array, targets: Array, advance: Callable[[int, str], None]
) -> Array:
    """Return the head's input (1, N, D) of images (N, H, W, C)."""
    device, compute = run.compute.device, run.compute.for_evaluation()
    store = replace(run.store, cached=torch.from_numpy(images), cut=None)
    loader = Loader(SplitDataset(store, np.arange(len(images)), targets), run.config.batch_size)
    run.network.to(device)
    path = network_head(run.config.model, run.network)
    classifier = run.checkpoint.classifier(run.network).to(device)
    return compute_vectors(classifier, path, loader, compute, advance=advance)
