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
        ("Activation('gelu')", "gelu"),
        # Values without names stand in the order of each library.
        ("Conv2D(32, 3, 1, 'same', None, 2)", "conv3x3 f32 same d2"),
        (
            "Conv2D(8, 3, (2, 2), 'valid', 'channels_last', (1, 1), 2, 'relu')",
            "conv3x3 f8 s2 g2 relu",
        ),
        ("MaxPool2d(2, 2, 0, 1)", "pool2 s2"),
        ("MaxPool2d(2, 2, 0, 1, False, True)", "pool2 s2 ceil"),
        ("AvgPool2d(2, 2, 0, True)", "avgpool2 s2 ceil"),
        ("nn.ReLU(True)", "relu"),
        ("nn.LeakyReLU()", "leaky_relu"),
        ("LeakyReLU(0.01)", "leaky_relu"),
        ("Conv2DTranspose(16, 3, 2, activation='relu')", "deconv3x3 f16 s2 relu"),
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
        ("MaxPool2d(2, 2, 0, 2)", "dilation is always 1 here, not 2"),
        ("MaxPooling2D(2, stride=1)", "did you mean strides?"),
        ("Conv2D(32, 3, stride=2)", "did you mean strides?"),
        ("AvgPool2d(2, count_include_pad=False)", "count_include_pad is always True here"),
        ("nn.Conv2d(3, 6, 5, padding_mode='reflect')", "padding_mode is always 'zeros' here"),
        ("LeakyReLU()", "0.01 here as in PyTorch, and not 0.2 or 0.3 as in Keras"),
        ("Conv2D(8, 3, activation='leaky_relu')", "0.01 here as in PyTorch"),
        ("nn.LeakyReLU(0.2)", "negative_slope is always 0.01 here, not 0.2"),
        ("ReLU(6)", "6 cannot be said of it here"),
        ("ELU(alpha=0.5)", "alpha is always 1 here, not 0.5"),
        ("nn.GELU('tanh')", "approximate is always False here"),
        ("Flatten(0)", "start_dim is always 1 here"),
        ("Dense(10, False)", "use_bias=False leaves the bias out"),
        ("Conv2DTranspose(8, 3, 1, 'valid', None)", "takes 4 values without a name here"),
        ("conv2d(32, 3)", "did you mean Conv2d"),
        ("Conv2D(32, 3, kernel_initializer='he')", "kernel_initializer is not read here"),
        ("Conv2D(32, (3,3,3))", "is no size"),
        ("Conv2D(32, x)", "cannot be read as a call"),
        ("Conv2D(32, 3, input_shape=(28, 28, 1))", "input_shape is not read here; leave it out"),
        ("Conv3D(32, 3)", "no layer 'Conv3D' is known as a call"),
        ("LeakyReLU(0.3)", "negative_slope is always 0.01 here, not 0.3"),
        ("Dropout2d(0.3)", "drops whole maps"),
        ("AdaptiveAvgPool2d(7)", "only 1 is known here"),
    ],
)
def test_what_does_not_gets_the_right_spelling(written, told):
    with pytest.raises(CnncliError, match=r"^layer 2 ") as error:
        parse_chain(f"relu; {written}")
    assert told in str(error.value)


@pytest.mark.parametrize("size", [5, 28])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 2), (2, 3), (3, 2), (4, 2), (2, 2)])
def test_a_transposed_convolution_has_the_size_of_keras(cli, size, kernel, stride):
    """Keras: input · stride + max(kernel - stride, 0) (deconv_output_length, "valid")."""
    layer = f"Conv2DTranspose(1, {kernel}, strides={stride})"
    result = cli("conv-size", size, "--in-channels", 1, "--chain", layer, "--format", "csv")
    side = size * stride + max(kernel - stride, 0)
    assert result.out.splitlines()[-1].split(",")[1] == f"1x{side}x{side}"


@pytest.mark.parametrize(
    "written",
    [
        "nn.MaxPool2d(3, 2, 1, 1)",
        "nn.MaxPool2d(2, 2, 0, 1, False, True)",
        "nn.AvgPool2d(3, 2, 1, True)",
    ],
)
def test_a_pool_has_the_size_of_torch(cli, written):
    from torch import nn, zeros

    side = eval(written, {"nn": nn})(zeros(1, 1, 27, 27)).shape[-1]
    result = cli("conv-size", 27, "--in-channels", 1, "--chain", written, "--format", "csv")
    assert result.out.splitlines()[-1].split(",")[1] == f"1x{side}x{side}"


def test_a_layer_is_shown_as_it_was_taken(cli):
    layers = "Conv2D(6,(5,5),activation='relu'); MaxPooling2D((2,2)); Flatten(); Dense(10)"
    result = cli("conv-size", 28, "--in-channels", 1, "--chain", layers, "--format", "csv")
    assert [line.split(",")[0] for line in result.out.splitlines()[1:]] == [
        "conv5x5 f6 relu", "pool2x2", "flatten", "dense 10", "total",
    ]  # fmt: skip
