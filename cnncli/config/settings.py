"""The settings of a run as one object: types, bounds, defaults, and what does not go together."""

from __future__ import annotations

import csv
import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cnncli.augmentation.notation import Pipeline, parse_augment
from cnncli.choices import (
    ActivationName,
    Balance,
    BatchNormMode,
    Calibration,
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
    format_size,
    parse_duration,
    parse_intensity,
    parse_size,
)
from cnncli.config.fields import (
    Count,
    Fraction,
    LearningRate,
    NotNegative,
    Threads,
    flag_name,
    setting,
)
from cnncli.config.spelling import SPELT, spell, spell_policy
from cnncli.errors import CnncliError
from cnncli.training.history import CALIBRATED_LOSS

# Settings of which at most one can be given, and those that only some schedulers use.
_EXCLUSIVE = (
    ("lr_backbone", "layer_decay"),
    ("l1", "elastic_net"),
    ("group_col", "group_regex"),
    ("splits", "split_col"),
)
_OF_SCHEDULERS = {
    "lr_step": ("step",),
    "lr_milestones": ("multistep",),
    "lr_gamma": ("step", "multistep", "plateau"),
}


class RunConfig(BaseModel):
    """The settings of one run; None leaves the choice to the data and the device.

    The fields stand in the order of the flags in ``cnncli train --help``, which says what each of
    them does.
    """

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    data: str = setting(..., "Most used", "data", names_files=True)
    model: str = setting("resnet_small", "Most used")
    image_size: str | None = setting(None, "Most used")
    epochs: Count | None = setting(None, "Most used")
    batch_size: Count | Literal["auto"] | None = setting(None, "Most used")
    lr: LearningRate | None = setting(None, "Most used")
    augment: Literal["none"] | Pipeline | None = setting(None, "Most used")
    device: str = setting("auto", "Most used", "place")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = setting(0, "Most used", "data")

    image_col: str | None = setting(None, "Data", "data")
    label_col: str | None = setting(None, "Data", "data")
    split_col: str | None = setting(None, "Data", "data")
    group_col: str | None = setting(None, "Data", "data")
    group_regex: str | None = setting(None, "Data", "data", names_files=True)
    splits: str | None = setting(None, "Data", "data", names_files=True)
    fold: Annotated[int, Field(ge=0)] | None = setting(None, "Data", "data")
    class_order: list[str] | None = setting(None, "Data", "data")
    ordered: bool = setting(False, "Data", "data")
    exclude: str | None = setting(None, "Data", "data", names_files=True)
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = setting(0.15, "Data", "data")
    test_fraction: Fraction = setting(0.15, "Data", "data")

    activation: ActivationName | None = setting(None, "Network")
    norm: NormName | None = setting(None, "Network")

    weights: str = setting("none", "Transfer", names_files=True)
    head: HeadStart | None = setting("epochs", "Transfer")
    freeze: str | None = setting("none", "Transfer")
    unfreeze_at: list[str] = setting([], "Transfer")
    bn: BatchNormMode | None = setting(None, "Transfer")
    lr_backbone: NotNegative | None = setting(None, "Transfer")
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = setting(None, "Transfer")
    augment_views: Count | None = setting(None, "Transfer")

    resize_mode: ResizeMode | None = setting("squash", "Images")
    in_channels: Annotated[int, Field(ge=1, le=4096)] | None = setting(None, "Images")
    intensity: str | None = setting(None, "Images")
    exact_decode: bool = setting(False, "Images")
    on_bad_image: OnBadImage = setting("error", "Images", "data")

    optimizer: OptimizerName = setting("adamw", "Optimisation")
    momentum: Fraction | None = setting(None, "Optimisation")
    scheduler: SchedulerName = setting("cosine", "Optimisation")
    warmup: Fraction | None = setting(None, "Optimisation")
    lr_step: Count | None = setting(None, "Optimisation")
    lr_milestones: list[Count] = setting([], "Optimisation")
    lr_gamma: Annotated[float, Field(gt=0, lt=1)] = setting(0.1, "Optimisation")
    loss: LossName = setting("cross_entropy", "Optimisation")
    balance: Balance = setting("none", "Optimisation")
    clip_grad: NotNegative = setting(1.0, "Optimisation")
    accumulate: Count = setting(1, "Optimisation")

    weight_decay: NotNegative | None = setting(None, "Regularisation")
    l1: NotNegative = setting(0.0, "Regularisation")
    elastic_net: Annotated[float, Field(ge=0, le=1)] | None = setting(None, "Regularisation")
    dropout: Fraction | None = setting(None, "Regularisation")
    label_smoothing: Fraction | None = setting(None, "Regularisation")
    mixup: NotNegative = setting(0.0, "Regularisation")
    cutmix: NotNegative = setting(0.0, "Regularisation")
    ema: Fraction = setting(0.0, "Regularisation")

    monitor: str = setting(CALIBRATED_LOSS, "Stopping and saving", "data")
    patience: Count | None = setting(None, "Stopping and saving")
    min_delta: NotNegative = setting(0.0, "Stopping and saving")
    calibrate: Calibration = setting("temperature", "Stopping and saving")
    time_limit: str | None = setting(None, "Stopping and saving")
    on_nan: OnNan = setting("error", "Stopping and saving")
    checkpoint_every: Count | None = setting(None, "Stopping and saving", "place")
    keep_every: Count | None = setting(None, "Stopping and saving", "place")
    keep_state: bool = setting(False, "Stopping and saving", "place")

    precision: Precision = setting("auto", "Device")
    compile: bool = setting(False, "Device")
    channels_last: bool = setting(True, "Device")
    sync_bn: bool = setting(False, "Device")
    workers: Annotated[int, Field(ge=0, le=1024)] | None = setting(None, "Device", "place")
    threads: Threads | Literal["auto"] = setting("auto", "Device", "place")

    output: str = setting("runs", "Output", "place", names_files=True)
    log: LogName | None = setting(None, "Output", "place")

    @field_validator("image_size", mode="before")
    @classmethod
    def _read_size(cls, value: object) -> object:
        """Take 224 and "224x320" alike; YAML reads the former as a number."""
        if value is None:
            return value
        try:
            return format_size(parse_size(str(value)))
        except CnncliError as error:
            raise ValueError(str(error).removeprefix("size: ")) from None

    @field_validator("batch_size", mode="before")
    @classmethod
    def _check_batch(cls, value: object) -> object:
        """Name both that it can be; a union's own errors are one for each."""
        if (
            value is None
            or value == "auto"
            or re.fullmatch("0*[1-9][0-9]{0,8}", str(value).strip())
        ):
            return value
        raise ValueError("must be a whole number from 1 to 999999999, or auto")

    @field_validator("threads", mode="before")
    @classmethod
    def _check_threads(cls, value: object) -> object:
        """Name both that it can be; a union's own errors are one for each."""
        if re.fullmatch("auto|0*[1-9][0-9]{0,2}|0*10[01][0-9]|0*102[0-4]", str(value).strip()):
            return value
        raise ValueError("must be a whole number from 1 to 1024, or auto")

    @field_validator("intensity")
    @classmethod
    def _check_intensity(cls, value: str | None) -> str | None:
        if value is None or value.lower() == "auto":
            return None
        try:
            parse_intensity(value)
        except CnncliError as error:
            raise ValueError(str(error).removeprefix("intensity: ")) from None
        return value.lower()

    @field_validator("augment", mode="before")
    @classmethod
    def _read_augment(cls, value: object) -> object:
        """Take a level, a text, the path of a YAML file or steps; keep the steps."""
        if value is None:
            return value
        try:
            return parse_augment(value)
        except CnncliError as error:
            raise ValueError(str(error)) from None

    @field_validator("time_limit")
    @classmethod
    def _check_time(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_duration(value)
            except CnncliError as error:
                raise ValueError(str(error).removeprefix("time: ")) from None
        return value

    @field_validator("lr_milestones", mode="before")
    @classmethod
    def _read_milestones(cls, value: object) -> object:
        """Take "30,60" from the flag and a list from YAML."""
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("class_order", mode="before")
    @classmethod
    def _read_order(cls, value: object) -> object:
        """Take 'a,"b, c",d' from the flag and a list from YAML, where 0 is a class name too."""
        if isinstance(value, str):
            try:
                (names,) = csv.reader([value], skipinitialspace=True, strict=True)
            except (csv.Error, ValueError):
                raise ValueError("quotes are for a whole name, as in 'a,\"b, c\",d'") from None
            return [name.strip() for name in names]
        return [str(name) for name in value] if isinstance(value, list) else value

    @field_validator("unfreeze_at", mode="before")
    @classmethod
    def _read_list(cls, value: object) -> object:
        """Take one "3=none" as well as a list; YAML reads a bare 3 as a number."""
        return [spell_policy(str(v)) for v in (value if isinstance(value, list) else [value])]

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_other_types(cls, value: object, info: ValidationInfo) -> object:
        """Refuse true and false, which pydantic takes for the numbers 1 and 0, and empty items."""
        if cls.model_fields[str(info.field_name)].annotation is bool:
            return value
        items = value if isinstance(value, list) else [value]
        if any(isinstance(item, bool) for item in items):
            raise ValueError("true and false are no value of it; as a text, they need quotes")
        if isinstance(value, list) and None in items:
            raise ValueError("an item of the list is empty; write '' for an empty text")
        return value

    @model_validator(mode="before")
    @classmethod
    def _read_no_epochs(cls, values: Any) -> Any:
        """Take the settings of a run that only fitted its head: it has no epochs."""
        only_fit = {"head": "fit", "freeze": "backbone", "epochs": 0}
        if isinstance(values, dict) and only_fit.items() <= values.items():
            return {**values, "epochs": None}
        return values

    @field_validator(*SPELT, mode="before")
    @classmethod
    def _spell(cls, value: object, info: ValidationInfo) -> object:
        """Take a name in any case, and as others write it; the record has it as we write it."""
        key = str(info.field_name)
        return spell(key, value, cls.model_fields[key])

    @model_validator(mode="after")
    def _check_together(self) -> RunConfig:
        given = {
            k for k, field in type(self).model_fields.items() if getattr(self, k) != field.default
        }
        for one, other in _EXCLUSIVE:
            if {one, other} <= given:
                raise ValueError(f"{flag_name(one)} and {flag_name(other)}: give one of them")
        for key, schedulers in _OF_SCHEDULERS.items():
            if key in given and self.scheduler not in schedulers:
                raise ValueError(
                    f"{flag_name(key)}: has no effect with --scheduler {self.scheduler}, only with "
                    f"{' and '.join(schedulers)}"
                )
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("--val-fraction and --test-fraction leave nothing to train on")
        return self


class FinetuneConfig(RunConfig):
    """The settings of ``finetune``: the same, with other defaults."""

    model: str = "resnet18"
    weights: str = "default"
    head: HeadStart | None = None
    freeze: str | None = None
    resize_mode: ResizeMode | None = None
