"""Pictures are written whole or not at all, by several threads at once, without pyplot."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cnncli.plots.curves import save_curves

HISTORY = [
    {"epoch": epoch, "train_loss": 1.5 / epoch, "val_loss": 2 / epoch, "val_accuracy": 0.4}
    for epoch in range(1, 6)
]


def test_a_picture_replaces_another_and_leaves_nothing_beside_it(tmp_path, size_of):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")
    save_curves(path, HISTORY)
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]
    assert size_of(path)


def test_a_failure_keeps_the_old_picture_and_cleans_up(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def full_disk(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_curves(path, HISTORY)
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]
    assert path.read_bytes() == b"old"


def test_pictures_of_several_threads_do_not_mix(tmp_path):
    save_curves(tmp_path / "alone.png", HISTORY, best_epoch=2)
    threads = [
        threading.Thread(
            target=save_curves,
            args=(tmp_path / f"{index}.png", HISTORY),
            kwargs={"best_epoch": 2},
        )
        for index in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = (tmp_path / "alone.png").read_bytes()
    assert all((tmp_path / f"{index}.png").read_bytes() == alone for index in range(4))


def test_heavy_libraries_wait_and_pyplot_never_comes(tmp_path):
    script = (
        "import sys\n"
        "import cnncli.evaluation.report, cnncli.plots.confusion_matrix\n"
        "early = {'sklearn', 'matplotlib', 'pandas', 'torch', 'cv2'} & set(sys.modules)\n"
        "assert not early, early\n"
        "from pathlib import Path\n"
        "cnncli.plots.confusion_matrix.save_confusion_matrix("
        "Path(sys.argv[1]), [[1, 0], [0, 1]], 'ab')\n"
        "assert 'matplotlib.figure' in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "a.png")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
