"""What a run keeps of the warnings about its images."""

import json
import shutil

import pytest
from helpers import train, write_digits

from cnncli.errors import CnncliError
from cnncli.files import DATA_CHECK_FILE
from cnncli.run.data_check import DataCheck, load_data_check, save_data_check


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """Return a run on images of which one is in two classes, and one cannot be read."""
    root = tmp_path_factory.mktemp("copied")
    paths = write_digits(root / "data", per_class=20)
    shutil.copy(paths[0], root / "data" / "1" / "copy.png")
    (root / "data" / "2" / "damaged.png").write_bytes(b"no image")
    return train(root / "runs", data=str(root / "data"), on_bad_image="skip")


def test_findings_and_other_warnings_are_kept(copied):
    check = load_data_check(copied)
    (finding,) = (row for row in check.findings if row.kind == "contradiction")
    assert finding.severity == "spoils"
    assert finding.images == 2
    assert finding.text not in check.warnings
    assert any("damaged.png" in text for text in check.warnings)
    raw = json.loads((copied / DATA_CHECK_FILE).read_text("utf-8"))
    assert raw["format"] == 1
    assert finding.text in [row["text"] for row in raw["findings"]]


def test_a_run_that_kept_none_and_a_damaged_file(tmp_path):
    assert load_data_check(tmp_path) is None
    save_data_check(tmp_path, DataCheck())
    assert load_data_check(tmp_path) == DataCheck()
    (tmp_path / DATA_CHECK_FILE).write_text('{"findings": [{}]}')
    with pytest.raises(CnncliError, match=r"not the data_check\.json of a run"):
        load_data_check(tmp_path)
