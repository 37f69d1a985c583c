"""The number of threads, measured by a clock of our own: no test depends on the machine's load."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_network import CPU, MEAN, STD, Tiny
from torch import nn

from cnncli.models.build import Classifier
from cnncli.reporting import SilentReporter
from cnncli.training.progress import Progress
from cnncli.training.thread_count import ThreadCount
from cnncli.training.threads import Choice, choose_threads, copied_steps, limited_blas


class Machine:
    """A machine whose steps take as long as a formula says, by its own clock."""

    def __init__(self, each, step=0.0):
        self.now, self.each, self.step, self.tried = 0.0, each, step, set()

    def clock(self):
        return self.now

    def take_step(self, images, seconds):
        threads = torch.get_num_threads()
        self.tried.add(threads)
        took = images * self.each[threads] + self.step
        self.now += min(took, seconds + 1e-3)
        return took <= seconds


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("each", "most", "best"),
    [
        ({1: 1e-3, 2: 5e-4}, 2, 2),  # two free cores
        ({1: 1e-3, 2: 9.9e-4}, 2, 1),  # hardly quicker: the core is left to others
        ({1: 1e-3, 2: 2e-2}, 2, 1),  # beside busy processes
        ({1: 1.0, 2: 0.5}, 2, 2),  # a network that takes a second for each image
        ({1: 1e-3, 2: 6e-4, 4: 4e-4, 8: 9e-4, 16: 8e-4}, 16, 4),
        ({1: 1e-3, 2: 6e-4, 4: 4e-4, 6: 3e-4}, 6, 6),  # not a power of two
        ({1: 1e-3}, 1, 1),
    ],
)
def test_the_quickest_number_is_chosen(threads, each, most, best):
    machine = Machine(each)
    assert choose_threads(machine.take_step, 32, most, machine.clock).number == best
    assert torch.get_num_threads() == threads  # as it was


def test_the_rate_of_the_choice_is_that_of_its_steps(threads):
    machine = Machine({1: 1e-3, 2: 2e-2})
    assert choose_threads(machine.take_step, 32, 2, machine.clock).rate == pytest.approx(1e3)
    assert choose_threads(machine.take_step, 32, 1, machine.clock).rate == 0  # nothing was tried
    machine = Machine({1: 1.0, 2: 2.0})
    assert choose_threads(machine.take_step, 32, 2, machine.clock).rate == 0


def test_no_larger_number_is_tried_once_one_is_slower(threads):
    machine = Machine({1: 1e-3, 2: 6e-4, 4: 8e-4})
    choose_threads(machine.take_step, 32, 64, machine.clock)
    assert machine.tried == {1, 2, 4}


def test_far_slower_steps_are_given_up(threads):
    machine = Machine({1: 1e-4, 2: 1.0})
    assert choose_threads(machine.take_step, 32, 2, machine.clock).number == 1
    assert machine.now < 1  # a whole step with two threads would have been 32 s


@pytest.mark.parametrize("each", [1e-6, 1e-3, 0.05, 0.1, 0.2, 1.0, 30.0])
@pytest.mark.parametrize("gain", [0.5, 0.6, 0.97, 1.02, 1.5])
@pytest.mark.parametrize("powers", [2, 7])
def test_it_is_bounded(threads, each, gain, powers):
    """However slow a network is, and whatever twice as many threads gain."""
    machine = Machine({1 << power: each * gain**power for power in range(powers)}, step=1e-4)
    choose_threads(machine.take_step, 128, 1 << (powers - 1), machine.clock)
    assert machine.now < 3


@pytest.mark.parametrize("most", [2, 64])
def test_a_slow_network_gets_all_threads(threads, most):
    machine = Machine({1: 1.0, most: 2.0})
    assert choose_threads(machine.take_step, 32, most, machine.clock).number == most
    assert machine.now < 1.1


def test_it_takes_a_fraction_of_a_second(threads):
    machine = Machine({1 << power: 1e-3 / (1 << power) for power in range(7)})
    assert choose_threads(machine.take_step, 128, 64, machine.clock).number == 64
    assert machine.now < 1


def test_steps_change_nothing():
    torch.manual_seed(3)
    network = nn.Sequential(Tiny(), nn.Dropout(0.5))
    classifier = Classifier(network, MEAN, STD, 255.0)
    network.train()
    network[0].eval()
    images = torch.zeros((4, 3, 3, 2), dtype=torch.uint8)
    before, streams = copy.deepcopy(classifier.state_dict()), torch.get_rng_state()
    modes = [module.training for module in classifier.modules()]
    with copied_steps(classifier, images, 3, CPU, network.train) as take_step:
        assert take_step(4, 1e9)
        assert take_step(2, 1e9)
        assert not take_step(2, -1.0)  # the time is over before the first layer
    assert all(torch.equal(value, before[key]) for key, value in classifier.state_dict().items())
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert torch.equal(torch.get_rng_state(), streams)
    assert [module.training for module in classifier.modules()] == modes


def rows(*rates):
    return [{"epoch": n, "images_per_second": rate} for n, rate in enumerate(rates, start=1)]


@pytest.mark.parametrize(
    ("rates", "is_due"),
    [
        ((0.0, 100.0), True),  # nothing was timed
        ((100.0,), False),
        ((100.0, 70.0), False),
        ((100.0, 60.0), True),
        ((60.0, 100.0), True),
        ((100.0, 30.0, 100.0, 100.0), False),  # one slow epoch does not make the others quick
    ],
)
def test_a_second_look_where_epochs_are_far_from_the_usual(threads, rates, is_due):
    looks = []
    count = ThreadCount(2, most=2, find=lambda inputs: looks.append(inputs) or Choice(1))
    count.look_again(rows(*rates), None, SilentReporter())
    assert (len(looks) == 1) == is_due
    assert count.now == torch.get_num_threads() if is_due else 2
    assert count.first == 2  # the features are those of the first number


def test_epochs_before_a_look_do_not_count(threads):
    found = iter([1, 2])
    count = ThreadCount(2, most=2, find=lambda inputs: Choice(next(found)))
    count.look_again(rows(100, 10), None, SilentReporter())
    count.look_again(rows(100, 10, 50), None, SilentReporter())
    count.look_again(rows(100, 10, 50, 49), None, SilentReporter())
    assert count.now == 1


def watch(count, images_per_second, steps=12, of=320):
    """Train the first epoch's steps of 8 images; return those after which it is begun anew."""
    inputs, progress = SimpleNamespace(train=SimpleNamespace(count=of)), Progress(1)
    anew = []
    for step in range(1, steps + 1):
        progress.images += 8
        progress.seconds += 8 / images_per_second(step)
        if count.look_early(progress, inputs, SilentReporter()):
            anew.append(step)
            break
    return anew


