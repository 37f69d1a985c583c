"""Which images make up each batch: every image once, in an order of seed and epoch alone."""

import numpy as np
import pytest

from cnncli.data.epoch_batches import EpochBatches


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 17, 31])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 64])
def test_every_image_comes_exactly_once(count, batch_size):
    batches = EpochBatches(count, batch_size, seed=0)
    for epoch in (1, 2):
        batches.epoch = epoch
        got = list(batches)
        assert len(got) == len(batches)
        assert sorted(position for batch in got for _, position in batch) == list(range(count))
        assert {number for batch in got for number, _ in batch} == {epoch}
        sizes = [len(batch) for batch in got]
        assert all(size == batch_size for size in sizes[:-1])
        if batch_size > 1 and count > 1:
            assert min(sizes) > 1  # a last one joined the batch before
            assert max(sizes) <= batch_size + 1


def test_no_images_are_no_batches():
    assert len(EpochBatches(0, 4, seed=0)) == 0
    assert list(EpochBatches(0, 4, seed=0)) == []


def order_of(seed, epoch):
    batches = EpochBatches(50, 8, seed=seed)
    batches.epoch = epoch
    return [position for batch in batches for _, position in batch]


def test_the_order_depends_on_seed_and_epoch():
    np.random.seed(0)
    first = order_of(0, 1)
    np.random.seed(1)
    assert order_of(0, 1) == first
    assert len({tuple(order_of(*key)) for key in ((0, 1), (0, 2), (1, 1), (1, 2))}) == 4
    assert order_of(None, 1) == order_of(None, 2) == list(range(50))
