"""Predict: rows in order, columns, exit codes, and answers as they come."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import started

from cnncli.training.checkpoint import load_checkpoint

NAMES = ["one", "two", "zero"]


@pytest.fixture
def images(folder_data):
    return sorted(folder_data.glob("*/*.png"))


def rows_of(result):
    return list(csv.DictReader(io.StringIO(result.out)))


def test_rows_come_in_order_with_bad_ones_in_between(cli, in_workspace, images, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "half.png").write_bytes(images[0].read_bytes()[:50])
    (tmp_path / "empty.png").touch()
    bad = [str(tmp_path / name) for name in ("text.png", "half.png", "empty.png", "nosuch.png")]
    paths = [str(path) for path in images]
    for place, path in zip((0, 5, 33, 70), bad, strict=True):
        paths.insert(place, path)
    result = cli("predict", *paths)
    assert result.code == 3
    rows = rows_of(result)
    assert list(rows[0]) == ["path", "label", "probability", "error"]
    assert [row["path"] for row in rows] == paths
    for row in rows:
        if row["path"] in bad:
            assert (row["label"], row["probability"]) == ("", "")
            assert row["error"]
        else:
            assert row["label"] in NAMES
            assert 1 / 3 <= float(row["probability"]) <= 1
            assert row["error"] == ""
    assert "Warning: 4 of the inputs could not be read" in result.err
    assert cli("predict", *paths[1:5]).code == 0


def test_the_newest_run_is_said(cli, in_workspace, run_dir, images):
    line = f"checkpoint: runs/{run_dir.name}/best.safetensors (the newest run)\n"
    assert cli("predict", images[0]).err == line
    assert cli("predict", images[0], "--checkpoint", run_dir).err == ""


@pytest.mark.parametrize("top_k", [1, 2, 3, 9])
@pytest.mark.parametrize("every", [False, True])
def test_columns(cli, run_dir, images, tmp_path, top_k, every):
    """Both formats say the same; places beyond the number of classes do not exist."""
    (tmp_path / "bad.png").touch()
    flags = ["--checkpoint", run_dir, "--top-k", top_k, *(["--probabilities"] * every)]
    result = cli("predict", images[0], tmp_path / "bad.png", *flags)
    good, bad = rows_of(result)
    places = ["", *(f"_{place}" for place in range(2, min(top_k, 3) + 1))]
    columns = ["path", *(f"{kind}{place}" for place in places for kind in ("label", "probability"))]
    columns += [f"probability_{name}" for name in NAMES] * every
    assert list(good) == [*columns, "error"]
    chosen = [float(good[f"probability{place}"]) for place in places]
    assert chosen == sorted(chosen, reverse=True)
    assert len({good[f"label{place}"] for place in places}) == len(places)
    assert all(bad[name] == "" for name in columns[1:])

    nested = cli("predict", images[0], tmp_path / "bad.png", *flags, "--format", "jsonl")
    one, other = (json.loads(line) for line in nested.out.splitlines())
    plain = [
        name for name in columns if not name.startswith(tuple(f"probability_{n}" for n in NAMES))
    ]
    assert list(one) == list(other) == [*plain, *(["probabilities"] * every), "error"]
    for name in plain[1:]:
        assert str(one[name]) == good[name]
        assert other[name] is None
    assert (one["error"], other["error"]) == ("", bad["error"])
    if every:
        assert one["probabilities"] == {n: float(good[f"probability_{n}"]) for n in NAMES}
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=2e-6)
        assert other["probabilities"] is None
        for place in places:
            assert good[f"probability_{good[f'label{place}']}"] == good[f"probability{place}"]


def test_json_and_table(cli, run_dir, images):
    result = cli("predict", *images[:2], "--checkpoint", run_dir, "--format", "json")
    assert [row["path"] for row in json.loads(result.out)] == [str(p) for p in images[:2]]
    result = cli("predict", *images[:2], "--checkpoint", run_dir, "--format", "table")
    assert result.out.split()[:4] == ["path", "label", "probability", "error"]
    assert str(images[1]) in result.out


def test_probabilities_are_those_of_evaluate(cli, folder_data, run_dir, tmp_path):
    flags = ("--data", folder_data, "--checkpoint", run_dir, "--split", "all")
    assert cli("evaluate", *flags, "--output", tmp_path).code == 0
    with (tmp_path / "predictions.csv").open(newline="") as file:
        expected = {row["path"]: row for row in csv.DictReader(file)}
    result = cli("predict", folder_data, "--checkpoint", run_dir, "--probabilities")
    rows = rows_of(result)
    assert len(rows) == len(expected)
    for row in rows:
        other = expected[os.path.relpath(row["path"], folder_data)]
        assert row["label"] == other["label"]
        for name in NAMES:
            # both are rounded to 6 digits
            difference = float(row[f"probability_{name}"]) - float(other[f"probability_{name}"])
            assert abs(difference) < 1.001e-6


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_batch_size_does_not_matter(cli, folder_data, run_dir, precision):
    answers = []
    for batch_size in (1, 7, 64):
        result = cli("predict", folder_data, "--checkpoint", run_dir, "--probabilities",
                     "--batch-size", batch_size, "--precision", precision)  # fmt: skip
        assert result.code == 0
        answers.append(
            [[float(row[f"probability_{name}"]) for name in NAMES] for row in rows_of(result)]
        )
    # a rounding of 6 digits may go either way
    assert np.abs(np.array(answers) - answers[0]).max() < 1.001e-6


def test_the_answers_are_the_networks(cli, run_dir, images):
    """The whole way written out: decode, resize, normalise, network, softmax."""
    import cv2
    import torch

    network, checkpoint = load_checkpoint(run_dir / "best.safetensors")
    grey = cv2.imread(str(images[7]), cv2.IMREAD_GRAYSCALE)
    resized = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_LINEAR)
    x = (resized / 255 - checkpoint.preprocess.mean[0]) / checkpoint.preprocess.std[0]
    with torch.no_grad():
        expected = network(torch.from_numpy(x)[None, None].float()).softmax(1)[0].tolist()
    (row,) = rows_of(cli("predict", images[7], "--checkpoint", run_dir, "--probabilities"))
    got = [float(row[f"probability_{name}"]) for name in checkpoint.class_names]
    assert got == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("has_bf16", ["0", "1"])
def test_the_answers_do_not_depend_on_the_processor(cli, run_dir, images, monkeypatch, has_bf16):
    expected = cli("predict", *images, "--checkpoint", run_dir, "--precision", "fp32")
    assert "--precision fp32: computed in fp32" in expected.err
    monkeypatch.setenv("CNNCLI_CPU_BF16", has_bf16)
    result = cli("predict", *images, "--checkpoint", run_dir)
    assert result.out == expected.out
    assert "--precision" not in result.err


def test_paths_are_as_given(cli, run_dir, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["./a b.png", "폐렴 01.png", "sub/../c,d.png", 'quo"te.png', "no_ending", "-.png"]
    (tmp_path / "sub").mkdir()
    for name in names:
        (tmp_path / name).write_bytes(images[0].read_bytes())
    result = cli("predict", *names[:-1], "--checkpoint", run_dir, "--", names[-1])
    assert result.code == 0, result.out
    assert [row["path"] for row in rows_of(result)] == names
    listed = "\r\n".join(names) + "\n\n"
    result = cli("predict", "-", "--checkpoint", run_dir, "--format", "jsonl", stdin=listed)
    assert [json.loads(line)["path"] for line in result.out.splitlines()] == names
    result = cli("predict", "sub/../*.png", "sub/..", "--checkpoint", run_dir)
    given = [row["path"] for row in rows_of(result)]
    assert given[0].startswith("sub/../")
    assert len(given) == 5 + 6


def test_an_error_row_does_not_stop_stdin(cli, run_dir, images):
    listed = f"{images[0]}\nnosuch.png\nnul\0byte.png\n{images[1]}\n"
    result = cli("predict", "-", "--checkpoint", run_dir, stdin=listed)
    assert result.code == 3
    assert [bool(row["error"]) for row in rows_of(result)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("empty",), "empty: no images in this folder"),
        (("nosuch/*.png",), "matches no file"),
        (("x.png", "--device", "gpu"), "--device gpu"),
        (("x.png", "--precision", "fp16", "--device", "cpu"), "--precision fp16"),
    ],
)
def test_refused(cli, run_dir, tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    result = cli("predict", *args, "--checkpoint", run_dir)
    assert result.code == 2
    assert words in result.error
    assert result.out == ""


def test_a_class_named_like_a_place(cli, tmp_path, images):
    from cnncli.images.preprocess import Preprocess
    from cnncli.training.checkpoint import Checkpoint, save_checkpoint

    checkpoint = Checkpoint("lenet5", ("1", "2"), Preprocess(32, 32, 1, mean=(0.5,), std=(0.5,)))
    save_checkpoint(tmp_path / "best.safetensors", checkpoint.build(), checkpoint)
    flags = ("--checkpoint", tmp_path, "--top-k", "2", "--probabilities")
    result = cli("predict", images[0], *flags)
    assert (result.code, result.out) == (2, "")
    assert "use --format jsonl" in result.error
    result = cli("predict", images[0], *flags, "--format", "jsonl")
    assert set(json.loads(result.out)["probabilities"]) == {"1", "2"}


def test_the_first_answer_comes_before_the_last_path(run_dir, images, tmp_path):
    with started("predict", "-", "--checkpoint", run_dir, cwd=tmp_path) as process:
        for image in images[:2]:  # a path, its answer, the next path
            process.stdin.write(f"{image}\n")
            process.stdin.flush()
            while not (line := process.stdout.readline()).startswith(str(image)):
                assert line == "path,label,probability,error\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_a_reader_that_leaves_ends_it_quietly(run_dir, images, tmp_path):
    """Stdin stays open: predict must not wait for it once nobody reads."""
    with started("predict", "-", "--checkpoint", run_dir, cwd=tmp_path) as process:
        process.stdin.write(f"{images[0]}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "path,label,probability,error\n"
        process.stdout.close()
        process.stdin.write(f"{images[1]}\n{images[2]}\n")
        process.stdin.flush()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ""


def test_names_that_are_no_utf8(run_dir, images, tmp_path):
    name = b"caf\xe9.png"
    try:
        (tmp_path / os.fsdecode(name)).write_bytes(images[0].read_bytes())
    except OSError:
        pytest.skip("this file system refuses such a name")
    done = subprocess.run(
        [sys.executable, "-m", "cnncli", "predict", "-", name, "--checkpoint", str(run_dir)],
        cwd=tmp_path,
        input=name + b"\n",
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict", "PYTHONUTF8": "1"},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(b",")[0] for line in lines] == [b"path", name, name]
    assert done.stderr.count(b"Warning: 2 files have names that are not UTF-8 (") == 1
