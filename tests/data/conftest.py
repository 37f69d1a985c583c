"""Fixtures for the tests of data."""

import pytest
from helpers import TINY_PNG


@pytest.fixture
def write(tmp_path):
    """Return a function that writes images below one root, and returns the root."""

    def write(*names, data=TINY_PNG):
        for name in names:
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "data"

    (tmp_path / "data").mkdir()
    return write
