"""The arithmetic of convolution and pooling in whole numbers, without a framework.

A layer is a `SlidingWindow` over a plane of height × width pixels. The two directions do not depend
on each other, so the formulas are written for an `Axis`, which is one of them.

Source: the output formulas of ``torch.nn`` (Conv2d, ConvTranspose2d, MaxPool2d, AvgPool2d);
V. Dumoulin, F. Visin (2016), A guide to convolution arithmetic for deep learning,
arXiv:1603.07285; ``padding="same"`` after TensorFlow's ``tf.nn.convolution``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from cnncli.errors import CnncliError

Size = tuple[int, int]
Kind = Literal["conv", "transposed", "pool"]

LARGEST = 10**9  # of pixels or channels; a larger number is a typing error


@dataclass(frozen=True)
class Axis:
    """One direction of a sliding window, in pixels.

    Attributes:
        kernel: Number of taps of the kernel, at least 1.
        stride: Distance between neighbouring windows, at least 1.
        padding: Pixels added on each of the two sides, at least 0, or "same".
        dilation: Distance between neighbouring taps of the kernel, at least 1.
        output_padding: Pixels added at the end of the output of a transposed convolution.
        kind: Whether it is a convolution, a transposed convolution or a pooling. Max and average
            pooling have the same sizes.
        ceil_mode: Whether a pooling rounds its output size up, so that a last partial window
            counts.
    """

    kernel: int
    stride: int = 1
    padding: int | Literal["same"] = 0
    dilation: int = 1
    output_padding: int = 0
    kind: Kind = "conv"
    ceil_mode: bool = False

    @property
    def extent(self) -> int:
        """Pixels from the kernel's first tap to its last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    def pads(self, size: int) -> tuple[int, int]:
        """Return the padding (before, after) for an input of ``size`` pixels.

        If "same" adds an odd number of pixels, the side after gets one more, as in torch.
        """
        if self.padding != "same":
            return self.padding, self.padding
        total = max((-(-size // self.stride) - 1) * self.stride + self.extent - size, 0)
        return total // 2, total - total // 2

    def output(self, size: int) -> int:
        """Return the output size for an input of ``size`` pixels; below 1 if no window fits."""
        if self.padding == "same":
            return -(-size // self.stride)
        if self.kind == "transposed":
            full = (size - 1) * self.stride + self.extent
            return full - 2 * self.padding + self.output_padding
        span = size + 2 * self.padding - self.extent
        if not self.ceil_mode:
            return span // self.stride + 1
        # torch: the last window must start inside the input or the padding before it.
        return min(-(-span // self.stride) + 1, -(-(size + self.padding) // self.stride))

    def dropped(self, size: int) -> int:
        """Return how many pixels at the end of the padded input no window reaches.

        The last of them lie in the padding, if there is padding. A transposed convolution reaches
        all pixels: 0.
        """
        if self.kind == "transposed":
            return 0
        before, after = self.pads(size)
        covered = (self.output(size) - 1) * self.stride + self.extent
        return max(size + before + after - covered, 0)

    def why_refused(self, size: int) -> str | None:
        """Return why torch would refuse this window on ``size`` pixels, or None if it would not."""
        return self.why_invalid() or self._why_no_output(size)

    def why_invalid(self) -> str | None:
        """Return why torch would refuse this window on every size, or None if it would not."""
        if self.kind == "transposed" and self.output_padding >= max(self.stride, self.dilation):
            return (
                f"output padding {self.output_padding} must be smaller than the stride "
                f"{self.stride} or the dilation {self.dilation}"
            )
        if self.kind == "pool" and self.padding != "same" and self.padding > self.kernel // 2:
            return (
                f"padding {self.padding} is more than half of the pooling kernel {self.kernel}: "
                f"use at most {self.kernel // 2}"
            )
        return None

    def _why_no_output(self, size: int) -> str | None:
        if self.padding == "same" or (output := self.output(size)) >= 1:
            return None
        if self.kind == "transposed":
            most = self.padding - (1 - output + 1) // 2
            return f"padding {self.padding} leaves an output of {output}: use " + (
                f"padding of at most {most}" if most >= 0 else "a larger kernel"
            )
        padded = size + 2 * self.padding
        kernel = f"kernel {self.kernel}"
        if self.dilation > 1:
            kernel += f" with dilation {self.dilation}, {self.extent} wide,"
        needed = -(-(self.extent - size) // 2)
        fits = f"a kernel of at most {(padded - 1) // self.dilation + 1}"
        if self.kind == "conv" or needed <= self.kernel // 2:
            fits += f" or padding of at least {needed}"
        return f"{kernel} is larger than the padded input {padded}: use {fits}"


@dataclass(frozen=True)
class SlidingWindow:
    """A window that slides over a plane.

    Each pair is (height, width) in pixels; `Axis` describes the values.
    """

    kernel: Size
    stride: Size = (1, 1)
    padding: Size | Literal["same"] = (0, 0)
    dilation: Size = (1, 1)
    output_padding: Size = (0, 0)
    kind: Kind = "conv"
    ceil_mode: bool = False

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """The window along the height, and the window along the width."""
        return self._axis(0), self._axis(1)

    def _axis(self, i: int) -> Axis:
        return Axis(
            kernel=self.kernel[i],
            stride=self.stride[i],
            padding=self.padding if self.padding == "same" else self.padding[i],
            dilation=self.dilation[i],
            output_padding=self.output_padding[i],
            kind=self.kind,
            ceil_mode=self.ceil_mode,
        )

    def output(self, size: Size) -> Size:
        """Return the output size (height, width) in pixels.

        Args:
            size: Size of the input, (height, width) in pixels.

        Raises:
            CnncliError: If torch would refuse this window on this input: the kernel is larger than
                the padded input, the padding of a pooling is more than half of its kernel, or the
                output padding is too large.
        """
        faults = [axis.why_refused(n) for axis, n in zip(self.axes, size, strict=True)]
        if any(faults):
            side = "" if faults[0] == faults[1] else "height: " if faults[0] else "width: "
            raise CnncliError(side + str(faults[0] or faults[1]))
        height, width = (axis.output(n) for axis, n in zip(self.axes, size, strict=True))
        return height, width


def check_channels(in_channels: int, filters: int, groups: int) -> None:
    """Refuse numbers of channels, filters and groups with which there is no convolution.

    Raises:
        CnncliError: If a number is below 1 or above `LARGEST`, or if ``groups`` does not divide
            both others.
    """
    for what, count in (("in-channels", in_channels), ("filters", filters), ("groups", groups)):
        if not 1 <= count <= LARGEST:
            raise CnncliError(f"{what} {count}: use a whole number from 1 to {LARGEST}")
    for what, count in (("in-channels", in_channels), ("filters", filters)):
        if count % groups:
            raise CnncliError(f"{what} {count} cannot be split into groups {groups} evenly")


def count_parameters(
    window: SlidingWindow, in_channels: int, filters: int, *, groups: int = 1, bias: bool = True
) -> int:
    """Return the number of weights and biases of a convolution, transposed or not."""
    height, width = window.kernel
    return height * width * in_channels * filters // groups + (filters if bias else 0)


def count_macs(
    window: SlidingWindow, size: Size, in_channels: int, filters: int, *, groups: int = 1
) -> int:
    """Return the multiply-accumulates of a convolution for one image of ``size``.

    There is one for each weight and output pixel (when transposed, for each weight and input
    pixel). Those on padded pixels are included, biases are not. FLOPs are about twice as many.

    Source: the convention of fvcore's ``conv_flop_count`` and of ptflops.
    """
    height, width = size if window.kind == "transposed" else window.output(size)
    weights = count_parameters(window, in_channels, filters, groups=groups, bias=False)
    return weights * height * width


@dataclass(frozen=True)
class ReceptiveField:
    """The input pixels on which one output value depends.

    Attributes:
        size: (height, width) in input pixels, without regard to the image's borders. None behind a
            transposed convolution with a stride, where it differs from position to position.
        jump: Input pixels between neighbouring output values (the cumulative stride), along the
            height and along the width.

    Source: A. Araujo, W. Norris, J. Sim (2019), Computing Receptive Fields of Convolutional
    Neural Networks, Distill, doi:10.23915/distill.00021.
    """

    size: Size | None = (1, 1)
    jump: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))

    def through(self, window: SlidingWindow) -> ReceptiveField:
        """Return the field behind one more layer.

        The size becomes size + (extent - 1) · jump, and the jump becomes jump · stride.
        """
        rows, columns = self.jump
        height, width = window.axes
        if window.kind == "transposed" and window.stride != (1, 1):
            return ReceptiveField(None, (rows / height.stride, columns / width.stride))
        size = self.size and (
            int(self.size[0] + (height.extent - 1) * rows),
            int(self.size[1] + (width.extent - 1) * columns),
        )
        return ReceptiveField(size, (rows * height.stride, columns * width.stride))
