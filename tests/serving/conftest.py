"""The shared run's network, and a server that has it."""

import shutil

import pytest


@pytest.fixture(scope="session")
def network(run_dir):
    """Return the shared run's network."""
    from cnncli.reporting import SilentReporter
    from cnncli.run.networks import EngineSettings
    from cnncli.serving.network import ServedNetwork

    return ServedNetwork(str(run_dir), EngineSettings("torch", "cpu"), SilentReporter())


@pytest.fixture(scope="session")
def client(network):
    from served import serving

    from cnncli.serving.limits import Limits

    with serving(network, Limits(200_000, 4_000_000, 64, 20)) as client:
        yield client


@pytest.fixture(scope="session")
def decided(run_dir, tmp_path_factory):
    """Return a copy of the shared run with a decision: a threshold, a temperature, abstaining."""
    from cnncli.run.decision import Decision, save_decision
    from cnncli.training.checkpoint import load_checkpoint

    folder = tmp_path_factory.mktemp("decided") / run_dir.name
    shutil.copytree(run_dir, folder)
    path = folder / "best.safetensors"
    _, checkpoint = load_checkpoint(path)
    names = checkpoint.class_names
    decision = Decision(names, 0.7, names[1], 0.2, "sensitivity=0.9", abstain_below=0.5)
    save_decision(path, checkpoint.digest, decision)
    return folder


@pytest.fixture
def images(folder_data):
    return sorted(folder_data.glob("*/*.png"))
