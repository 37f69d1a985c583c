"""Kernels by name, with the signs of the lecture notes, and kernels as numbers.

Source: the signs are those of cross-correlation with the gradient from right to left (Sobel x is
1 0 -1; 2 0 -2; 1 0 -1), as in A. Ng's course; OpenCV's ``Sobel`` and ``Scharr`` have the opposite
sign. Scharr: H. Scharr (2000), Optimal operators in digital image processing, 3-10-3.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from cnncli.arithmetic.convolution import Size
from cnncli.convolving.notation import looks_like_numbers, parse_grids
from cnncli.convolving.values import Values, stack
from cnncli.errors import CnncliError, did_you_mean

LARGEST_SIDE = 101  # of gaussian and box, in pixels


@dataclass(frozen=True)
class Kernel:
    """A kernel as the user named it.

    Attributes:
        name: Its name, or the text of its numbers.
        parts: One kernel of weights (C, h, w); or two of one size, where the map is the sum of the
            absolute values of both correlations, as in |I∗Sx| + |I∗Sy|.
    """

    name: str
    parts: tuple[Values, ...]

    @property
    def shown(self) -> str:
        """Its name in a message, cut where it is long."""
        return repr(self.name if len(self.name) <= 40 else self.name[:40] + "…")

    @property
    def channels(self) -> int:
        """Number of channels C of its weights."""
        return self.parts[0].shape[0]

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return self.parts[0].shape[1], self.parts[0].shape[2]

    @property
    def title(self) -> str:
        """``kernel`` with its name, if it has one, and what two parts make together."""
        name = "" if looks_like_numbers(self.name) else f" {self.name}"
        return f"kernel{name}" + (" (|x| + |y|)" if len(self.parts) > 1 else "")

    def flipped(self) -> Kernel:
        """Return the kernel turned by 180°: what a convolution in mathematics correlates with."""
        return Kernel(self.name, tuple(_turn(part) for part in self.parts))


def _turn(weights: Values) -> Values:
    return stack([[row[::-1] for row in grid[::-1]] for grid in weights.grids()])


FIXED: dict[str, str] = {
    "identity": "0 0 0; 0 1 0; 0 0 0",
    "vertical": "0 1 0; 0 1 0; 0 1 0",
    "horizontal": "0 0 0; 1 1 1; 0 0 0",
    "oblique": "1 0 0; 0 1 0; 0 0 1",
    "sobel-x": "1 0 -1; 2 0 -2; 1 0 -1",
    "sobel-y": "1 2 1; 0 0 0; -1 -2 -1",
    "scharr-x": "3 0 -3; 10 0 -10; 3 0 -3",
    "scharr-y": "3 10 3; 0 0 0; -3 -10 -3",
    "prewitt-x": "1 0 -1; 1 0 -1; 1 0 -1",
    "prewitt-y": "1 1 1; 0 0 0; -1 -1 -1",
    "laplacian": "0 1 0; 1 -4 1; 0 1 0",
    "sharpen": "0 -1 0; -1 5 -1; 0 -1 0",
    "emboss": "-2 -1 0; -1 1 1; 0 1 2",
}
# |I∗x| + |I∗y| of the two kernels of that name.
SUMS = ("sobel", "scharr", "prewitt")
# With their size, and gaussian also with its standard deviation in pixels.
SIZED = {"gaussian": "gaussian 5 1.4", "box": "box 3"}
NAMES = (*SUMS, *FIXED, *SIZED)


def parse_kernel(text: str) -> Kernel | None:
    """Return the kernel that a text names or writes out; None where it may be the path of a file.

    Args:
        text: A name of `NAMES`, with ``gaussian N σ`` and ``box N`` (N pixels), or numbers in the
            notation of `cnncli.convolving.notation`.

    Raises:
        CnncliError: If the numbers do not make a grid, or those behind a name are not right.
    """
    if looks_like_numbers(text):
        return Kernel(text.strip(), (parse_grids(text, "--kernel"),))
    words = re.sub(r"^([a-z]+)(\d)", r"\1 \2", text.strip().lower()).split()
    name = "-".join(words).replace("_", "-")  # sobel x and sobel_x are sobel-x
    name = name if name in NAMES else "".join(words[:1])
    if name in SIZED:
        return Kernel(text.strip(), (_build_sized(name, words[1:], text),))
    if name not in NAMES:
        return None
    if len(words) > 1 and name == words[0]:
        raise CnncliError(f"--kernel {text!r}: {name} is 3x3 and takes no number; write {name}")
    if name in SUMS:
        parts = (f"{name}-x", f"{name}-y")
        return Kernel(name, tuple(parse_grids(FIXED[part], part) for part in parts))
    return Kernel(name, (parse_grids(FIXED[name], name),))


def unknown_kernel(text: str) -> CnncliError:
    """Return the error for a text that is no kernel and no file, with the nearest names."""
    shown = text if len(text) <= 60 else text[:60] + "…"
    if re.search(r"[/\\]|\.\w{1,5}$", text.strip()):
        return CnncliError(f"--kernel {shown!r}: there is no such file")
    near = did_you_mean(text.split()[0] if text.split() else "", NAMES)
    known = near or f"; the names are {', '.join(NAMES)}"
    return CnncliError(
        f"--kernel {shown!r}: no kernel of this name, no numbers and no file{known}; numbers are "
        "written as '1 0 -1; 2 0 -2; 1 0 -1'"
    )


def _build_sized(name: str, words: list[str], text: str) -> Values:
    """Return the weights of ``gaussian`` or ``box``, which sum to 1."""
    wrong = CnncliError(
        f"--kernel {text!r}: write its size in pixels, from 1 to {LARGEST_SIDE}"
        + (", and its standard deviation in pixels" if name == "gaussian" else "")
        + f", as in '{SIZED[name]}'"
    )
    if len(words) != (2 if name == "gaussian" else 1) or not re.fullmatch(r"\d{1,3}", words[0]):
        raise wrong
    side = int(words[0])
    if not 1 <= side <= LARGEST_SIDE:
        raise wrong
    if name == "box":
        return stack([[[1 / side**2] * side] * side])
    if not re.fullmatch(r"\d{1,4}(\.\d{1,9})?|\.\d{1,9}", words[1]) or not float(words[1]):
        raise wrong
    line = [math.exp(-(((k - (side - 1) / 2) / float(words[1])) ** 2) / 2) for k in range(side)]
    total = sum(line)
    if not total:
        raise wrong  # so narrow that every weight of an even size is 0
    line = [weight / total for weight in line]
    return stack([[[a * b for b in line] for a in line]])
