"""One reader of predictions.csv, for what `evaluate` writes with any names and flags."""

import numpy as np
import pytest

from cnncli.data.samples import Samples
from cnncli.errors import CnncliError
from cnncli.run.predictions import read_predictions
from cnncli.run.save_evaluation import save_predictions

NAMES = ("-1", "+", 'a, "b"')


def write(path, **flags):
    paths = np.array(["x\ny.png", "=1.png", "z\udcff.png", "last.png"], object)
    targets = np.array([0, 1, 2, 0])
    samples = Samples(None, paths, targets, NAMES, np.full(4, -1))
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    save_predictions(path, samples, probabilities, **flags)
    return paths, targets, probabilities


@pytest.mark.parametrize("csv_safe", [False, True])
def test_what_is_written_is_read(tmp_path, csv_safe):
    file = tmp_path / "predictions.csv"
    paths, targets, probabilities = write(file, csv_safe=csv_safe)
    found = read_predictions(file)
    assert found.class_names == (("'-1", "'+", NAMES[2]) if csv_safe else NAMES)
    assert not found.folds
    if not csv_safe:
        assert found.paths == paths.tolist()
    np.testing.assert_array_equal(found.number(found.targets), targets)
    np.testing.assert_array_equal(found.number(found.labels), probabilities.argmax(axis=1))
    np.testing.assert_allclose(found.probabilities, probabilities, atol=1e-6)
    turned = found.take([3, 0])
    assert (turned.paths[0], turned.targets) == ("last.png", [found.class_names[0]] * 2)
    np.testing.assert_array_equal(turned.probabilities, found.probabilities[[3, 0]])
    # Earlier versions quoted the rows alone.
    file.write_bytes(file.read_bytes().replace(b"probability_'", b"probability_"))
    earlier = read_predictions(file)
    assert earlier.class_names == NAMES
    np.testing.assert_array_equal(earlier.number(earlier.targets), targets)


def test_what_is_missing_or_cut_short(tmp_path):
    file = tmp_path / "predictions.csv"
    assert read_predictions(file) is None
    write(file, folds=np.array([1, 2, 1, 2]))
    assert read_predictions(file).folds
    file.write_bytes(file.read_bytes()[:-45])
    with pytest.raises(CnncliError, match=r"line 6: not the predictions\.csv of evaluate"):
        read_predictions(file)
