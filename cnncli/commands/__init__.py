"""The table of commands. Each is a file: it parses, calls one recipe and prints.

The command ``find-lr`` is the function ``find_lr`` of ``find_lr.py``. The table says what
``cnncli --help`` shows, so that no command is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple


class Entry(NamedTuple):
    """One command of the table.

    Attributes:
        group: The heading of ``cnncli --help`` under which the command stands.
        function: Where it is: the module in this package, and the function in it.
        summary: The first line of its docstring.
    """

    group: str
    function: str
    summary: str

    def load(self) -> Callable[..., None]:
        """Import the command and return its function."""
        module, _, name = self.function.partition(":")
        function: Callable[..., None] = getattr(import_module(f"{__name__}.{module}"), name)
        return function


TABLE: dict[str, Entry] = {
    "train": Entry(
        "Train",
        "train:train",
        "Train a classifier on a folder of images; print the run folder's path.",
    ),
    "finetune": Entry(
        "Train",
        "finetune:finetune",
        "Fine-tune a trained network on a folder of images; print the run folder's path.",
    ),
    "cross-validate": Entry(
        "Train",
        "cross_validate:cross_validate",
        "Train K networks, judge every image by the one that did not see it; print the folder's "
        "path.",
    ),
    "tune": Entry(
        "Train",
        "tune:tune",
        "Search settings with Optuna; print the best as YAML for train --config.",
    ),
    "find-lr": Entry(
        "Train",
        "find_lr:find_lr",
        "Suggest a learning rate: train some steps with ever higher ones and watch the loss.",
    ),
    "evaluate": Entry(
        "Judge and use",
        "evaluate:evaluate",
        "Evaluate a trained classifier on labelled images.",
    ),
    "report": Entry(
        "Judge and use",
        "report:report",
        "Write a page on a run: figures, confusions with their images, curves; print its path.",
    ),
    "predict": Entry(
        "Judge and use",
        "predict:predict",
        "Predict the class of images: a row each, in the order given.",
    ),
    "export": Entry(
        "Judge and use",
        "export:export",
        "Write a run's network as an ONNX file for other programs; print its path.",
    ),
    "serve": Entry(
        "Judge and use",
        "serve:serve",
        "Serve a page to try a trained classifier on images, and POST /predict; print its address.",
    ),
    "compare": Entry(
        "Judge and use",
        "compare:compare",
        "Lay runs side by side: settings that differ, best epochs, test figures, learning curves.",
    ),
    "runs": Entry(
        "Judge and use",
        "runs:runs",
        "List the runs of a folder, the newest first; show, note, prune or delete them.",
    ),
    "suspect-labels": Entry(
        "Data",
        "suspect_labels:suspect_labels",
        "Find labels that look wrong, by networks that never saw the images; exit code 3 if any.",
    ),
    "check-data": Entry(
        "Data",
        "check_data:check_data",
        "Find duplicates, damage, leaks and shortcuts in images; exit code 3 if results suffer.",
    ),
    "split": Entry(
        "Data",
        "split:split",
        "Split images into train, val and test, or folds; print the path of the file.",
    ),
    "augment": Entry(
        "Data",
        "augment:augment",
        "Draw an image and what augmentation makes of it as a grid; print the picture's path.",
    ),
    "sample-data": Entry(
        "Data",
        "sample_data:sample_data",
        "Write a data set that comes with cnncli as files DIR/<class>/<number>.png; print DIR.",
    ),
    "models": Entry(
        "Look inside",
        "models:models",
        "List the networks: size, cost, accuracy, pretrained weights and which are on disk.",
    ),
    "inspect-layers": Entry(
        "Look inside",
        "inspect_layers:inspect_layers",
        "Show what each layer of a network is, costs and sees.",
    ),
    "visualize": Entry(
        "Look inside",
        "visualize:visualize",
        "Draw what a network has learnt and what it sees; print the picture's path.",
    ),
    "conv-size": Entry(
        "Arithmetic",
        "conv_size:conv_size",
        "Output size of a layer or a whole network: conv-size 28 3 1 0 prints 26.",
    ),
    "convolve": Entry(
        "Arithmetic",
        "convolve:convolve",
        "Convolve numbers or an image with kernels, and show every step of it.",
    ),
}
