"""Pictures of layers: numbers in small grids, colours of signed maps, the matrix's colours."""

import numpy as np
import pytest

from cnncli.plots import convolution, layer_matrix
from cnncli.plots.convolution import LayerRow, Panel, limits, save_convolution
from cnncli.plots.layer_matrix import save_layer_matrix


@pytest.fixture
def drawn(monkeypatch):
    """Collect the figures that are saved."""
    seen = []
    save = convolution.save_figure

    def keep(figure, path):
        seen.append(figure)
        save(figure, path)

    for module in (convolution, layer_matrix):
        monkeypatch.setattr(module, "save_figure", keep)
    return seen


def texts(figure):
    axes = [text.get_text() for each in figure.axes for text in each.texts]
    return [*axes, *(text.get_text() for text in figure.texts)]


def test_small_grids_have_their_numbers(tmp_path, drawn, size_of):
    grid = np.array([[1.0, -2], [0.125, 4]])
    row = LayerRow([Panel(grid)], [Panel(np.array([[7.0]]), is_kernel=True)], Panel(7 * grid),
                   ("input", "kernel", "output"))  # fmt: skip
    save_convolution(tmp_path / "a.png", [row], "a note")
    words = texts(drawn[0])
    for word in ("1", "-2", "0.125", "4", "7", "28", "0.875", "input", "∗", "=", "a note"):
        assert word in words
    assert min(size_of(tmp_path / "a.png")) > 100


def test_a_signed_map_has_zero_in_the_middle(tmp_path, drawn):
    wave = np.linspace(-3, 5, 40 * 50).reshape(40, 50)
    row = LayerRow([Panel(np.abs(wave), white=5)], (), Panel(wave), ("input", "x", "output"))
    save_convolution(tmp_path / "a.png", [row])
    figure = drawn[0]
    images = [image for axes in figure.axes for image in axes.images]
    assert images[0].get_cmap().name == "gray"
    assert images[1].get_cmap().name == "RdBu_r"
    assert images[1].norm.vmin == -images[1].norm.vmax
    assert len(figure.axes) == 3  # two panels and one bar of colours


def test_a_frame_of_padding_does_not_set_the_colours():
    edges = np.ones((100, 100))
    edges[2, 2] = -1
    edges[:2] = edges[-2:] = 1000
    assert limits(edges) == (-1, 1)
    assert limits(np.zeros((20, 20))) == (0, 1)


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (1, 1), (13, 13)])
def test_any_shape(tmp_path, shape, size_of):
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    row = LayerRow([Panel(values)], (), Panel(-values), ("before", "relu", "after"))
    save_convolution(tmp_path / "a.png", [row])
    assert max(size_of(tmp_path / "a.png")) < 3000


def test_equal_weights_have_equal_colours(tmp_path, drawn):
    weights = np.array([[0, 1, -1], [-1, 0, 1]])
    numbers = np.array([[5.0, 5, 0], [0, 5, 5]])
    kernels = [("kernel", np.full((1, 1, 2), 5.0))]
    save_layer_matrix(tmp_path / "a.png", weights, numbers, kernels, ["a line"])
    matrix, kernel = (axes.images[0].get_array() for axes in drawn[0].axes)
    assert (matrix[0, 0] == matrix[1, 1]).all()
    assert (matrix[0, 0] == kernel[0, 0]).all()
    assert (matrix[0, 0] != matrix[0, 1]).any()  # 5 too, but another weight
    assert (matrix[0, 2] == 1).all()
    assert texts(drawn[0]).count("5") == 6
