"""Layers in the spelling of Keras and PyTorch: the same as in ours, or an error that has ours."""

import pytest

from cnncli.arithmetic.chain import parse_chain
from cnncli.errors import CnncliError


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("Conv2D(32,(3,3))", "conv3x3 f32"),
        ("Conv2D(32, (3, 3), activation='relu', padding='same')", "conv3x3 f32 same relu"),
        ("layers.Conv2D(8, 5, strides=2, use_bias=False)", "conv5x5 f8 s2 nobias"),
        ("Conv2D(filters=8, kernel_size=(1, 7), groups=2, dilation_rate=2)", "conv1x7 f8 g2 d2"),
        ("Conv2DTranspose(16, 2, strides=2)", "deconv2x2 f16 s2"),
        ("MaxPooling2D((2,2))", "pool2"),
        ("MaxPooling2D()", "pool2"),
        ("nn.MaxPool2d(3, stride=2, padding=1)", "pool3 s2 p1"),
        ("nn.MaxPool2d(3, 1)", "pool3 s1"),
        ("AveragePooling2D(2, padding='same')", "avgpool2 same"),
        ("nn.AvgPool2d(3, 2, ceil_mode=True)", "avgpool3 s2 ceil"),
        ("GlobalAveragePooling2D()", "gap"),
        ("GlobalAveragePooling2D", "gap"),
        ("nn.AdaptiveAvgPool2d((1, 1))", "gap"),
        ("BatchNormalization()", "bn"),
        ("Flatten()", "flatten"),
        ("Dense(84, activation='tanh')", "dense 84 tanh"),
        ("Dense(84, 'swish', use_bias=False)", "dense 84 nobias silu"),
        ("Dropout(0.5)", "dropout 0.5"),
        ("Activation('LeakyReLU')", "leaky_relu"),
        ("nn.ReLU(inplace=True)", "relu"),
        ("swish", "silu"),
    ],
)
def test_what_means_the_same_is_taken(written, ours):
    assert parse_chain(written) == parse_chain(ours)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("nn.Conv2d(3, 32, 3, padding=1)", "write 'conv3x3 f32 p1x1'"),
        ("nn.Linear(400, 120)", "write 'dense 120'"),
        ("BatchNorm2d(32)", "write 'bn'"),
        ("Dense(10, activation='softmax')", "softmax is inside the loss here: leave it out"),
        ("dense 10 softmax", "softmax is inside the loss here: leave it out"),
        ("softmax", "softmax is inside the loss here: leave it out"),
        ("nn.Softmax(dim=1)", "softmax is inside the loss here: leave it out"),
        ("Conv2D(32)", "kernel_size is missing"),
        ("Conv2D(32, 3, kernel_initializer='he')", "kernel_initializer is not read here"),
        ("Conv2D(32, (3,3,3))", "is no size"),
        ("Conv2D(32, x)", "cannot be read as a call"),
        ("Conv2D(32, 3, input_shape=(28, 28, 1))", "input_shape is not read here; leave it out"),
        ("Conv3D(32, 3)", "no layer 'Conv3D' is known as a call"),
        ("LeakyReLU(0.3)", "0.3 is not read here"),
        ("Dropout2d(0.3)", "drops whole maps"),
        ("AdaptiveAvgPool2d(7)", "only 1 is known here"),
    ],
)
def test_what_does_not_gets_the_right_spelling(written, told):
    with pytest.raises(CnncliError, match=r"^layer 2 ") as error:
        parse_chain(f"relu; {written}")
    assert told in str(error.value)


def test_a_layer_is_shown_as_it_was_taken(cli):
    layers = "Conv2D(6,(5,5),activation='relu'); MaxPooling2D((2,2)); Flatten(); Dense(10)"
    result = cli("conv-size", 28, "--in-channels", 1, "--chain", layers, "--format", "csv")
    assert [line.split(",")[0] for line in result.out.splitlines()[1:]] == [
        "conv5x5 f6 relu", "pool2x2", "flatten", "dense 10", "total",
    ]  # fmt: skip
