"""Words that commands take: in any case, and with an error that says what would be right."""

import pytest


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            ("visualize", "functions", "relu,,gelu"),
            "'relu,,gelu': a name is missing beside a comma",
        ),
        (("visualize", "functions", "reluu"), "did you mean relu"),
        (("visualize", "gradients", "cnn", "--method", "evaal"), "did you mean eval"),
        (("models", "--format", "jsno"), "did you mean json"),
        (("train", "--data", "x", "--monitor", "val_acuracy"), "did you mean val_accuracy"),
        (("convolve", "1 2;3 4", "--kernel", "sobl"), "did you mean sobel"),
        (("inspect-layers", "resnet-81"), "did you mean resnet18"),
        (("augment", "--augment", "hflp", "x.png"), "did you mean hflip"),
    ],
)
def test_a_wrong_name_gets_the_nearest(cli, args, told):
    result = cli(*args)
    assert (result.code, result.out) == (2, "")
    assert told in result.error


def test_a_run_without_a_checkpoint_is_told_as_such(cli, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("data: digits\n")
    for command in (("visualize", "filters", run), ("evaluate", "--checkpoint", run)):
        assert "a run without a checkpoint yet" in cli(*command).error


def test_names_of_functions_and_kernels_in_any_case(cli):
    given = cli("visualize", "functions", "LeakyReLU,swish", "--format", "csv").out
    assert given == cli("visualize", "functions", "leaky_relu,silu", "--format", "csv").out
    numbers = "1 2 3; 3 4 5; 1 1 2"
    written = cli("convolve", numbers, "--kernel", "Sobel_X").out
    assert written == cli("convolve", numbers, "--kernel", "sobel-x").out
