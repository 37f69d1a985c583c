"""What a layer behind flatten sees of the image: as a gradient says, and as inspect-layers says."""

import pytest
import torch

from cnncli.arithmetic.chain import parse_chain
from cnncli.arithmetic.layers import trace_chain
from cnncli.models.chain import build_chain
from cnncli.models.tracing.summary import summarise

CHAINS = {
    # 28 -> 26 -> 13 -> 11 -> 5: the second pool drops the 11th row, two rows of the image.
    "conv3x3 f10 relu; pool2; conv3x3 f20 relu; pool2; flatten; dense 10": (28, 26),
    # The padding behind a pool that dropped a row shows nothing of that row.
    "conv3 f4; pool3; conv3 f4 p1; flatten; dense 10": (28, 26),
    "conv3 f4 p1; pool2; flatten; dense 10": (27, 27),  # the last window reaches over by a pixel
    "conv3 f4 p1 s2; avgpool3 s2; gap; dense 10": (30, 30),
    "conv3 f4 same; pool2 same; flatten; dense 10": (27, 27),
    "conv5 f4 s3; pool2 ceil; flatten; dense 8 relu; dense 10": (31, 29),
    "conv1 f4 s2; flatten; dense 10": (28, 27),
}


def see_by_gradient(network, size):
    """Return the last row, from 1, in which a pixel has a gradient from the logits."""
    for module in network.modules():  # every tap counts alike, and no maximum hides one
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.constant_(module.weight, 0.01)
        if isinstance(module, torch.nn.MaxPool2d):
            module.forward = lambda x, m=module: torch.nn.functional.lp_pool2d(
                torch.nn.functional.pad(x, (0, x.shape[3] % m.stride[1] * m.ceil_mode) * 2),
                1, m.kernel_size, m.stride,
            )  # fmt: skip
    image = torch.ones(1, 1, *size, requires_grad=True)
    network.eval()(image).sum().backward()
    return int(image.grad[0, 0].sum(1).nonzero().max()) + 1


@pytest.mark.parametrize("text", CHAINS)
def test_region_of_the_last_layer(text):
    side, expected = CHAINS[text]
    network = build_chain(text, 10, 1, (side, side + 4))
    trace = trace_chain(parse_chain(text), (side, side + 4), 1)[-1]
    assert see_by_gradient(network, (side, side + 4)) == expected
    assert trace.region[0] == (0, expected - 1)
    rows, columns = trace.region
    field = summarise(build_chain(text, 10, 1, (side, side + 4)), (side, side + 4), 1)[-1].field
    seen = tuple(last - first + 1 for first, last in (rows, columns))
    whole = seen == (side, side + 4)
    assert field.size == ("whole image" if whole else seen if len(set(seen)) > 1 else seen[0])


def test_a_transposed_layer_that_cuts_its_output():
    text = "pool2; deconv2 f1 s2 p1; flatten; dense 10"
    (*_, trace) = trace_chain(parse_chain(text), (9, 9), 1)
    # 9 -> pool 4 pixels of 8 rows -> 8 - 2 = 6 outputs, which all four rows of maps add to
    image = torch.ones(1, 1, 9, 9, requires_grad=True)
    maps = torch.nn.functional.avg_pool2d(image, 2)
    torch.nn.functional.conv_transpose2d(maps, torch.ones(1, 1, 2, 2), None, 2, 1).sum().backward()
    assert int(image.grad[0, 0].sum(1).nonzero().max()) == 7
    assert trace.region == ((0, 7), (0, 7))
