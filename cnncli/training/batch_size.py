"""The largest batch that a GPU has the memory for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.nn import functional

from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.models.build import Classifier
from cnncli.models.head import combine_aux
from cnncli.training.device import Compute

LARGEST = 1024
_SHARE = 0.9  # of the free memory: it breaks up over a run, and other programs need some
# Adam's two averages and one of the weights themselves, as numbers per parameter.
_COMPANIONS = 3


def largest_batch(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest power of two that fits, at most ``most``; 0 if not even 1 does.

    Args:
        fits: Whether a batch of that many images does; what is larger than one that does not is
            not tried.
        most: At least 1.
    """
    batch, size = 0, 1
    while size <= most and fits(size):
        batch, size = size, 2 * size
    return batch


def find_batch_size(
    classifier: Classifier, image: torch.Tensor, num_classes: int, compute: Compute, most: int
) -> int:
    """Return the largest batch, a power of two, that trains on a CUDA device.

    Everything is tried as trainable, so that what is unfrozen later fits too.

    Args:
        classifier: On any device; a copy is used.
        image: (H, W, C), as batches hold them; its values do not matter.
        num_classes: K.
        compute: A CUDA device.
        most: No more than that, nor than 1024.

    Raises:
        CnncliError: If not even one image fits.
    """
    with _spare(compute.device):
        try:
            size = _search(classifier, image, num_classes, compute, min(most, LARGEST))
        except torch.OutOfMemoryError:  # not even for the weights
            size = 0
    if size < min(2, most):
        raise CnncliError(
            f"--batch-size auto: {compute.device} has not enough memory for two images; use a "
            "smaller --image-size or --model",
            exit_code=RUNTIME_FAILURE,
        )
    return size


def _search(
    classifier: Classifier, image: torch.Tensor, num_classes: int, compute: Compute, most: int
) -> int:
    copied = copy.deepcopy(classifier).to(compute.device).train().requires_grad_()
    held = [torch.empty_like(p) for p in copied.parameters() for _ in range(_COMPANIONS)]
    size = largest_batch(
        # BatchNorm cannot train on one image.
        lambda count: count == 1 or _fits(copied, image, num_classes, compute, count),
        most,
    )
    del held  # it was there to take up room
    return size


def _fits(
    network: Classifier, image: torch.Tensor, num_classes: int, compute: Compute, count: int
) -> bool:
    """Tell whether a step's memory suffices: forward and backward on a batch."""
    try:
        images = image.to(compute.device).expand(count, *image.shape).contiguous()
        targets = torch.arange(count, device=compute.device) % num_classes
        with compute.autocast():
            loss, _ = combine_aux(network.outputs(images), targets, functional.cross_entropy)
        loss.backward()  # type: ignore[no-untyped-call]
    except torch.OutOfMemoryError:
        return False
    finally:
        network.zero_grad(set_to_none=True)
    return True


@contextmanager
def _spare(device: torch.device) -> Iterator[None]:
    """Leave a tenth of the free memory alone; give back all that was used, and the random state."""
    free, total = torch.cuda.mem_get_info(device)
    number = torch.cuda.current_device() if device.index is None else device.index
    mine = torch.cuda.memory_reserved(device)
    torch.cuda.set_per_process_memory_fraction((mine + _SHARE * free) / total, number)
    try:
        with torch.random.fork_rng([number]):
            yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, number)
        torch.cuda.empty_cache()
