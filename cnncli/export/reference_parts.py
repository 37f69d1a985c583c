"""The parts of ``reference_preprocess.py``: the preprocessing once more, in few lines.

Nothing here is called by cnncli. `cnncli.export.reference` copies the functions that a network's
preprocessing needs into a script, which people take over into their own programs. The constants
stand for those of the script.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 224, 224
RESIZE_SIZE = 256
FILTER = Image.Resampling.BILINEAR
REDUCE_BY = max
CHANNELS: Sequence[int] = (3,)
WINDOWS: Sequence[tuple[float, float, str] | None] = (None,)


def preprocess(paths: Sequence[str]) -> Any:
    parts = []
    for path, channels, window in zip(paths, CHANNELS, WINDOWS, strict=True):
        image = decode(Path(path).read_bytes())
        parts.append(to_channels(to_type(image, window), channels))
    return finish(resize(np.concatenate(parts, axis=2)))


def decode(data: bytes) -> Any:
    # (H, W, C) uint8, uint16 or float32: grey, or red, green, blue; upright, on white.
    if data.startswith(b"\x93NUMPY"):
        array = np.load(io.BytesIO(data), allow_pickle=False)
        array = array if array.ndim == 3 else array[..., None]
        # Channels stand last, or first where that is the shorter axis.
        return np.moveaxis(array, 0, 2) if array.shape[0] < array.shape[2] else array
    try:
        header = Image.open(io.BytesIO(data))  # reads no pixel yet
    except OSError:
        what = "DICOM" if data[128:132] == b"DICM" else "no image that Pillow knows"
        raise ValueError(f"{what}: this script reads JPEG, PNG, BMP, WebP and .npy") from None
    with header:
        kind, mode, (width, height) = header.format, header.mode, header.size
        orientation = header.getexif().get(0x0112, 1)
        clear = "transparency" in header.info and mode in ("1", "L", "I;16", "I")
    if kind not in ("JPEG", "MPO", "PNG", "BMP", "WEBP") or mode == "CMYK" or clear:
        raise ValueError(f"{kind}, {mode}: this script reads JPEG, PNG, BMP, WebP and .npy")
    flags = cv2.IMREAD_UNCHANGED
    if kind in ("JPEG", "MPO"):
        if orientation >= 5:  # stored on its side
            height, width = width, height
        flags = jpeg_flags(height, width, is_grey=mode == "L")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise ValueError("damaged or cut short")
    pixels = np.atleast_3d(pixels)
    if pixels.shape[2] >= 3:  # OpenCV gives blue, green, red
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    if pixels.shape[2] == 4:
        pixels = on_white(pixels)
        pixels = pixels[..., :1] if mode == "LA" else pixels
    return turn_upright(pixels, orientation)


def jpeg_flags(height: int, width: int, *, is_grey: bool) -> int:
    return (cv2.IMREAD_GRAYSCALE if is_grey else cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION


def reduced_jpeg_flags(height: int, width: int, *, is_grey: bool) -> int:
    # A large JPEG is decoded at 1/8, 1/4 or 1/2 of its size, if that is 1.5 times what is needed.
    needed = REDUCE_BY(HEIGHT / height, WIDTH / width)
    by = next((by for by in (8, 4, 2) if needed * by * 1.5 <= 1), 1)
    kind = "GRAYSCALE" if is_grey else "COLOR"
    name = f"IMREAD_REDUCED_{kind}_{by}" if by > 1 else f"IMREAD_{kind}"
    return int(getattr(cv2, name)) | cv2.IMREAD_IGNORE_ORIENTATION


def on_white(pixels: Any) -> Any:
    full = int(np.iinfo(pixels.dtype).max)
    colours, alpha = pixels[..., :-1].astype(np.uint32), pixels[..., -1:].astype(np.uint32)
    return ((colours * alpha + full * (full - alpha) + full // 2) // full).astype(pixels.dtype)


def turn_upright(pixels: Any, orientation: int) -> Any:
    # EXIF's eight ways to hold a camera.
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def to_type(image: Any, window: tuple[float, float, str] | None) -> Any:
    # 8 bits: levels 0 to 255.
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return ((image.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return np.rint(np.clip(image, 0, 1) * np.float32(255)).astype(np.uint8)


def to_fractions(image: Any, window: tuple[float, float, str] | None) -> Any:
    # float32: the window becomes 0 to 1. Windows of a "fraction" are of the full scale.
    if image.dtype.kind == "u":
        scale = np.iinfo(image.dtype).max
        if window is not None and image.dtype == np.uint8 and window[1] < 0.125:
            end = window[1] * 255  # a range of 12 of 16 bits does not hold for 8
            window = window if abs(end - round(end)) < 1e-6 else None
        image = image / np.float32(scale)
    if window is not None:
        low, high, _ = window
        image = (image - np.float32(low)) / np.float32(high - low)
    return np.clip(image, 0, 1).astype(np.float32)


def to_channels(image: Any, channels: int) -> Any:
    if image.shape[2] == channels:
        return image
    if (image.shape[2], channels) == (3, 1):
        return np.atleast_3d(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    if (image.shape[2], channels) == (1, 3):
        return np.repeat(image, 3, axis=2)
    raise ValueError(f"{image.shape[2]} channels, the network takes {channels}")


def scale_area(image: Any, height: int, width: int) -> Any:
    # Sides that shrink are averaged, then sides that grow are interpolated.
    rows, columns = min(height, image.shape[0]), min(width, image.shape[1])
    return scale_opencv(scale_opencv(image, rows, columns, "AREA"), height, width, "LINEAR")


def scale_opencv(image: Any, height: int, width: int, way: str) -> Any:
    if image.shape[:2] == (height, width):
        return image
    parts = [np.ascontiguousarray(image[..., at : at + 4]) for at in range(0, image.shape[2], 4)]
    flag = getattr(cv2, f"INTER_{way}")
    done = [np.atleast_3d(cv2.resize(p, (width, height), interpolation=flag)) for p in parts]
    return np.concatenate(done, axis=2)


def scale_pillow(image: Any, height: int, width: int) -> Any:
    channels = [np.ascontiguousarray(channel) for channel in np.moveaxis(image, 2, 0)]
    done = [Image.fromarray(channel).resize((width, height), FILTER) for channel in channels]
    return np.stack([np.asarray(channel) for channel in done], axis=2)


def resize_squash(image: Any) -> Any:
    return scale(image, HEIGHT, WIDTH)


def resize_pad(image: Any) -> Any:
    # The aspect ratio stays; the rest is black.
    ratio = min(HEIGHT / image.shape[0], WIDTH / image.shape[1])
    rows, columns = (max(1, round(side * ratio)) for side in image.shape[:2])
    image = scale(image, rows, columns)
    top, left = (HEIGHT - rows) // 2, (WIDTH - columns) // 2
    return np.pad(image, ((top, HEIGHT - rows - top), (left, WIDTH - columns - left), (0, 0)))


def resize_crop(image: Any) -> Any:
    # The largest part of the right aspect ratio, from the middle.
    ratio = max(HEIGHT / image.shape[0], WIDTH / image.shape[1])
    rows = min(image.shape[0], max(1, round(HEIGHT / ratio)))
    columns = min(image.shape[1], max(1, round(WIDTH / ratio)))
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return scale(image[top : top + rows, left : left + columns], HEIGHT, WIDTH)


def resize_shorter_side(image: Any) -> Any:
    # The shorter side becomes RESIZE_SIZE, then the middle is cut out, as torchvision does.
    short = min(image.shape[:2])
    rows, columns = (min(side, 20 * short) for side in image.shape[:2])  # of very long images
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    image = image[top : top + rows, left : left + columns]
    image = scale(image, RESIZE_SIZE * rows // short, RESIZE_SIZE * columns // short)
    top, left = round((image.shape[0] - HEIGHT) / 2), round((image.shape[1] - WIDTH) / 2)
    return image[top : top + HEIGHT, left : left + WIDTH]


def finish(image: Any) -> Any:
    return np.ascontiguousarray(image)


def finish_floats(image: Any) -> Any:
    return np.ascontiguousarray(np.clip(image, 0, 1), dtype=np.float32)


# The names by which the functions above call others of which there are several.
scale, resize = scale_area, resize_squash
