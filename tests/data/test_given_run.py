"""A run, a folder of runs or weights in place of images are refused, and never read as images."""

import pytest
from helpers import TINY_PNG, find_below, refuses_to_find

from cnncli.data.given_run import names_run
from cnncli.data.inputs import expand_inputs
from cnncli.errors import CnncliError

RUN = ("config.yaml", "splits.csv", "metrics.csv", "best.safetensors")


@pytest.fixture
def make_run(tmp_path):
    """Return a function that makes a run folder with two pictures in it."""

    def make(name, files=RUN, data="./xray"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(f"data: {data}\n" if file == "config.yaml" else "text")
        for file in ("cam.png", "curves.png"):
            (folder / file).write_bytes(TINY_PNG)
        return folder

    return make


@pytest.mark.parametrize(
    "files",
    [
        RUN,
        ("config.yaml", "splits.csv", "last.pt"),
        ("config.yaml", "metrics.csv"),
        ("config.yaml", "splits.csv", "fold1/config.yaml"),
    ],
)
def test_a_run_is_no_data(make_run, files):
    run = make_run("runs/a", files)
    told = "a run, and no images; the images that it was trained on are --data ./xray"
    refuses_to_find(run, told)
    with pytest.raises(CnncliError, match="a run, and no images"):
        list(expand_inputs([str(run)], None))


@pytest.mark.parametrize("name", ["best.safetensors", "epochs/0005.safetensors", "best.onnx"])
def test_weights_are_no_data(make_run, name):
    file = make_run("runs/a", (*RUN, name)) / name
    refuses_to_find(file, "holds the weights of a network, and no images; .* --data ./xray")
    with pytest.raises(CnncliError, match="holds the weights of a network"):
        list(expand_inputs(["photo.jpg", str(file)], None))


def test_a_folder_of_runs_is_no_data(make_run):
    make_run("runs/a")
    runs = make_run("runs/b").parent
    (runs / "tune").mkdir()
    refuses_to_find(runs, r"a folder of runs \(a, b\), and no images")
    with pytest.raises(CnncliError, match="a folder of runs"):
        list(expand_inputs([str(runs)], None))


@pytest.mark.parametrize("name", ["1.png", "labels.csv"])
def test_a_run_beside_images_or_a_table_makes_no_folder_of_runs(make_run, write, name):
    root = write(name)
    make_run(f"{root.name}/2026-01-01_lenet5")
    assert not names_run(root)


@pytest.mark.parametrize("name", ["a" * 5000 + ".jpg", "a" * 5000 + ".pth", "a\0b.jpg"])
def test_a_path_that_cannot_be_looked_at_is_told_where_it_is_read(name):
    assert list(expand_inputs([name], None)) == [name]


def test_pictures_in_a_run_among_the_images_are_no_class(make_run, write):
    root = write("a/1.png", "b/2.png")
    make_run(f"{root.name}/2026-01-01_lenet5")
    samples = find_below(root)
    assert (samples.class_names, len(samples.paths)) == (("a", "b"), 2)
    assert len(list(expand_inputs([str(root)], None))) == 2


def test_images_beside_settings_and_splits_stay_data(write):
    root = write("a/1.png", "b/2.png")
    write("config.yaml", "splits.csv", data=b"text")
    assert find_below(root).class_names == ("a", "b")
