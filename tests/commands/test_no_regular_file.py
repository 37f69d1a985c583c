"""A pipe or a device in place of a file of a run folder is refused; nothing waits for ever."""

import os
import shutil
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes as files")
COMMANDS = {
    "compare": ("metrics.csv", "report.json", "splits.csv", "best.safetensors", "predictions.csv"),
    "evaluate": ("splits.csv", "best.safetensors"),
    "resume": ("config.yaml", "metrics.csv", "splits.csv", "best.safetensors", "last.pt"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize(
    ("command", "name"), [(command, name) for command, names in COMMANDS.items() for name in names]
)
def test_it_is_named_in_one_line(cli, run_dir, tmp_path, command, name, kind):
    run, other = tmp_path / "run", tmp_path / "other"
    shutil.copytree(run_dir, run)
    shutil.copytree(run_dir, other)
    (run / "last.pt").touch()
    (run / name).unlink(missing_ok=True)
    if command == "resume":
        (run / "report.json").unlink()
    (other / "predictions.csv").write_text("path,target,label\n")
    if kind == "pipe":
        os.mkfifo(run / name)
    else:
        (run / name).symlink_to("/dev/zero")
    args = {
        "compare": ("compare", run, other),
        "evaluate": ("evaluate", "--checkpoint", run),
        "resume": ("train", "--resume", run),
    }
    result = cli(*args[command])
    assert result.code in (2, 3)  # compare leaves the run out
    told = [line for line in result.err.splitlines() if name in line]
    assert len(told) == 1
    assert told[0].startswith(("Error: ", "Warning: left out: "))
