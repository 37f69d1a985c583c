"""``cnncli visualize filters``: the weights are those of the file, laid out as the layer asks."""

import csv
import io
import json
import sys

import numpy as np
import pytest
import torch
from helpers import train, write_digits
from safetensors.torch import load_file
from torch import nn

import cnncli.recipes.visualize.filters as recipe
from cnncli.errors import CnncliError
from cnncli.explain.layers import find_convolution, read_filters


@pytest.fixture
def filters(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *args: cli("visualize", "filters", *args)


@pytest.fixture
def drawn(filters, monkeypatch):
    """Return a function that gives the group of tiles that a call draws."""

    def run(*args):
        seen = []
        monkeypatch.setattr(recipe, "save_tiles", lambda path, groups: seen.extend(groups))
        result = filters(*args)
        assert result.code == 0, result.err
        (group,) = seen
        return group

    return run


@pytest.fixture(scope="module")
def kept_run(tmp_path_factory):
    root = tmp_path_factory.mktemp("kept")
    write_digits(root / "data")
    return train(root / "runs", data=str(root / "data"), epochs=3, keep_every=1)


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_weights_are_those_of_the_runs_file(filters, run_dir, monkeypatch):
    expected = load_file(run_dir / "best.safetensors")["conv2.weight"].numpy()
    rows = read_csv(filters(run_dir, "--layer", "conv2", "--format", "csv").out)
    assert len(rows) == expected.size
    for row in rows[:: len(rows) // 50]:
        place = tuple(int(row[key]) for key in ("filter", "channel", "row", "column"))
        assert np.float32(row["weight"]) == expected[place]
    document = json.loads(filters(run_dir, "--layer", "conv2", "--format", "json").out)
    assert (document["layer"], document["shape"]) == ("conv2", list(expected.shape))
    np.testing.assert_array_equal(np.float32(document["weights"]), expected)
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    filters(run_dir, "--layer", "conv2", "--format", "npy")
    np.testing.assert_array_equal(np.load(io.BytesIO(out.buffer.getvalue())), expected)


def test_the_first_layer_over_colours_is_drawn_in_colours(drawn):
    group = drawn("squeezenet1_1")
    torch.manual_seed(0)
    from torchvision.models import squeezenet1_1

    weights = squeezenet1_1().features[0].weight.detach().numpy()
    assert group.tiles.shape == (64, 3, 3, 3)
    for tile, weight in zip(group.tiles, weights, strict=True):
        signed = np.moveaxis(weight, 0, 2)
        np.testing.assert_allclose(tile, 0.5 + signed / np.abs(signed).max() / 2, atol=1e-6)
    assert group.title.startswith("features.0 of squeezenet1_1: 64 filters 3×3 over RGB")


def test_grey_filters_have_the_colours_of_signs(drawn, run_dir):
    group = drawn(run_dir)
    expected = load_file(run_dir / "best.safetensors")["conv1.weight"].numpy()
    np.testing.assert_array_equal(group.tiles, expected[:, 0])
    assert group.limits == (-np.abs(expected).max(), np.abs(expected).max())
    assert list(group.numbers) == list(range(6))


def test_filters_over_many_channels_are_rows_and_the_rest_is_counted(drawn):
    group = drawn("squeezenet1_1", "--layer", "features.6.expand3x3")
    assert group.title.endswith(
        "128 filters 3×3 over 32 channels; shown are 16 filters, 16 channels"
    )
    assert group.tiles.shape == (256, 3, 3)
    assert (group.columns, len(group.row_names), len(group.column_names)) == (16, 16, 16)


def test_filters_of_one_pixel_are_a_matrix(drawn):
    group = drawn("squeezenet1_1", "--layer", "features.6.squeeze")
    assert group.tiles.shape == (1, 32, 128)
    assert "shown" not in group.title


def test_depthwise_filters_are_a_channel_each(filters, drawn):
    group = drawn("mobilenet_v3_small", "--layer", "features.2.block.1.0")
    assert group.tiles.shape == (72, 3, 3)
    assert "over a channel each" in group.title
    args = ("mobilenet_v3_small", "--layer", "features.2.block.1.0", "--format", "csv")
    rows = read_csv(filters(*args).out)
    assert all(row["filter"] == row["channel"] for row in rows)


def test_channels_of_a_group_are_counted_in_the_whole_input():
    layer = nn.Conv2d(6, 4, 3, groups=2)
    rows = list(recipe._list_rows(read_filters(layer), layer.groups))
    pairs = {(row["filter"], row["channel"]) for row in rows}
    assert pairs == {(f, c) for f in range(4) for c in range(6) if (f < 2) == (c < 3)}


def test_the_patches_of_a_transformer_are_colours(drawn):
    group = drawn("swin_t")
    assert group.tiles.shape == (96, 4, 4, 3)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_stands_by_filter(groups):
    """Output channel f of one lit input pixel is filter f, as torch computes it."""
    layer = nn.ConvTranspose2d(4, 6, 3, groups=groups, bias=False)
    weights = read_filters(layer)
    assert weights.shape == (6, 4 // groups, 3, 3)
    for channel in range(4):
        image = torch.zeros(1, 4, 1, 1)
        image[0, channel] = 1
        with torch.no_grad():
            out = layer(image)[0].numpy()
        group, place = divmod(channel, 4 // groups)
        mine = range(group * 6 // groups, (group + 1) * 6 // groups)
        for f in range(6):
            expected = weights[f, place] if f in mine else np.zeros((3, 3))
            np.testing.assert_array_equal(out[f], expected)


def test_layers_that_are_no_convolution(filters, run_dir):
    result = filters(run_dir, "--layer", "fc1")
    assert result.code == 2
    assert result.error == "--layer fc1: is Linear, no convolution; convolutions are conv1, conv2"
    assert "did you mean conv2, conv1" in filters(run_dir, "--layer", "conv3").error
    result = filters("cnn: flatten; dense 10")
    assert result.code == 2
    assert "Error: the network has no convolution" in result.err
    with pytest.raises(CnncliError, match="is Conv3d; only 2-d convolutions are drawn"):
        find_convolution(nn.Sequential(nn.Conv3d(1, 1, 3)), "0")


def test_over_epochs_every_kept_epoch_is_a_column(filters, drawn, kept_run):
    files = [kept_run / "epochs" / f"000{n}.safetensors" for n in range(4)]
    weights = np.stack([load_file(path)["conv1.weight"].numpy() for path in files])
    group = drawn(kept_run, "--over-epochs")
    assert list(group.column_names) == ["epoch 0", "1", "2", "3"]
    np.testing.assert_array_equal(group.tiles, weights[:, :, 0].swapaxes(0, 1).reshape(-1, 5, 5))
    rows = read_csv(filters(kept_run, "--over-epochs", "--format", "csv").out)
    assert list(rows[0]) == ["epoch", "filter", "channel", "row", "column", "weight"]
    assert len(rows) == weights.size
    last = {key: int(rows[-1][key]) for key in ("epoch", "filter", "row", "column")}
    assert last == {"epoch": 3, "filter": 5, "row": 4, "column": 4}
    assert np.float32(rows[-1]["weight"]) == weights[3, 5, 0, 4, 4]
    assert filters(kept_run / "best.safetensors", "--over-epochs").code == 0
    assert filters(files[1], "--over-epochs").code == 0


def test_over_many_epochs_some_are_drawn_the_ends_among_them():
    weights = np.zeros((25, 4, 1, 3, 3))
    chosen = np.unique(np.linspace(0, 24, recipe._EPOCHS).round())
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 24, 10)
    colours = recipe._draw_epochs("x", np.ones((2, 4, 3, 5, 5)), [0, 9], coloured=True)
    assert colours.tiles.shape == (8, 5, 5, 3)
    matrices = recipe._draw_epochs("x", weights[:2, ..., :1, :1], [0, 9], coloured=False)
    assert matrices.tiles.shape == (2, 4, 1)


def test_a_run_that_kept_none_and_a_network_without_a_run(filters, run_dir):
    result = filters(run_dir, "--over-epochs")
    assert result.code == 2
    assert result.error.endswith("has kept no epochs; train with --keep-every 1 to keep them")
    result = filters("lenet5", "--over-epochs")
    assert result.code == 2
    assert "--over-epochs: lenet5 is no run" in result.err


@pytest.mark.parametrize(
    "args",
    [
        ("squeezenet1_1",),
        ("squeezenet1_1", "--layer", "features.6.squeeze"),
        ("squeezenet1_1", "--layer", "features.6.expand3x3"),
    ],
    ids=["colours", "matrix", "grid"],
)
def test_the_picture_is_as_wide_as_a_page(filters, args):
    from PIL import Image

    result = filters(*args)
    assert result.code == 0
    with Image.open(result.out.strip()) as image:
        assert 850 < image.width <= 1000
        assert image.height < 1300
