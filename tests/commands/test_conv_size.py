"""`cnncli conv-size` as a user types it: what stands on stdout, on stderr, and the exit code."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cnncli.cli import app

LENET5 = "conv5x5 f6 s1 p0 relu; pool2; conv5x5 f16; avgpool2; flatten; dense 84"


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["conv-size", *arguments])


def _answer(line: str, *more: str) -> str:
    result = _run(*line.split(), *more)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("28 3 1 0", "26"),
        ("28 3", "26"),
        ("224 7 2 3", "112"),  # ResNet's stem
        ("224x320 3", "222x318"),
        ("224x320 3x5 2x1 1x2", "112x320"),
        ("28x28 3x3", "26x26"),  # as the input is written
        ("28 3x3", "26"),
        ("28 3x5", "26x24"),
        ("28 3 1 same", "28"),
        ("28 4 1 SAME", "28"),
        ("28 3 2 same", "14"),
        ("29 3 2 same", "15"),
        ("28 3 2 valid", "13"),
        ("28 3 --dilation 2", "24"),
        ("28 2 --pool", "14"),
        ("28 3 --pool", "9"),
        ("28 3 1 --pool", "26"),
        ("28 3 --pool --ceil-mode", "10"),
        ("112 3 2 1 --pool", "56"),
        ("5 3 2 1 --transposed --output-padding 1", "10"),
        ("14 2 2 --transposed", "28"),
    ],
)
def test_the_size_alone(line: str, expected: str) -> None:
    result = _run(*line.split())
    assert (result.stdout, result.stderr, result.exit_code) == (expected + "\n", "", 0)


def test_channels_add_parameters_and_macs() -> None:
    # 3·3·1·32 + 32 and 26·26·3·3·32
    assert _answer("28 3 --in-channels 1 --filters 32") == "26\nparameters 320\nMACs 194688\n"
    assert "parameters 288\n" in _answer("28 3 --in-channels 1 --filters 32 --no-bias")
    # depthwise: 3·3·32 + 32
    assert "parameters 320\n" in _answer("28 3 --in-channels 32 --filters 32 --groups 32")


def test_structured_answers() -> None:
    line = "28 3 2 same --in-channels 3 --filters 8"
    expected = {
        "input": 28,
        "kernel": 3,
        "stride": 2,
        "padding": "same",
        "dilation": 1,
        "output": 14,
        "in_channels": 3,
        "filters": 8,
        "groups": 1,
        "parameters": 224,
        "macs": 42336,
    }
    assert json.loads(_answer(line + " --format json")) == expected
    assert json.loads(_answer(line + " --format jsonl")) == expected
    (row,) = csv.DictReader(io.StringIO(_answer(line + " --format csv")))
    assert row == {key: str(value) for key, value in expected.items()}
    table = _answer(line + " --format table")
    assert "42,336" in table
    wide = json.loads(_answer("224x320 3x5 2 --transposed --format json"))
    assert (wide["input"], wide["kernel"], wide["stride"]) == ([224, 320], [3, 5], 2)
    assert (wide["output"], wide["output_padding"]) == ([449, 643], 0)


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("28 3 2", ["13", "floor((28 + 2*0 - 1*(3 - 1) - 1) / 2) + 1", "floor(25 / 2) + 1 = 13",
                    "the floor drops 1 row at the bottom, 1 column at the right"]),
        ("28 3", ["26", "the floor drops no rows and no columns"]),
        ("28x29 3 2", ["13x14", "height:", "width:",
                       "the floor drops 1 row at the bottom, 0 columns at the right"]),
        ("8 3 2 1", ["4", "drops 1 row (1 of padding) at the bottom"]),
        ("28 3 2 same", ["14", "padding same is TensorFlow's rule", "ceil(28 / 2) = 14",
                         "= 1: 0 before, 1 after"]),
        ("28 4 1 same", ["28", "padding same is PyTorch's and TensorFlow's rule",
                         "= 3: 1 before, 2 after"]),
        ("6 1 2 same", ["3", "the rounding drops 1 row at the bottom"]),
        ("5 3 2 1 --transposed --output-padding 1",
         ["10", "(5 - 1)*2 - 2*1 + 1*(3 - 1) + 1 + 1 = 10", "drops no rows"]),
        ("7 2 --pool", ["3", "floor(5 / 2) + 1 = 3", "drops 1 row"]),
        ("28 2 3 1 --pool --ceil-mode",
         ["10", "ceil(28 / 3) + 1 = 11", "= 10, since window 11 would start at 30"]),
    ],
)  # fmt: skip
def test_explain_has_the_numbers_in_the_formula(line: str, lines: list[str]) -> None:
    output = _answer(line + " --explain")
    assert output.splitlines()[0] == lines[0]
    for expected in lines[1:]:
        assert expected in output


def test_explain_has_the_costs_too() -> None:
    lines = _answer("28 3 --in-channels 3 --filters 10 --explain").splitlines()
    assert lines[:3] == ["26", "parameters 280", "MACs 182520"]
    assert lines[-6:] == [
        "parameters = (kernel*kernel*in_channels + 1)*filters",
        "           = (3*3*3 + 1)*10 = 280",
        "MACs = kernel*kernel*in_channels*filters*output*output",
        "     = 3*3*3*10*26*26 = 182520",
        "a dense layer in its place has 56808 times as many parameters:",
        "     (3*28*28 + 1)*10*26*26 = 15906280",
    ]


def test_explain_in_json() -> None:
    answer = json.loads(_answer("28 3 2 --explain --format json"))
    assert answer["output"] == 13
    assert "floor drops 1 row" in answer["explanation"][-1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("28 3 --solve padding --output-size 28", "1"),
        ("28 3 2 9 --solve padding --output-size 14", "1"),  # what stands there is not read
        ("28 --solve kernel --output-size 26", "3"),
        ("28 - 2 --solve kernel --output-size 13", "3"),
        ("28 3 - 1 --solve stride --output-size 14", "2"),
        ("28x30 3 --solve padding --output-size 28x30", "1"),
        ("28x30 3x5 --solve padding --output-size 28x30", "1x2"),
        ("28 --pool --solve kernel --output-size 14", "2"),
        ("14 - 2 --transposed --solve kernel --output-size 28", "2"),
        ("28 3 - same --solve stride --output-size 14", "2"),
        ("28 3 --solve stride --output-size 1", "26"),
    ],
)
def test_solve(line: str, expected: str) -> None:
    assert _answer(line) == expected + "\n"


def test_solve_shows_all_with_a_format() -> None:
    rows = list(
        csv.DictReader(io.StringIO(_answer("28 - 2 --solve kernel --output-size 13 --format csv")))
    )
    assert [row["kernel"] for row in rows] == ["3", "4"]
    assert {row["output"] for row in rows} == {"13"}
    wide = json.loads(_answer("28x29 - 2 --solve kernel --output-size 13x13 --format json"))
    assert [row["kernel"] for row in wide] == [[3, 4], [3, 5], 4, [4, 5]]
    assert "also 4\n" in _answer("28 - 2 --solve kernel --output-size 13 --explain")


def test_solve_for_a_pool_lets_the_stride_follow_the_kernel() -> None:
    answer = _answer("29 --pool --solve kernel --output-size 4 --format json")
    assert [(row["kernel"], row["stride"], row["output"]) for row in json.loads(answer)] == [
        (6, 6, 4),
        (7, 7, 4),
    ]


def test_solve_with_a_billion_answers_is_quick() -> None:
    line = "1000000000x5 - 1000000000x1 --solve kernel --output-size 1x5"
    assert _answer(line) == "1\n"
    command = f"{sys.executable} -m cnncli conv-size {line} --format csv | head -2"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines()[1] == "1000000000x5,1,1000000000x1,0,1,1x5"
    assert done.stderr == ""


def test_solve_says_on_stderr_what_stdout_leaves_open() -> None:
    assert "every larger stride" in _run("9", "3", "--solve", "stride", "--output-size", "1").stderr
    ignored = _run("28", "3", "1", "7", "--solve", "padding", "--output-size", "28").stderr
    assert ignored == "padding 7 is not read: --solve looks for it\n"


def test_chain_as_csv_in_a_pipe() -> None:
    output = _answer("32 --in-channels 1", "--chain", LENET5)
    assert output.splitlines() == [
        "layer,output,parameters,macs,receptive_field,jump",
        "conv5x5 f6 s1 p0 relu,6x28x28,156,117600,5,1",
        "pool2,6x14x14,0,0,6,2",
        "conv5x5 f16,16x10x10,2416,240000,14,2",
        "avgpool2,16x5x5,0,0,16,4",
        "flatten,400,0,0,16,4",
        "dense 84,84,33684,33600,whole image,",
        "total,84,36256,391200,,",
    ]


def test_chain_as_json() -> None:
    layers = "conv3x5 f4 s1x2; deconv2 f2 s2"
    answer = json.loads(_answer("20x30 --in-channels 3 --format json", "--chain", layers))
    first, second = answer["layers"]
    assert first == {
        "layer": "conv3x5 f4 s1x2",
        "output": [4, 18, 13],
        "parameters": 184,
        "macs": 42120,
        "receptive_field": [3, 5],
        "jump": "1x2",
    }
    assert (second["receptive_field"], second["jump"]) == ("by position", "1/2x1")
    assert answer["total"] == {"output": [2, 36, 26], "parameters": 218, "macs": 42120 + 7488}


def test_chain_tables_and_prose() -> None:
    table = _answer("32 --in-channels 1 --format table", "--chain", LENET5)
    assert "36,256" in table
    prose = _answer("32 --in-channels 1 --explain", "--chain", LENET5)
    assert "floor((28 + 2*0 - 1*(2 - 1) - 1) / 2)" in prose
    assert prose.endswith("total: parameters 36256, MACs 391200\n")


def test_chain_without_channels_counts_grey_and_says_so() -> None:
    result = _run("32", "--chain", "conv3 f2")
    assert "counted for 1 (grey)" in result.stderr
    assert result.stdout.splitlines()[1] == "conv3 f2,2x30x30,20,16200,3,1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("28", "kernel: missing"),
        ("28 -", "kernel: '-' is not a size"),
        ("4 5", "kernel 5 is larger than the padded input 4: use a kernel of at most 4 or padding"),
        ("4 3 --dilation 4", "kernel 3 with dilation 4, 9 wide, is larger"),
        ("4x9 5", "height: kernel 5 is larger"),
        ("0 3", "input: '0' is not a size"),
        ("28 0", "kernel: '0' is not a size"),
        ("28 3 0", "stride: '0' is not a size"),
        ("28 3 --dilation 0", "--dilation: '0' is not a size"),
        ("-1 3", "a number with a minus sign: sizes are at least 1"),
        ("28 -3x3", "a number with a minus sign"),
        ("28 3 1 -1", "a number with a minus sign"),
        ("-- -1 3", "input: '-1' is not a size"),
        ("abc 3", "input: 'abc' is not a size"),
        ("28 3.5", "kernel: '3.5' is not a size"),
        ("28 3 1 sane", "padding: 'sane' is not a number"),
        ("99999999999 3", "too large"),
        ("28 3 --output-padding 1", "--output-padding: only goes with --transposed"),
        ("28 3 --ceil-mode", "--ceil-mode: only goes with --pool"),
        ("28 3 --pool --transposed", "a layer is one of them"),
        ("28 3 --pool --filters 3", "--filters: a pool has no parameters"),
        ("28 3 --pool --in-channels 3", "--in-channels: a pool has no parameters"),
        ("28 3 --groups 2", "--groups: to count parameters, --in-channels is needed too"),
        ("28 3 --in-channels 2", "--in-channels: to count parameters, --filters is needed too"),
        ("28 3 --no-bias", "--bias/--no-bias: to count parameters"),
        ("28 3 --in-channels 3 --filters 32 --groups 2", "in-channels 3 cannot be split"),
        ("28 3 --in-channels 0 --filters 32", "in-channels 0"),
        ("28 3 --in-channels 1 --filters 1 --groups 0", "groups 0: use a whole number"),
        ("28 3 1 2 --pool", "more than half of the pooling kernel 3: use at most 1"),
        ("28 3 2 same --pool --ceil-mode", "already rounds up"),
        ("28 3 2 --transposed --output-padding 2", "must be smaller than the stride 2"),
        ("28 3 2 same --transposed", "write 1 and --output-padding 1"),
        ("28 4 2 same --transposed", "for output = input * stride write 1"),
        ("28 4 1 same --transposed", "no equal padding on both sides"),
        ("28 3 1 valid --transposed", "write 0"),
        ("2 1 1 1 --transposed", "leaves an output of 0: use padding of at most 0"),
        ("28 3 --solve padding", "--solve and --output-size go together"),
        ("28 3 --output-size 3", "--solve and --output-size go together"),
        ("28 3 --solve stride --output-size 14", "the nearest sizes it can reach: 13 and 26"),
        ("28x28 3 --solve padding --output-size 28x27", "width: none gives exactly 27 from 28"),
        ("2 3 --solve stride --output-size 1", "nor any other size"),
        ("28 - 1 same --solve kernel --output-size 28", "does not change the size"),
        ("28 3 --explain --format csv", "prose has no columns"),
        ("28 3 --chain relu", "leave KERNEL out"),
        ("28 --filters 3 --pool --chain relu", "leave --filters, --pool out"),
        ("28 --in-channels 0 --chain relu", "in-channels 0"),
        ("28 --chain rleu", "layer 1 'rleu': unknown layer; did you mean relu"),
        ("28 3 --format xml", "--format xml: must be table, csv, json or jsonl"),
        ("28 3 --filter", "--filter"),
        ("", "INPUT"),
    ],
)
def test_a_mistake_is_one_plain_line(line: str, message: str) -> None:
    result = _run(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    *notes, last, end = result.stderr.split("\n")
    assert (notes, end) == ([], "")
    assert last.startswith("Error: ")
    assert message in last


def test_what_replaces_same_for_transposed_does() -> None:
    for kernel in range(1, 7):
        for stride in range(1, 5):
            line = f"9 {kernel} {stride}"
            advice = _run(*f"{line} same --transposed".split()).stderr
            if "no equal padding" in advice:
                assert (stride, kernel % 2) == (1, 0)
                continue
            padding, _, extra = advice.split("write ")[1].partition(" and ")
            reached = _answer(f"{line} {padding.strip()} --transposed {extra.strip()}")
            assert int(reached) == 9 * stride


def test_help_shows_no_trace_of_the_minus_trap() -> None:
    text = _answer("--help")
    assert "--chain" in text
    assert "-7" not in text


def test_animate_leaves_the_answer_as_it_is(tmp_path: Path) -> None:
    for line in ("5 3 2 1", "4x6 3x2 --explain", "3 3 2 1 --transposed --format json"):
        for name in ("a.gif", "a.SVG"):
            picture = tmp_path / name
            result = _run(*line.split(), "--animate", str(picture))
            assert (result.stdout, result.exit_code) == (_answer(line), 0)
            assert result.stderr.startswith(f"drawn in {picture}: ")
            assert result.stderr.count("\n") == 1
            begins = picture.read_bytes()[:4]
            assert begins == (b"GIF8" if name == "a.gif" else b"<svg")
    assert {path.name for path in tmp_path.iterdir()} == {"a.gif", "a.SVG"}


def test_animate_tells_how_many_steps(tmp_path: Path) -> None:
    picture = tmp_path / "a.svg"
    assert _run("5", "3", "--animate", str(picture)).stderr == (
        f"drawn in {picture}: 9 steps, 0.5 s each\n"
    )
    assert _run("28", "5", "--animate", str(picture)).stderr == (
        f"drawn in {picture}: 576 steps, 0.05 s each\n"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("5 3 --animate a.png", "--animate a.png: must end in .gif or .svg"),
        ("5 3 --animate a", "--animate a: must end in .gif or .svg"),
        ("5 3 --animate no/a.gif", "--animate no/a.gif: there is no folder no"),
        ("5 3 --animate d.gif", "--animate d.gif: is a folder; name a file in it"),
        ("4 5 --animate a.gif", "Error: kernel 5 is larger than the padded input 4"),
        ("28 --animate a.gif --chain relu", "--animate: draws one layer, not a --chain"),
        ("28 - 2 --animate a.gif --solve kernel --output-size 13",
         "--animate: draws a layer whose kernel is known"),
        ("224 7 2 3 --animate a.gif", "230 cells in a row are too many to draw, at most 40; use a "
         "smaller input: 10 shows the same kernel and stride"),
        ("32 3 1 1 --animate a.gif", "1024 steps are too many to watch, at most 784"),
        ("999999999 3 1 same --animate a.gif", "use a smaller input: 14 "),
        ("100x20 3 --animate a.gif", "use a smaller input: 16 "),
        ("100 50 --animate a.gif", "at most 40; use smaller numbers"),
        ("1000 3 100 --animate a.gif", "at most 40; use smaller numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_animated_is_said(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.gif").mkdir()
    result = _run(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["d.gif"]


@pytest.mark.parametrize(
    "line",
    ["224 7 2 3", "225 7 2 3", "57 3 2 same", "100x301 3x4 3x5 1", "99 2 --pool",
     "100 3 3 --pool --ceil-mode", "60 3 2 1 --transposed --output-padding 1"],
)  # fmt: skip
def test_the_smaller_input_can_be_animated_and_ends_alike(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is proposed is drawn, and the rounding drops the same: the end of --explain is equal."""
    monkeypatch.chdir(tmp_path)
    advice = _run(*line.split(), "--animate", "a.svg").stderr
    smaller = advice.split("use a smaller input: ")[1].split()[0]
    size, _, rest = line.partition(" ")
    result = _run(smaller, *rest.split(), "--explain", "--animate", "a.svg")
    assert result.exit_code == 0
    assert (tmp_path / "a.svg").is_file()
    assert result.stdout.splitlines()[-1] == _answer(f"{size} {rest} --explain").splitlines()[-1]
