"""Fixtures for the tests of pictures."""

import pytest
from PIL import Image

from cnncli.plots import confusion_matrix, curves


@pytest.fixture
def figures(monkeypatch):
    """Collect the figures that are saved, so that a test can read what is drawn in them."""
    seen = []
    save = confusion_matrix.save_figure

    def keep(figure, path):
        seen.append(figure)
        save(figure, path)

    for module in (confusion_matrix, curves):
        monkeypatch.setattr(module, "save_figure", keep)
    return seen


@pytest.fixture
def size_of():
    """Return a function that reads a PNG as a whole and returns its (width, height)."""

    def read(path):
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            return image.size

    return read
