"""The flags of a run, as one table; light, so that ``--help`` is quick.

``cnncli.config`` has a field for each, with its bounds and default; a test holds both together.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from cnncli.choices import (
    ActivationName,
    Balance,
    BatchNormMode,
    LogName,
    LossName,
    NormName,
    OnBadImage,
    OnNan,
    OptimizerName,
    Precision,
    ResizeMode,
    SchedulerName,
)

Flags = dict[str, Any]


def _complete_data(incomplete: str) -> list[str]:
    from cnncli.data import EMBEDDED, TORCHVISION
    from cnncli.data.torchvision_table import SETS

    names = [*EMBEDDED, *(TORCHVISION + name for name in SETS)]
    return [name for name in names if name.startswith(incomplete)]


def _complete_model(incomplete: str) -> list[str]:
    from cnncli.models.registry import MODELS

    return [name for name in MODELS if name.startswith(incomplete)]


def complete_augment(incomplete: str) -> list[str]:
    """Return the levels that begin so."""
    from cnncli.augmentation.words import LEVELS

    return [name for name in ("none", *LEVELS) if name.startswith(incomplete)]


def flag(kind: Any, text: str, *names: str, **extra: Any) -> Any:
    """Return the annotation of a flag that is None where it was not given."""
    return Annotated[kind | None, typer.Option(*names, help=text, show_default=False, **extra)]


ConfigFile = Annotated[
    str | None,
    typer.Option("--config", "-c", metavar="YAML", help="File of flags; flags given here win."),
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print the settings as YAML and exit.")
]

TestTimeViews = Annotated[
    str | None,
    typer.Option(
        "--tta",
        metavar="flips|K",
        help="Average over views: flips (mirror images), or the image and K-1 draws of the run's "
        "own augmentation.",
        show_default=False,
    ),
]

JudgingPrecision = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="Compute in another precision than float32: the answers then depend on the machine; "
        "auto takes what the device computes natively.",
        show_default=False,
    ),
]

DATA_FLAGS: Mapping[str, Any] = {
    "data": flag(
        str,
        "Folder of class folders, folder of train/val/test folders, a CSV, digits or "
        "torchvision:NAME.",
        metavar="PATH",
        autocompletion=_complete_data,
    ),
    "image_col": flag(
        str,
        "CSV column of image paths or ids, or several, a,b, whose files are a sample's channels "
        "[the usual names].",
    ),
    "label_col": flag(str, "CSV column of labels [the usual names]."),
    "split_col": flag(str, "CSV column of splits [split, subset, set]."),
}

RUN_FLAGS: Mapping[str, Any] = {
    **DATA_FLAGS,
    "group_col": flag(str, "CSV column of groups (patients) that stay in one split."),
    "group_regex": flag(str, "Regular expression that finds the group in a file name."),
    "splits": flag(
        str,
        "File of splits, as split or an earlier run wrote it, in place of drawing them.",
        metavar="FILE",
    ),
    "fold": flag(int, "Fold of that file to choose on; the others are trained on.", metavar="K"),
    "class_order": flag(str, "Classes in their order, a,b,c [sorted].", metavar="A,B,C"),
    "val_fraction": flag(float, "Share of the images to choose on [0.15]."),
    "test_fraction": flag(float, "Share of the images to judge on [0.15]."),
    "model": flag(
        str,
        "Network, one of `cnncli models` or 'cnn: LAYERS' [train: resnet_small, "
        "finetune: resnet18].",
        metavar="NAME",
        autocompletion=_complete_model,
    ),
    "weights": flag(
        str,
        "Weights to start from: default, a name, none, or the PATH of a run, .safetensors or .pth "
        "[train: none, finetune: default].",
        metavar="WEIGHTS",
    ),
    "activation": flag(ActivationName, "Activation in place of the network's own."),
    "norm": flag(NormName, "Normalisation layers in place of the network's own."),
    "dropout": flag(float, "Dropout probability in place of the network's own.", metavar="P"),
    "image_size": flag(str, "Pixels, N or HEIGHTxWIDTH [by the data].", metavar="SIZE"),
    "resize_mode": flag(ResizeMode, "How images come to that size [squash]."),
    "in_channels": flag(int, "1 for grey, 3 for colour, 2 or 4 with alpha [by the data]."),
    "intensity": flag(
        str,
        "Stored values that become black and white: full, LOW:HIGH or percentiles pLOW:pHIGH; one "
        "per file, joined by commas [by the data: full, or the bits that are used].",
        metavar="WINDOW",
    ),
    "exact_decode": flag(
        bool, "Decode large JPEGs at full size before making them small.", "--exact-decode"
    ),
    "on_bad_image": flag(OnBadImage, "What an image that cannot be read does to the run [error]."),
    "epochs": flag(int, "Most passes over the training images [by the data]."),
    "batch_size": flag(
        str, "Images per step; auto for the most that fit a GPU [by the data].", metavar="N|auto"
    ),
    "lr": flag(float, "Peak learning rate [by the model and the optimizer]."),
    "optimizer": flag(OptimizerName, "What takes the steps [adamw]."),
    "momentum": flag(float, "Of momentum, nesterov and rmsprop [0.9, rmsprop 0]."),
    "scheduler": flag(SchedulerName, "How the learning rate goes from its peak [cosine]."),
    "warmup": flag(float, "Share of the run that it rises to the peak [0.15, onecycle 0.3]."),
    "lr_step": flag(int, "Epochs between two drops of step [a third of the run].", metavar="N"),
    "lr_milestones": flag(
        str, "Epochs after which multistep drops [50 % and 75 % of the run].", metavar="N,N"
    ),
    "lr_gamma": flag(float, "Factor of a drop of step, multistep and plateau [0.1]."),
    "weight_decay": flag(float, "L2, not on norms and biases [by the optimizer]."),
    "l1": flag(float, "L1 penalty on weights, such as 1e-5 [0.0].", metavar="STRENGTH"),
    "elastic_net": flag(
        float,
        "Penalty of strength --weight-decay, this share L1, the rest L2 [none].",
        metavar="RATIO",
    ),
    "loss": flag(LossName, "What training minimises [cross_entropy]."),
    "label_smoothing": flag(float, "Share of each target spread over all classes [0]."),
    "balance": flag(
        Balance,
        "Rare classes count as much as frequent ones: by weights in the loss, or drawn as often "
        "by the sampler [none].",
    ),
    "mixup": flag(float, "Blend images and labels, Beta(A, A), such as 0.2 [0.0].", metavar="A"),
    "cutmix": flag(float, "Paste boxes of other images, Beta(A, A), such as 1 [0.0].", metavar="A"),
    "ema": flag(float, "Judge and keep a moving average of the weights, 0.999 [0.0].", metavar="D"),
    "clip_grad": flag(float, "Cut the gradient's norm, 0 for no cut [1.0].", metavar="NORM"),
    "accumulate": flag(int, "Batches whose gradients make one step [1].", metavar="N"),
    "on_nan": flag(OnNan, "When the loss is not finite; rollback halves the rate [error]."),
    "time_limit": flag(str, "End in this time, 90s, 30m or 2h, the schedule with it.", metavar="T"),
    "checkpoint_every": flag(int, "Save within epochs too, every N steps.", metavar="N"),
    "log": flag(LogName, "Send the rows of metrics.csv there too."),
    "monitor": flag(str, "Column of metrics.csv that chooses the best epoch [val_loss]."),
    "patience": flag(int, "Epochs without a better one before stopping [by the epochs]."),
    "min_delta": flag(float, "By how much an epoch must be better to wait anew [0.0]."),
    "augment": flag(
        str,
        "Random changes of training images: none, light, medium, strong, medical, a YAML file or "
        "steps such as 'hflip; rotate 10; noise 0.05 p=0.2' (see cnncli augment --list) [light; "
        "none with a frozen backbone].",
        metavar="STEPS",
        autocompletion=complete_augment,
    ),
    "device": flag(str, "auto, cpu, cuda, cuda:N or mps [auto].", metavar="DEVICE"),
    "precision": flag(Precision, "auto takes what the device computes natively [auto]."),
    "compile": flag(bool, "Compile the network with torch.compile.", "--compile"),
    "sync_bn": flag(
        bool,
        "BatchNorm over the batches of all processes of torchrun, on CUDA.",
        "--sync-bn",
    ),
    "channels_last": flag(
        bool,
        "Memory format of the network [channels-last].",
        "--channels-last/--no-channels-last",
    ),
    "workers": flag(int, "Loader processes [by the device]."),
    "seed": flag(int, "Of splits, weights, order and augmentation [0]."),
    "output": flag(str, "Folder in which the run's folder is made [runs].", metavar="DIR"),
}

FINETUNE_FLAGS: Mapping[str, Any] = {
    **RUN_FLAGS,
    "freeze": flag(
        str,
        "What stays as it is: backbone, none, stages:N, until:NAME or patterns on layer names, "
        "'layer1*,bn1' [backbone up to 5,000 training images, else none].",
        metavar="POLICY",
    ),
    "unfreeze_at": flag(
        list[str],
        "Change the policy before an epoch, none where no other is named; repeat to go on.",
        metavar="EPOCH[=POLICY]",
    ),
    "lr_backbone": flag(float, "Learning rate of all but the head [a tenth of --lr]."),
    "layer_decay": flag(float, "Each stage learns at this share of the rate of the next."),
    "bn": flag(
        BatchNormMode,
        "BatchNorm's statistics: fixed everywhere, or free in what is trained [frozen with "
        "weights].",
    ),
    "augment_views": flag(
        int, "Augmented views of each image whose features a frozen backbone computes once [1]."
    ),
}


def takes(flags: Mapping[str, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command these flags; it gets those that were used as its first argument.

    The command's own parameters come after.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in flags.items()
        ]
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]

        def command(**given: Any) -> None:
            used = {name: given.pop(name) for name in flags}
            function({k: v for k, v in used.items() if v is not None}, **given)

        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in (*shared, *own)}
        return command

    return decorate
