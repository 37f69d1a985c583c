"""--batch-size auto: the search against a device of made-up memory, and what each device gets."""

import contextlib
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from helpers import train

from cnncli.config import RunConfig
from cnncli.errors import CnncliError
from cnncli.models.build import Classifier
from cnncli.reporting import SilentReporter
from cnncli.run import prepare as prepare_module
from cnncli.training import batch_size
from cnncli.training.batch_size import find_batch_size, largest_batch
from cnncli.training.device import Compute
from cnncli.training.distributed import World


@pytest.mark.parametrize(
    ("memory", "most", "expected"),
    [(100, 1024, 64), (64, 1024, 64), (63, 1024, 32), (10**6, 1024, 1024), (10**6, 1000, 512),
     (10**6, 1, 1), (1, 1024, 1), (0, 1024, 0)],
)  # fmt: skip
def test_the_largest_power_of_two_that_fits(memory, most, expected):
    tried = []

    def fits(count):
        tried.append(count)
        return count <= memory

    assert largest_batch(fits, most) == expected
    assert len(set(tried)) == len(tried)
    assert max(tried) <= min(most, max(1, 2 * expected))  # nothing far too large is tried


def test_a_cpu_takes_its_usual_batch(tmp_path):
    run = train(tmp_path, data="digits", batch_size="auto")
    assert yaml.safe_load((run / "config.yaml").read_text())["batch_size"] == 32


def test_a_gpu_takes_what_fits(tmp_path, monkeypatch, folder_data):
    """The search is a double, and the device is the CPU under another name."""
    asked = {}

    def find(classifier, image, num_classes, compute, most):
        asked.update(shape=tuple(image.shape), classes=num_classes, most=most)
        asked["logits"] = tuple(classifier.logits(image[None]).shape)
        return asked.get("fits", 8)

    class Device:
        type = "cuda"

    monkeypatch.setattr(prepare_module, "find_batch_size", find)
    config = RunConfig(data=str(folder_data), model="lenet5", batch_size="auto")
    run = prepare_module.prepare(config, Compute(Device(), "fp32"), SilentReporter())
    assert run.config.batch_size == 8
    assert run.config.lr == resolve(folder_data).lr
    assert asked["most"] == len(run.indices(0))
    assert asked["classes"] == 3
    assert asked["logits"] == (1, 3)
    assert asked["shape"][2] == 1
    asked["fits"] = 64
    run = prepare_module.prepare(config, Compute(Device(), "fp32"), SilentReporter())
    assert run.config.lr == pytest.approx(resolve(folder_data, batch_size=64).lr)
    given = config.model_copy(update={"batch_size": 4})
    run = prepare_module.prepare(given, Compute(Device(), "fp32"), SilentReporter())
    assert run.config.batch_size == 4
    # Read on demand, the first image may be none; it is told in its epoch, not here.
    monkeypatch.setattr("cnncli.run.opened_images.fits_in_memory", lambda *args: False)
    copied = Path(shutil.copytree(folder_data, tmp_path / "copied"))
    (copied / run.samples.paths[run.indices(0)[0]]).write_bytes(b"")
    damaged = config.model_copy(update={"data": str(copied)})
    run = prepare_module.prepare(damaged, Compute(Device(), "fp32"), SilentReporter())
    assert run.config.batch_size == 64


def resolve(data, *, processes=1, **given):
    compute = Compute(torch.device("cpu"), "fp32", World(size=processes))
    config = RunConfig(data=str(data), model="lenet5", **given)
    return prepare_module.prepare(config, compute, SilentReporter()).config


@pytest.mark.parametrize(("optimizer", "power"), [("adamw", 0.5), ("momentum", 1.0)])
def test_the_default_lr_follows_the_images_of_a_step(folder_data, optimizer, power):
    """90 images: a batch of 16 is usual."""
    usual = resolve(folder_data, optimizer=optimizer)  # trained on 66
    assert usual.batch_size == 16
    for given, images in [
        ({"batch_size": 32}, 32),
        ({"batch_size": 16, "accumulate": 3}, 48),
        ({"batch_size": 8, "processes": 4}, 32),
        ({"processes": 3}, 48),
        ({"batch_size": 4}, 16),  # fewer images do not lower it
        ({"batch_size": 1000}, 66),  # a step has no more than there are
    ]:
        run = resolve(folder_data, optimizer=optimizer, **given)
        assert run.lr == pytest.approx(usual.lr * (images / 16) ** power)
    assert resolve(folder_data, optimizer=optimizer, batch_size=32, lr=0.01).lr == 0.01


class Greedy(torch.nn.Module):
    """Runs out of memory above so many images; has BatchNorm and dropout."""

    def __init__(self, memory):
        super().__init__()
        self.memory, self.seen = memory, []
        self.layers = torch.nn.Sequential(
            torch.nn.BatchNorm2d(1), torch.nn.Dropout(0.5), torch.nn.Flatten(),
            torch.nn.Linear(16, 3),
        )  # fmt: skip

    def __deepcopy__(self, memo):
        other = Greedy(self.memory)
        other.load_state_dict(self.state_dict())
        other.seen = self.seen
        return other

    def forward(self, images):
        self.seen.append(len(images))
        if len(images) > self.memory:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.layers(images)


def test_the_search_tries_real_steps_and_leaves_the_network_alone(monkeypatch):
    monkeypatch.setattr(batch_size, "_limited_memory", lambda device: contextlib.nullcontext())
    network = Greedy(memory=20)
    classifier = Classifier(network, (0.5,), (0.25,), 255.0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    image = torch.randint(0, 256, (4, 4, 1), dtype=torch.uint8)
    compute = Compute(torch.device("cpu"), "fp32")
    assert find_batch_size(classifier, image, 3, compute, most=1000) == 16
    assert network.seen == [2, 4, 8, 16, 32]
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in network.parameters())
    network.memory = 1
    with pytest.raises(CnncliError, match="not enough memory for two images") as caught:
        find_batch_size(classifier, image, 3, compute, most=1000)
    assert caught.value.exit_code == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_real_gpu():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))
    classifier = Classifier(network, (0.5,), (0.5,), 255.0)
    image = torch.zeros(8, 8, 1, dtype=torch.uint8)
    classifier.logits(image[None])
    compute = Compute(torch.device("cuda"), "fp32")
    before = torch.cuda.get_rng_state()
    assert find_batch_size(classifier, image, 2, compute, most=100) == 64
    assert torch.equal(before, torch.cuda.get_rng_state())


def test_a_batch_that_is_none_names_both_forms(cli):
    for text in ("0", "x", "1.5", "-2"):
        said = cli("train", "--data", "digits", f"--batch-size={text}")
        assert said.code == 2
        assert said.error == (
            f"--batch-size {text}: must be a whole number from 1 to 999999999, or auto"
        )
