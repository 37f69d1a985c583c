"""NumPy files read by several threads at once."""

import gc
import io
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cnncli.images.decode import decode
from cnncli.images.formats import read_header

ARRAY = np.random.default_rng(0).uniform(0, 255, (24, 24)).astype("f4")


class Busy:
    """In a cycle, so that the garbage collector runs Python code, and threads change there."""

    def __init__(self):
        self.me = self

    def __del__(self):
        for _ in range(50):
            pass


@pytest.fixture
def restless():
    """Threads that change often, and often inside of NumPy's reading of a header."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(50)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)


@pytest.mark.parametrize("save", [np.save, np.savez])
def test_threads_read_good_files(restless, save):
    """On Python 3.11 about 1 in 100 was "damaged" before."""
    file = io.BytesIO()
    save(file, ARRAY)
    data = file.getvalue()

    def read(_):
        cycles = [Busy() for _ in range(3)]
        same = np.array_equal(decode(data, read_header(data, 0))[..., 0], ARRAY)
        return same and len(cycles)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(read, range(3000))) == {3}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">u2", "<f8", "<i4"])
def test_arrays_are_as_numpy_loads_them(tmp_path, order, dtype):
    array = np.asarray(np.arange(24).reshape(2, 4, 3) % 2, dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    loaded = np.load(tmp_path / "a.npy")
    data = (tmp_path / "a.npy").read_bytes()
    assert np.array_equal(decode(data), np.moveaxis(loaded, 0, 2).astype(decode(data).dtype))
