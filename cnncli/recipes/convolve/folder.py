"""A folder of images: a picture for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cnncli.convolving.kernels import Kernel
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.files import make_output_folder
from cnncli.recipes.convolve.draw import draw_layers
from cnncli.recipes.convolve.read import Colours, list_images, read_image
from cnncli.recipes.convolve.run import ConvolveSettings, run_layers
from cnncli.reporting import Reporter


def draw_folder(
    folder: Path,
    output: Path,
    kernels: tuple[Kernel, ...],
    settings: ConvolveSettings,
    colours: Colours,
    reporter: Reporter,
) -> Iterator[Path]:
    """Draw what the layers make of each image, and yield the pictures' paths.

    Args:
        folder: The folder of images, which may have folders in it.
        output: The folder that gets the pictures, by the images' paths and ``.png``.
        kernels: The kernels of the convolution; none for no convolution.
        settings: Window, biases and layers.
        colours: What becomes of the colours.
        reporter: Is told of images that cannot be drawn.

    Raises:
        CnncliError: If there are no images, or the output lies among them; at the end, if some
            were not drawn.
    """
    if output.resolve().is_relative_to(folder.resolve()):
        raise CnncliError(
            f"--output {output}: lies in the folder of images, where its pictures would count as "
            "images the next time; name another folder"
        )
    images = list(list_images(folder))
    output = make_output_folder(str(output))
    told: set[str] = set()
    unread = drawn = 0
    for name, path in images:
        try:
            loaded = read_image(path, colours, reporter)
            worked = run_layers(loaded.values, kernels, settings)
        except CnncliError as error:
            reporter.warn(f"{path}: {str(error).removeprefix(f'{path}: ')}")
            unread += 1
            continue
        for line in (line for step in worked.steps for line in step.remarks()):
            if line not in told:
                reporter.note(line)
                told.add(line)
        picture = output / f"{name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        draw_layers(picture, worked, loaded.white)
        drawn += 1
        yield picture
    if unread:
        raise CnncliError(
            f"{folder}: {unread} of {unread + drawn} images were not drawn",
            exit_code=RUNTIME_FAILURE,
        )
