"""The flags of ``conv-size``, and what arguments and flags say about one layer; light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cnncli.arithmetic.chain import parse_pair
from cnncli.arithmetic.convolution import (
    Kind,
    Size,
    SlidingWindow,
    check_channels,
    count_macs,
    count_parameters,
)
from cnncli.arithmetic.formula import explain, explain_costs
from cnncli.arithmetic.solve import Unknown, pad_like_same
from cnncli.choices import format_size
from cnncli.errors import CnncliError
from cnncli.files import check_output_file
from cnncli.reporting import Reporter
from cnncli.shell.flags import Flags, flag

WINDOW_FLAGS: Mapping[str, Any] = {
    "dilation": flag(str, "Pixels from tap to tap of the kernel [1].", metavar="N"),
    "transposed": flag(bool, "A transposed convolution instead.", "--transposed"),
    "output_padding": flag(str, "Rows that --transposed adds at the end [0].", metavar="N"),
    "pool": flag(bool, "A max or average pool instead of a convolution.", "--pool"),
    "ceil_mode": flag(bool, "A --pool that counts a last partial window.", "--ceil-mode"),
    "in_channels": flag(
        int, "Channels of the input; with --filters, parameters and MACs are counted."
    ),
    "filters": flag(int, "Output channels; with --in-channels, parameters and MACs are counted."),
    "groups": flag(int, "Groups of channels; must divide both numbers [1]."),
    "bias": flag(bool, "One bias per filter [--bias].", "--bias/--no-bias"),
    "animate": flag(
        str, "Also draw the sliding window: a .gif or .svg that moves.", metavar="FILE"
    ),
}
_ARGUMENTS = ("kernel", "stride", "padding")
# What may not stand beside --chain, in the order in which the error names it.
_OF_ONE_LAYER = (
    *_ARGUMENTS, "dilation", "output_padding", "filters", "groups", "transposed", "pool",
    "ceil_mode", "bias", "solve", "output_size",
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    """One layer that ``conv-size`` is asked about.

    Attributes:
        window: The window that slides over the input. What ``--solve`` is to find has a value here
            too, which means nothing.
        size: Size of the input, (height, width) in pixels.
        channels: (in_channels, filters, groups, bias); None where parameters are not asked for.
        tied: Whether the kernel is to be found and the stride is always equal to it.
    """

    window: SlidingWindow
    size: Size
    channels: tuple[int, int, int, bool] | None
    tied: bool = False

    def describe(self) -> dict[str, Any]:
        """Return the numbers of the layer by the words of the glossary.

        Raises:
            CnncliError: As `SlidingWindow.output` does.
        """
        window, size = self.window, self.size
        row: dict[str, Any] = {
            "input": size,
            "kernel": window.kernel,
            "stride": window.stride,
            "padding": window.padding,
            "dilation": window.dilation,
        }
        if window.kind == "transposed":
            row["output_padding"] = window.output_padding
        row["output"] = window.output(size)
        if self.channels:
            in_channels, filters, groups, bias = self.channels
            row.update(in_channels=in_channels, filters=filters, groups=groups)
            row["parameters"] = count_parameters(
                window, in_channels, filters, groups=groups, bias=bias
            )
            row["macs"] = count_macs(window, size, in_channels, filters, groups=groups)
        return row

    def explain(self) -> list[str]:
        """Return the formulas with the numbers filled in, as lines of text.

        Raises:
            CnncliError: As `SlidingWindow.output` does.
        """
        lines = explain(self.window, self.size)
        if self.channels:
            in_channels, filters, groups, bias = self.channels
            lines += explain_costs(
                self.window, self.size, in_channels, filters, groups=groups, bias=bias
            )
        return lines


def check_alone(given: Flags) -> None:
    """Refuse what describes one layer beside ``--chain``.

    Raises:
        CnncliError: With all that was given of it.
    """
    used = [_name(key) for key in _OF_ONE_LAYER if given.get(key) is not None]
    if used:
        raise CnncliError(f"--chain: the layers say it all; leave {', '.join(used)} out")


def check_animated(given: str, chain: str | None, unknown: Unknown | None) -> Path:
    """Return the file that ``--animate`` names, or refuse it before the work begins.

    Args:
        given: The file as the user gave it.
        chain: Value of ``--chain``; None where it was not given.
        unknown: Value of ``--solve``; None where it was not given.

    Raises:
        CnncliError: If there is not exactly one known layer to draw, or the file cannot be written.
    """
    if chain is not None:
        raise CnncliError(
            "--animate: draws one layer, not a --chain; leave --chain out and write the numbers of "
            "a layer, such as cnncli conv-size 28 5 --animate layer.gif"
        )
    if unknown:
        raise CnncliError(
            f"--animate: draws a layer whose {unknown} is known; leave --solve out and write what "
            "it finds"
        )
    return check_output_file(given, "--animate", suffixes=(".gif", ".svg"))


def read_question(
    size: Size, given: Flags, unknown: Unknown | None, reporter: Reporter
) -> Question:
    """Read what the arguments and flags of one layer say together.

    Args:
        size: Size of the input, (height, width) in pixels.
        given: Values as typed: those of `WINDOW_FLAGS`, ``kernel``, ``stride`` and ``padding``.
        unknown: What is to be found, so that its value is not read; None where nothing is.
        reporter: Gets a note where a value of ``unknown`` was given all the same.

    Raises:
        CnncliError: If a value cannot be read or does not go with another.
    """
    kind: Kind = (
        "transposed" if given.get("transposed") else "pool" if given.get("pool") else "conv"
    )
    _check_together(kind, given)
    if unknown and given.get(unknown) not in (None, "-"):
        reporter.note(f"{unknown} {given[unknown]} is not read: --solve looks for it")
    known = {key: given.get(key) for key in _ARGUMENTS if key != unknown}
    if known.get("kernel") is None and unknown != "kernel":
        raise CnncliError("kernel: missing; write it after the input, as in cnncli conv-size 28 3")
    window = _read_window(kind, given, known)
    if window.ceil_mode and window.padding == "same":
        raise CnncliError("--ceil-mode: padding same already rounds up; leave one of them out")
    tied = kind == "pool" and known.get("stride") is None and unknown == "kernel"
    return Question(window, size, _read_channels(given), tied)


def _read_window(kind: Kind, given: Flags, known: Flags) -> SlidingWindow:
    kernel = parse_pair(known.get("kernel") or "1", "kernel")
    default = kernel if kind == "pool" else (1, 1)
    stride = parse_pair(known["stride"], "stride") if known.get("stride") else default
    return SlidingWindow(
        kernel=kernel,
        stride=stride,
        padding=_read_padding(known.get("padding") or "0", kind, kernel, stride, given),
        dilation=_read_dilation(given),
        output_padding=parse_pair(given.get("output_padding") or "0", "--output-padding", least=0),
        kind=kind,
        ceil_mode=bool(given.get("ceil_mode")),
    )


def _read_channels(given: Flags) -> tuple[int, int, int, bool] | None:
    if "in_channels" not in given:
        return None
    in_channels, filters, groups = given["in_channels"], given["filters"], given.get("groups", 1)
    check_channels(in_channels, filters, groups)
    return in_channels, filters, groups, given.get("bias", True)


def _name(key: str) -> str:
    """Return an argument or a flag as help shows it."""
    if key in _ARGUMENTS:
        return key.upper()
    return "--bias/--no-bias" if key == "bias" else "--" + key.replace("_", "-")


def _check_together(kind: Kind, given: Flags) -> None:
    """Refuse flags that do not go together."""
    counting = ("filters", "groups", "bias", "in_channels")
    used = [_name(key) for key in counting if key in given]
    if given.get("pool") and given.get("transposed"):
        raise CnncliError("--pool and --transposed: a layer is one of them; leave the other out")
    if kind == "pool" and used:
        raise CnncliError(f"{used[0]}: a pool has no parameters; leave it or --pool out")
    missing = [_name(key) for key in ("in_channels", "filters") if key not in given]
    if used and missing:
        raise CnncliError(f"{used[0]}: to count parameters, {missing[0]} is needed too")
    for key, needs, right in (
        ("output_padding", "--transposed", kind == "transposed"),
        ("ceil_mode", "--pool", kind == "pool"),
    ):
        if key in given and not right:
            raise CnncliError(f"{_name(key)}: only goes with {needs}; add that or leave it out")


def _read_dilation(given: Flags) -> Size:
    return parse_pair(given.get("dilation") or "1", "--dilation")


def _read_padding(
    text: str, kind: Kind, kernel: Size, stride: Size, given: Flags
) -> Size | Literal["same"]:
    word = text.strip().lower()
    if word in ("same", "valid") and kind == "transposed":
        raise CnncliError(
            f"padding {word}: --transposed takes numbers, as in torch; "
            + ("write 0" if word == "valid" else _replace_same(kernel, stride, given))
        )
    if word == "same":
        return "same"
    try:
        return (0, 0) if word == "valid" else parse_pair(text, "padding", least=0)
    except CnncliError as error:
        raise CnncliError(f"{error}, or same or valid") from None


def _replace_same(kernel: Size, stride: Size, given: Flags) -> str:
    """Return, for an error message, the numbers that do what "same" would do."""
    found = pad_like_same(kernel, stride, _read_dilation(given))
    if found is None:
        return "no equal padding on both sides gives output = input * stride here"
    padding, extra = map(format_size, found)
    answer = f"for output = input * stride write {padding}"
    return answer if extra == "0" else f"{answer} and --output-padding {extra}"
