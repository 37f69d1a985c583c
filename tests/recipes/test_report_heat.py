"""Heat maps of the page: one for each image that is shown first, tested while there is time."""

import numpy as np
import pytest

from cnncli.data.find_samples import find_samples
from cnncli.data.samples import CsvColumns
from cnncli.recipes.report import heat as module
from cnncli.recipes.report.heat import NOT_TESTED, draw_heat
from cnncli.reporting import SilentReporter
from cnncli.training.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def shown(run_dir, folder_data):
    """Return what `draw_heat` takes, for three images."""
    network, checkpoint = load_checkpoint(run_dir / "best.safetensors")
    samples = find_samples(str(folder_data), CsvColumns())
    return network, checkpoint, samples, [40, 3, 77], SilentReporter()


def test_every_image_has_a_map_and_the_maps_own_test(shown, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_OF_MAPS", 600.0)
    monkeypatch.setattr(module, "_SECONDS_OF_TESTS", 600.0)
    uris, told = draw_heat(*shown)
    assert list(uris) == list(told) == [40, 3, 77]
    assert len(set(uris.values())) == 3
    assert all("it scored higher than" in text or "all zero" in text for text in told.values())


def test_what_there_is_no_time_for_says_so(shown, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_OF_MAPS", 600.0)
    monkeypatch.setattr(module, "_SECONDS_OF_TESTS", 0.0)
    uris, told = draw_heat(*shown)
    assert len(uris) == 3
    assert set(told.values()) == {NOT_TESTED}
    monkeypatch.setattr(module, "_SECONDS_OF_MAPS", -1.0)
    assert draw_heat(*shown) == ({}, {})


def test_the_network_is_as_before(shown):
    network = shown[0]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    draw_heat(*shown)
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
    assert not network.training
