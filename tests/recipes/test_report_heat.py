"""Heat maps of the page: one for each image that is shown first, tested while there is time."""

import math

import numpy as np
import pytest

from cnncli.data.find_samples import find_samples
from cnncli.data.samples import CsvColumns
from cnncli.images.preprocess import Preprocess
from cnncli.recipes.report import heat
from cnncli.recipes.report.heat import NOT_TESTED, draw_heat
from cnncli.recipes.report.networks import Judging, find_by_fold
from cnncli.reporting import SilentReporter
from cnncli.training.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def shown(run_dir, folder_data):
    """Return what `draw_heat` takes, for three images."""
    judging = Judging(*load_checkpoint(run_dir / "best.safetensors"))
    samples = find_samples(str(folder_data), CsvColumns())
    return lambda index: judging, samples, [40, 3, 77], SilentReporter()


def test_every_image_has_a_map_and_the_maps_own_test(shown):
    uris, told = draw_heat(*shown, seconds=1e6)
    assert list(uris) == list(told) == [40, 3, 77]
    assert len(set(uris.values())) == 3
    assert all("it scored higher than" in text or "all zero" in text for text in told.values())


def test_an_array_that_may_not_be_written_to_gives_no_warning(shown, monkeypatch):
    """So Pillow's are, by which images in colour are resized for the weights of others."""
    made = Preprocess.__call__

    def call(*args):
        array = made(*args)
        array.flags.writeable = False
        return array

    monkeypatch.setattr(Preprocess, "__call__", call)
    assert draw_heat(*shown, seconds=1e6)[0]


def test_what_there_is_no_time_for_says_so(shown, monkeypatch):
    assert draw_heat(*shown, seconds=0.0) == ({}, {})
    monkeypatch.setattr(heat, "_estimate", lambda network, image: math.inf)
    uris, told = draw_heat(*shown, seconds=1e6)
    assert len(uris) == len(told) == 3
    assert set(told.values()) == {NOT_TESTED}


def test_an_image_without_a_network_of_its_own_has_no_map(shown, run_dir):
    """It was judged by the mean of all networks of a cross-validation."""
    find = find_by_fold([run_dir / "best.safetensors"] * 2, np.array([0, 2, 1, 0] + [2] * 76))
    uris, _ = draw_heat(find, shown[1], [0, 1, 3, 40], shown[3], seconds=1e6)
    assert list(uris) == [1, 40]
    assert find(1) is find(40) is not find(2)


def test_the_network_is_as_before(shown):
    network = shown[0](0).network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    draw_heat(*shown, seconds=2.0)
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
    assert not network.training
