"""What is said where a loader process dies, whichever way the main process hears of it."""

import pytest

from cnncli.data.loader import explain_worker_death
from cnncli.errors import RUNTIME_FAILURE, CnncliError

KILLED = "DataLoader worker (pid 7) is killed by signal: Killed."
BUS = "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that …"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError(KILLED), "a loader process was killed"),
        (RuntimeError(BUS), "/dev/shm is too small"),
        (ConnectionResetError(104, "Connection reset by peer"), "a loader process was killed"),
        (ConnectionRefusedError(111, "Connection refused"), "a loader process was killed"),
    ],
    ids=["killed", "no shared memory", "reset", "refused"],
)
def test_a_death_is_explained(error, words):
    with pytest.raises(CnncliError, match=words) as caught, explain_worker_death():
        raise error
    assert caught.value.exit_code == RUNTIME_FAILURE


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), BrokenPipeError(), ValueError("a bug")], ids=repr
)
def test_other_errors_stay_as_they_are(error):
    with pytest.raises(type(error)) as caught, explain_worker_death():
        raise error
    assert caught.value is error
