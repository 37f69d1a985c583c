"""``--batch-size auto``: the largest batch that a GPU has the memory for."""

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

LARGEST = 1024  # images; no larger batch is tried
# Fraction of the free memory that may be used: other programs need some, and over a run the memory
# becomes fragmented.
_USABLE = 0.9
# Numbers kept for each parameter besides its gradient: Adam's two averages and the average of the
# weights.
_COMPANIONS = 3


def largest_batch(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest power of two that fits, at most ``most``; 0 if not even 1 does.

    Args:
        fits: Takes a number of images and returns whether a batch of them fits. After the first
            one that does not, no larger one is tried.
        most: Largest number of images to return, at least 1.
    """
    batch, size = 0, 1
    while size <= most and fits(size):
        batch, size = size, 2 * size
    return batch


def find_batch_size(
    classifier: Classifier, image: torch.Tensor, num_classes: int, compute: Compute, most: int
) -> int:
    """Return the largest batch, a power of two, that trains on a CUDA device.

    All parameters are taken as trainable, so that the batch still fits after unfreezing.

    Args:
        classifier: The classifier to train, on any device; a copy of it is tried.
        image: An image (H, W, C) as batches hold them; its values do not matter.
        num_classes: Number of classes K.
        compute: A CUDA device, and the precision.
        most: Largest number of images to return; more than 1024 are never tried.

    Raises:
        CnncliError: If the memory is not enough for two images.
    """
    with _limited_memory(compute.device):
        try:
            size = _search(classifier, image, num_classes, compute, min(most, LARGEST))
        except torch.OutOfMemoryError:  # there is not even room for the weights
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
    del held  # it only took up the room that an optimizer needs
    return size


def _fits(
    network: Classifier, image: torch.Tensor, num_classes: int, compute: Compute, count: int
) -> bool:
    """Return whether the memory is enough for a forward and a backward pass on a batch."""
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
def _limited_memory(device: torch.device) -> Iterator[None]:
    """Allow nine tenths of the free memory; in the end free it, and restore the random state."""
    free, total = torch.cuda.mem_get_info(device)
    number = torch.cuda.current_device() if device.index is None else device.index
    mine = torch.cuda.memory_reserved(device)
    torch.cuda.set_per_process_memory_fraction((mine + _USABLE * free) / total, number)
    try:
        with torch.random.fork_rng([number]):
            yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, number)
        torch.cuda.empty_cache()
