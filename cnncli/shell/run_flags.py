"""The flags of a run, in their order and under their headings; light, so that help is quick.

``cnncli.config.RunConfig`` has a field of the same name for each, with its bounds and default, in
the same order and under the same headings; tests hold both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from cnncli.choices import (
    ActivationName,
    Balance,
    BatchNormMode,
    Calibration,
    Heading,
    HeadStart,
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
from cnncli.shell.flags import complete_augment, complete_data, complete_model, flag


def _under(heading: Heading, **flags: Any) -> dict[str, Any]:
    """Give flags the heading under which help shows them, and return them."""
    for annotation in flags.values():
        get_args(annotation)[1].rich_help_panel = heading
    return flags


RUN_FLAGS: Mapping[str, Any] = {
    **_under(
        "Most used",
        data=flag(
            str,
            "Folder of class folders, folder of train/val/test folders, a CSV, a .npz of arrays, "
            "digits or torchvision:NAME.",
            metavar="PATH",
            autocompletion=complete_data,
        ),
        model=flag(
            str,
            "Network, one of `cnncli models` or 'cnn: LAYERS'; finetune takes the best of A,B, or "
            "with auto of all on this disk [train: resnet_small, finetune: resnet18].",
            metavar="NAME",
            autocompletion=complete_model,
        ),
        image_size=flag(
            str,
            "Size of the network's input in pixels, N or HEIGHTxWIDTH [by data and weights].",
            metavar="SIZE",
        ),
        epochs=flag(int, "Passes over the training images, at most [by the data]."),
        batch_size=flag(
            str,
            "Images per step; auto for the most that fit a GPU [by the data].",
            metavar="N|auto",
        ),
        lr=flag(float, "Peak learning rate [by the model and the optimizer]."),
        augment=flag(
            str,
            "Random changes of training images: none, light, medium, strong, medical, a YAML "
            "file or steps such as 'hflip; rotate 10; noise 0.05 p=0.2' (see cnncli augment "
            "--list) [light; none with a frozen backbone].",
            metavar="STEPS",
            autocompletion=complete_augment,
        ),
        device=flag(
            str, "Device that computes: auto, cpu, cuda, cuda:N or mps [auto].", metavar="DEVICE"
        ),
        seed=flag(int, "Seed of splits, weights, order and augmentation [0]."),
    ),
    **_under(
        "Data",
        image_col=flag(
            str,
            "CSV column of image paths or ids, or several, a,b, whose files are a sample's "
            "channels [the usual names].",
        ),
        label_col=flag(str, "CSV column of labels [the usual names]."),
        split_col=flag(str, "CSV column of splits [split, subset, set]."),
        group_col=flag(
            str,
            "CSV column of groups (patients) that stay in one split, or a header field of DICOM "
            "files: dicom:PatientID.",
        ),
        group_regex=flag(str, "Regular expression that finds the group in a file name."),
        splits=flag(
            str,
            "File of splits, as split or an earlier run wrote it, in place of drawing them.",
            metavar="FILE",
        ),
        fold=flag(
            int, "Fold of the file of splits to choose on; the others are trained on.", metavar="K"
        ),
        class_order=flag(str, "Classes in their order, a,b,c [sorted].", metavar="A,B,C"),
        ordered=flag(
            bool, "The classes are grades: report quadratic kappa, as --class-order does."
        ),
        exclude=flag(
            str,
            "List of images to leave out, a path a line, as check-data --fix-list and "
            "suspect-labels --list write it.",
            metavar="FILE",
        ),
        val_fraction=flag(float, "Share of the images to choose on [0.15]."),
        test_fraction=flag(float, "Share of the images to judge on [0.15]."),
    ),
    **_under(
        "Network",
        activation=flag(ActivationName, "Activation in place of the network's own."),
        norm=flag(NormName, "Normalisation layers in place of the network's own."),
    ),
    **_under(
        "Transfer",
        weights=flag(
            str,
            "Weights to start from: default, a name, none, the PATH of a run, .safetensors or "
            ".pth, or a part of a run's name; A,B for several networks [train: none, finetune: "
            "default].",
            metavar="WEIGHTS",
        ),
        head=flag(
            HeadStart,
            "How the new head begins: fit finds the best one for the features of the weights, "
            "epochs trains it from random weights [fit].",
        ),
        freeze=flag(
            str,
            "What stays as it is: backbone, none, stages:N, until:NAME or patterns on layer names, "
            "'layer1*,bn1' [none after a fit; else backbone up to 5,000 training images].",
            metavar="POLICY",
        ),
        unfreeze_at=flag(
            list[str],
            "Change the policy before an epoch, none where no other is named; repeat to go on.",
            metavar="EPOCH[=POLICY]",
        ),
        bn=flag(
            BatchNormMode,
            "BatchNorm's statistics: fixed everywhere, or free in what is trained [frozen with "
            "weights].",
        ),
        lr_backbone=flag(float, "Learning rate of all but the head [a tenth of --lr]."),
        layer_decay=flag(float, "Each stage learns at this share of the rate of the next."),
        augment_views=flag(
            int,
            "Views of each image whose features are computed once: random crops for the head's "
            "fit, augmented for a frozen backbone by epochs [fit: 4, epochs: 1].",
        ),
    ),
    **_under(
        "Images",
        resize_mode=flag(
            ResizeMode,
            "How images come to --image-size [train: squash, finetune: crop, as the weights do it, "
            "unless another is better on folds of train].",
        ),
        in_channels=flag(
            int, "Channels: 1 for grey, 3 for colour, 2 or 4 with alpha [by the data]."
        ),
        intensity=flag(
            str,
            "Stored values that become black and white: full, LOW:HIGH or percentiles "
            "pLOW:pHIGH; one per file, joined by commas [by the data: full, or the bits that are "
            "used].",
            metavar="WINDOW",
        ),
        exact_decode=flag(
            bool, "Decode large JPEGs at full size before making them small.", "--exact-decode"
        ),
        on_bad_image=flag(OnBadImage, "What an image that cannot be read does to the run [error]."),
    ),
    **_under(
        "Optimisation",
        optimizer=flag(OptimizerName, "Rule by which the weights are changed [adamw]."),
        momentum=flag(float, "Momentum of momentum, nesterov and rmsprop [0.9, rmsprop 0]."),
        scheduler=flag(SchedulerName, "How the learning rate goes from its peak [cosine]."),
        warmup=flag(
            float,
            "Share of the run in which the learning rate rises to its peak [0.15, onecycle 0.3].",
        ),
        lr_step=flag(int, "Epochs between two drops of step [a third of the run].", metavar="N"),
        lr_milestones=flag(
            str, "Epochs after which multistep drops [50 % and 75 % of the run].", metavar="N,N"
        ),
        lr_gamma=flag(float, "Factor of a drop of step, multistep and plateau [0.1]."),
        loss=flag(LossName, "What training minimises [cross_entropy]."),
        balance=flag(
            Balance,
            "Rare classes count as much as frequent ones: by weights in the loss, or drawn as "
            "often by the sampler [none].",
        ),
        clip_grad=flag(float, "Cut the gradient's norm, 0 for no cut [1.0].", metavar="NORM"),
        accumulate=flag(int, "Batches whose gradients make one step [1].", metavar="N"),
    ),
    **_under(
        "Regularisation",
        weight_decay=flag(float, "L2 penalty, not on norms and biases [by the optimizer]."),
        l1=flag(float, "L1 penalty on weights, such as 1e-5 [0.0].", metavar="STRENGTH"),
        elastic_net=flag(
            float,
            "Penalty of strength --weight-decay, this share L1, the rest L2 [none].",
            metavar="RATIO",
        ),
        dropout=flag(float, "Dropout probability in place of the network's own.", metavar="P"),
        label_smoothing=flag(float, "Share of each target spread over all classes [0]."),
        mixup=flag(float, "Blend images and labels, Beta(A, A), such as 0.2 [0.0].", metavar="A"),
        cutmix=flag(
            float, "Paste boxes of other images, Beta(A, A), such as 1 [0.0].", metavar="A"
        ),
        ema=flag(float, "Keep a moving average of the weights, such as 0.999 [0.0].", metavar="D"),
    ),
    **_under(
        "Stopping and saving",
        monitor=flag(
            str, "Column of metrics.csv that chooses the best epoch [val_calibrated_loss]."
        ),
        patience=flag(
            int, "Epochs without a better one after which the run stops [by the epochs]."
        ),
        min_delta=flag(float, "By how much an epoch must be better to count as one [0.0]."),
        calibrate=flag(Calibration, "Make a network less sure if it is too sure [temperature]."),
        time_limit=flag(
            str, "End in this time, 90s, 30m or 2h, the schedule with it.", metavar="T"
        ),
        on_nan=flag(
            OnNan, "What happens when the loss is not finite; rollback halves the rate [error]."
        ),
        checkpoint_every=flag(int, "Save within epochs too, every N steps.", metavar="N"),
        keep_every=flag(
            int, "Keep the weights of the beginning and of every Nth epoch.", metavar="N"
        ),
        keep_state=flag(
            bool,
            "Keep last.pt, three times the weights, when the run is finished.",
            "--keep-state",
        ),
    ),
    **_under(
        "Device",
        precision=flag(
            Precision,
            "Precision of the computing; auto takes what the device computes natively [auto].",
        ),
        compile=flag(bool, "Compile the network with torch.compile.", "--compile"),
        channels_last=flag(
            bool,
            "Memory format of the network [channels-last].",
            "--channels-last/--no-channels-last",
        ),
        sync_bn=flag(
            bool,
            "BatchNorm over the batches of all processes of torchrun, on CUDA.",
            "--sync-bn",
        ),
        workers=flag(int, "Processes that load images [by the device]."),
        threads=flag(str, "CPU threads; auto measures how many are best [auto].", metavar="N|auto"),
    ),
    **_under(
        "Output",
        output=flag(str, "Folder in which the run's folder is made [runs].", metavar="DIR"),
        log=flag(LogName, "Send the rows of metrics.csv there too."),
    ),
}

# They change what a run takes over from pretrained weights, so that only `finetune` has them.
_FINETUNE_ONLY = (
    "head",
    "freeze",
    "unfreeze_at",
    "bn",
    "lr_backbone",
    "layer_decay",
    "augment_views",
)

FOLDS_FLAGS: Mapping[str, Any] = {
    **{name: annotation for name, annotation in RUN_FLAGS.items() if name != "fold"},
    **_under(
        "Data", test_fraction=flag(float, "Share of the images to keep out of all folds [0.0].")
    ),
}

TRAIN_FLAGS: Mapping[str, Any] = {
    name: annotation for name, annotation in RUN_FLAGS.items() if name not in _FINETUNE_ONLY
}


def choose_flags(*names: str) -> Mapping[str, Any]:
    """Return some of a run's flags, in the order of ``names``."""
    return {name: RUN_FLAGS[name] for name in names}
