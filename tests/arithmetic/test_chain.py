"""Networks in one string: what the words mean, and what is said of a slip."""

from __future__ import annotations

import pytest

from cnncli.arithmetic.chain import parse_chain, parse_pair
from cnncli.arithmetic.convolution import SlidingWindow
from cnncli.arithmetic.layers import Activation, Conv, Dropout, Pool
from cnncli.errors import CnncliError


def test_words_become_layers() -> None:
    parsed = parse_chain("Conv3x5 F8 s2 SAME g2 nobias relu ;; pool3 s2 ceil\ntanh; dropout.25;")
    assert parsed == (
        Conv(
            window=SlidingWindow((3, 5), (2, 2), "same"),
            filters=8,
            groups=2,
            bias=False,
            activation="relu",
        ),
        Pool(window=SlidingWindow((3, 3), (2, 2), kind="pool", ceil_mode=True)),
        Activation(activation="tanh"),
        Dropout(probability=0.25),
    )
    assert [layer.number for layer in parsed] == [1, 2, 3, 4]
    assert parsed[1].text == "pool3 s2 ceil"


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("pool2", "maxpool2d 2"),
        ("gap", "globalavgpool"),
        ("bn", "batchnorm2d"),
        ("dense 3 leaky_relu", "linear3 leakyrelu"),
        ("deconv2 f1 s2", "convtranspose2d 2x2 f1 s2x2 valid".replace(" valid", "")),
        ("conv3 f2 p0", "conv2d 3x3 valid f2"),
    ],
)
def test_names_mean_the_same(short: str, long: str) -> None:
    assert parse_chain(short) == parse_chain(long)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pool2; pool2; cnv3x3 f8", "layer 3 'cnv3x3 f8': unknown layer; did you mean conv"),
        ("zzz", "layer 1 'zzz': unknown layer; the layers are conv,"),
        ("conv3x3", "how many filters"),
        ("conv f32", "number is missing; write it as in 'conv3x3 f32'"),
        ("conv0 f3", "kernel: '0' is not a size"),
        ("conv3x f3", "kernel: '3x' is not a size"),
        ("conv3 f0", "filters 0: use a whole number"),
        ("conv3 f2.5", "filters 2.5: use a whole number"),
        ("conv3 f8 s0", "stride: '0' is not a size"),
        ("conv3 f8 p-1", "unknown option 'p-1'"),
        ("conv3 f8 p1 same", "'same' comes after another 'p' option"),
        ("conv3 f8 f9", "'f9' comes after another 'f' option"),
        ("conv3 f8 relu tanh", "'tanh' comes after another 'activation' option"),
        ("conv3 f8 bn", "'bn' is a layer of its own: put a ; before it"),
        ("conv3 f8 pool2", "'pool2' is a layer of its own"),
        ("conv3 f8 rleu", "did you mean relu"),
        ("conv3 f8 op1", "unknown option 'op1'"),
        ("deconv3 f8 same", "unknown option 'same'"),
        ("avgpool2 d2", "unknown option 'd2'"),
        ("pool2 same ceil", "leave ceil out"),
        ("relu 3", "relu takes no options: leave '3' out"),
        ("relu6", "relu takes no options: leave '6' out"),
        ("dropout 1", "probability 1: write a number from 0"),
        ("dropout nan", "number is missing"),
        ("dense 0", "units 0"),
        ("flatten 3", "unknown option '3'"),
        (" ; \n", "no layers"),
        ("conv3 f99999999999", "filters 99999999999: use a whole number"),
        ("conv9999999999 f1", "kernel: 9999999999 is too large"),
    ],
)
def test_a_slip_in_the_words_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(CnncliError) as caught:
        parse_chain(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_pair_bounds() -> None:
    assert parse_pair("3", "x") == (3, 3)
    assert parse_pair(" 3 X 0005", "x") == (3, 5)
    assert parse_pair("0x2", "x", least=0) == (0, 2)
    for text in ("0", "-1", "1.5", "", "3x", "x3", "3x3x3", "9" * 5000, "1" + "0" * 10):
        with pytest.raises(CnncliError, match=r"^side: "):
            parse_pair(text, "side")
