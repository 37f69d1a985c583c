"""What a run is: YAML and flags into one validated object.

Every key is a flag with underscores, and every flag a key. Flags win over the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cnncli.augmentation.notation import Pipeline, parse_augment
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
    format_size,
    parse_duration,
    parse_intensity,
    parse_size,
)
from cnncli.errors import CnncliError, did_you_mean
from cnncli.yaml_text import read_settings

Count = Annotated[int, Field(ge=1, lt=2**31)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
# Bounds within which also the product of a rate and a strength is a float32.
NotNegative = Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False)]

# Settings of which at most one can be given, and those that only some schedulers look at.
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
    """The settings of one run; None is "let the data and the device decide".

    What each does is told where it is typed: ``cnncli train --help``.
    """

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    data: str
    model: str = "resnet_small"
    weights: str = "none"
    activation: ActivationName | None = None
    norm: NormName | None = None
    dropout: Fraction | None = None
    freeze: str | None = "none"
    unfreeze_at: list[str] = []
    lr_backbone: NotNegative | None = None
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    bn: BatchNormMode | None = None
    augment_views: Count | None = None
    image_size: str | None = None
    resize_mode: ResizeMode = "squash"
    in_channels: Annotated[int, Field(ge=1, le=4096)] | None = None
    intensity: str | None = None
    exact_decode: bool = False
    on_bad_image: OnBadImage = "error"
    epochs: Count | None = None
    batch_size: Count | Literal["auto"] | None = None
    lr: Annotated[float, Field(gt=0, le=1e30, allow_inf_nan=False)] | None = None
    optimizer: OptimizerName = "adamw"
    momentum: Fraction | None = None
    scheduler: SchedulerName = "cosine"
    warmup: Fraction | None = None
    lr_step: Count | None = None
    lr_milestones: list[Count] = []
    lr_gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    weight_decay: NotNegative | None = None
    l1: NotNegative = 0.0
    elastic_net: Annotated[float, Field(ge=0, le=1)] | None = None
    loss: LossName = "cross_entropy"
    label_smoothing: Fraction | None = None
    mixup: NotNegative = 0.0
    cutmix: NotNegative = 0.0
    ema: Fraction = 0.0
    clip_grad: NotNegative = 1.0
    accumulate: Count = 1
    on_nan: OnNan = "error"
    time_limit: str | None = None
    checkpoint_every: Count | None = None
    log: LogName | None = None
    monitor: str = "val_loss"
    patience: Count | None = None
    min_delta: NotNegative = 0.0
    augment: Literal["none"] | Pipeline | None = None
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test_fraction: Fraction = 0.15
    class_order: list[str] | None = None
    image_col: str | None = None
    label_col: str | None = None
    split_col: str | None = None
    group_col: str | None = None
    group_regex: str | None = None
    splits: str | None = None
    fold: Annotated[int, Field(ge=0)] | None = None
    balance: Balance = "none"
    device: str = "auto"
    precision: Precision = "auto"
    compile: bool = False
    sync_bn: bool = False
    channels_last: bool = True
    workers: Annotated[int, Field(ge=0, le=1024)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    output: str = "runs"

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

    @field_validator("intensity")
    @classmethod
    def _check_intensity(cls, value: str | None) -> str | None:
        if value is None or value == "auto":
            return None
        try:
            parse_intensity(value)
        except CnncliError as error:
            raise ValueError(str(error).removeprefix("intensity: ")) from None
        return value

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
        """Take "a,b,c" from the flag and a list from YAML, where 0 is a class name too."""
        if isinstance(value, str):
            return [name.strip() for name in value.split(",")]
        return [str(name) for name in value] if isinstance(value, list) else value

    @field_validator("unfreeze_at", mode="before")
    @classmethod
    def _read_list(cls, value: object) -> object:
        """Take one "3=none" as well as a list; YAML reads a bare 3 as a number."""
        return [str(item) for item in value] if isinstance(value, list) else [str(value)]

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans(cls, value: object, info: ValidationInfo) -> object:
        """YAML reads yes, no, on and off as booleans, and pydantic those as the number 1 or 0."""
        if cls.model_fields[str(info.field_name)].annotation is bool:
            return value
        if any(isinstance(item, bool) for item in (value if isinstance(value, list) else [value])):
            raise ValueError("yes, no, on, off, true and false need quotes in YAML")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> RunConfig:
        given = {
            k for k, field in type(self).model_fields.items() if getattr(self, k) != field.default
        }
        for one, other in _EXCLUSIVE:
            if {one, other} <= given:
                raise ValueError(f"{_flag(one)} and {_flag(other)}: give one of them")
        for key, schedulers in _OF_SCHEDULERS.items():
            if key in given and self.scheduler not in schedulers:
                raise ValueError(
                    f"{_flag(key)}: has no effect with --scheduler {self.scheduler}, only with "
                    f"{' and '.join(schedulers)}"
                )
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("--val-fraction and --test-fraction leave nothing to train on")
        return self


class FinetuneConfig(RunConfig):
    """The settings of ``finetune``: the same, with other defaults."""

    model: str = "resnet18"
    weights: str = "default"
    freeze: str | None = None


class ResolvedConfig(RunConfig):
    """A config in which data, model and device have decided what was left open."""

    image_size: str
    in_channels: int
    intensity: str
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    label_smoothing: float
    augment: Literal["none"] | Pipeline
    augment_views: int
    freeze: str
    bn: BatchNormMode
    patience: int
    warmup: float
    workers: int


def load_config(
    path: str | None, flags: Mapping[str, object], kind: type[RunConfig] = RunConfig
) -> RunConfig:
    """Merge a YAML file and flags.

    Args:
        path: Of the YAML file, or None.
        flags: Those that were given; they win.
        kind: Whose defaults count.

    Raises:
        CnncliError: With everything that is wrong at once.
    """
    return check_settings({} if path is None else read_settings(path), flags, path=path, kind=kind)


def check_settings(
    settings: Mapping[str, object],
    flags: Mapping[str, object],
    *,
    path: str | None,
    kind: type[RunConfig] = RunConfig,
) -> RunConfig:
    """Merge settings that were read and flags.

    Args:
        settings: Of the file.
        flags: Those that were given; they win.
        path: Of the file, as errors are to name it; None for no file.
        kind: Whose defaults count.

    Raises:
        CnncliError: With everything that is wrong at once.
    """
    values = {**settings, **flags}
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = [_tell(problem, path, flags) for problem in error.errors()]
        raise CnncliError("; ".join(problems)) from None


def dump_config(config: RunConfig) -> str:
    """Return the config as YAML that :func:`load_config` reads back to the same."""
    # None: what holds nothing but plain values stands on one line.
    return yaml.safe_dump(
        config.model_dump(), sort_keys=False, allow_unicode=True, default_flow_style=None
    )


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


def _tell(problem: Any, path: str | None, flags: Mapping[str, object]) -> str:
    """Say one problem in the words of the place it came from: a flag or a YAML key."""
    key = str(problem["loc"][0]) if problem["loc"] else ""
    name = _flag(key) if key in flags or not path else f"{path}: {key}"
    if problem["type"] == "extra_forbidden":
        return f"{name}: unknown key{did_you_mean(key, RunConfig.model_fields)}"
    if problem["type"] == "missing":
        return f"--{key}: missing; name the folder of images (or a CSV, or digits)"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:
        return str(message)
    message = message[0].lower() + message[1:]
    given = "" if isinstance(problem["input"], list) else f" {problem['input']}"
    return f"{name}{given}: {message}"
