"""The shared run's network, and a server that has it."""

import pytest


@pytest.fixture(scope="session")
def network(run_dir):
    """Return the shared run's network."""
    from cnncli.reporting import SilentReporter
    from cnncli.serving.network import ServedNetwork

    return ServedNetwork(str(run_dir), "cpu", None, SilentReporter())


@pytest.fixture(scope="session")
def client(network):
    from served import serving

    from cnncli.serving.limits import Limits

    with serving(network, Limits(200_000, 4_000_000, 64, 20)) as client:
        yield client


@pytest.fixture
def images(folder_data):
    return sorted(folder_data.glob("*/*.png"))
