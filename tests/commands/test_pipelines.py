"""The two sentences of the shell that the tool was made for, in a real shell."""

import json
import shutil
import subprocess

import pytest

SCRIPT = """
set -euo pipefail
run=$(cnncli train --data digits --model lenet5 --epochs 1) && cnncli predict some.png | head -1
test -f "$run/best.safetensors"
find images -name '*.png' | cnncli predict - --format jsonl
cnncli predict images/*/* | head -1 > /dev/null
cnncli predict nosuch.png > /dev/null || echo "exit $?"
if run=$(cnncli train --data nosuch --model lenet5); then echo wrong; else echo "exit $? <$run>"; fi
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_in_a_shell_script(tmp_path, folder_data):
    images = sorted(folder_data.glob("*/*.png"))
    shutil.copytree(folder_data, tmp_path / "images")
    shutil.copy(images[0], tmp_path / "some.png")
    done = subprocess.run(
        ["bash", "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "path,label,probability,error"
    rows = [json.loads(line) for line in lines[1:-2]]
    assert {row["path"] for row in rows} == {
        f"images/{path.parent.name}/{path.name}" for path in images
    }
    assert {row["error"] for row in rows} == {""}
    assert {row["label"] for row in rows} <= {str(digit) for digit in range(10)}
    assert lines[-2:] == ["exit 3", "exit 2 <>"]
    assert "Traceback" not in done.stderr
