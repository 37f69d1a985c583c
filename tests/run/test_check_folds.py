"""What a fresh process imports to find the networks of a cross-validation."""

import subprocess
import sys


def test_folds_are_checked_without_torch():
    code = (
        "import sys, cnncli.run.check_folds, cnncli.run.members\n"
        "heavy = {'torch', 'torchvision', 'pandas', 'sklearn', 'albumentations'}\n"
        "assert not heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
