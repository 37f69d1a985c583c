"""Names of runs that share their beginning or end."""

import pytest

from cnncli.shell.sides import find_shared


@pytest.mark.parametrize(
    ("names", "shared"),
    [
        (["2026-11-26_132018_resnet_small", "2026-11-26_131910_resnet_small"],
         ("2026-11-26_", "_resnet_small")),
        (["2026-11-26_132018_lenet5", "2026-11-26_131910_resnet5"], ("2026-11-26_", "")),
        (["lr_0.1", "lr_0.01", "lr_0.001"], ("lr_", "")),
        (["a_x", "b_x"], ("", "_x")),
        (["a_b", "a_b_b"], ("a_", "")),
        (["run", "run_2"], ("", "")),
        (["first", "second"], ("", "")),
        (["alone_in_the_world"], ("", "")),
    ],
)  # fmt: skip
def test_the_shared_ends_of_names_stop_at_words(names, shared):
    head, tail = find_shared(names)
    assert (head, tail) == shared
    parts = [name[len(head) : len(name) - len(tail)] for name in names]
    assert [head + part + tail for part in parts] == names
    assert len(set(parts)) == len(names)
    assert all(parts)