def counted(found, **settings):
    """Return a number of 2 threads, measured as 100 images/s, and what it measures later."""
    found = [Choice(*one) for one in found]
    count = ThreadCount(2, most=2, find=lambda inputs: found.pop(0), rate=100.0, **settings)
    return count, found


def test_a_first_epoch_far_slower_than_measured_is_begun_anew(threads):
    count, _ = counted([(1, 60.0)])
    assert watch(count, lambda step: 10.0) == [1]
    assert (count.now, torch.get_num_threads(), count.first) == (1, 1, 2)
    assert count.begins_anew()
    assert not count.begins_anew()
    assert watch(count, lambda step: 1.0) == []  # fewer than one thread there are not


@pytest.mark.parametrize(
    ("rate", "settings"),
    [
        (lambda step: 100.0, {}),
        (lambda step: 30.0, {}),  # reading and the optimizer were not measured
        (lambda step: 1.0 if step == 1 else 100.0, {"has_workers": True}),
        (lambda step: 100.0 if step < 22 else 1.0, {}),  # half of it is done
        (lambda step: 1.0, {"fixed": True}),
    ],
)
def test_other_first_epochs_are_not_measured_again(threads, rate, settings):
    count, _ = counted([], **settings)  # a measurement would find no number
    assert watch(count, rate, steps=40) == []
    assert not count.begins_anew()


def test_a_number_that_is_found_again_stays_and_is_looked_at_less_often(threads):
    count, left = counted([(2, 100.0), (2, 100.0), (1, 100.0)])
    assert watch(count, lambda step: 10.0, steps=12, of=10_000) == []  # 9.6 s
    assert len(left) == 1
    assert count.now == 2


def test_later_epochs_are_not_begun_anew(threads):
    count, left = counted([(1, 60.0)])
    progress = Progress(2, images=8, seconds=100.0)
    assert not count.look_early(progress, None, SilentReporter())
    assert left


def test_what_is_fixed_is_not_measured():
    for count in (ThreadCount(2), ThreadCount(2, most=2, fixed=True)):
        count.look_again(rows(100, 1), None, SilentReporter())
        assert count.now == 2


def test_all_processes_have_the_smallest_number_of_theirs():
    class Two:
        def gather(self, value):
            return [value, Choice(1, 30.0)]

    count = ThreadCount(4, most=4, find=lambda inputs: Choice(4, 9.0), world=Two())
    count.measure(None)
    assert (count.now, count.rate) == (1, 30.0)
    assert np.isfinite(count._ended)


def test_numpy_gets_as_many_threads_as_torch(monkeypatch):
    from threadpoolctl import threadpool_info

    def blas():
        return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}

    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    before = blas()
    with limited_blas():
        assert blas() == {2}
    assert blas() == before
