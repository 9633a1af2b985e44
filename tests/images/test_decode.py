import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from monoseme.images import MAX_PIXELS, BadImage
from monoseme.images._decode import decode, upright_size

CORNERS = np.uint8([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]], [[0, 0, 0], [90, 90, 90]]])
"""Six different pixels, two wide and three high."""


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_that_declares(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def gradient(width: int = 640, height: int = 480) -> Image.Image:
    across, down = np.linspace(0, 255, width), np.linspace(0, 255, height)
    grid = np.stack([*np.meshgrid(across, down), np.full((height, width), 60)], axis=2)
    return Image.fromarray(grid.astype(np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP", "AVIF", "JPEG2000", "JPEG", "MPO", "QOI"])
def test_every_format_gives_its_pixels(encode, kind):
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}, "JPEG": {"quality": 95}}.get(kind, {})
    decoded = decode(encode(gradient(64, 48), kind, **options))
    assert (decoded.width, decoded.height) == decoded.image.size == (64, 48)
    assert decoded.image.mode == "RGB"
    difference = np.asarray(decoded.image).astype(int) - np.asarray(gradient(64, 48)).astype(int)
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_exif_orientation_is_turned_upright(encode, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    undo = {1: 0, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]  # what turns upright pixels into stored ones
    stored = {
        0: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }[undo](CORNERS)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = encode(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif.tobytes(), **options)
    decoded = decode(data)
    assert np.array_equal(np.asarray(decoded.image), CORNERS)
    assert (decoded.width, decoded.height) == upright_size(data) == (2, 3)


def test_a_rotated_jpeg_is_turned_also_at_reduced_scale(encode):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(gradient(), "JPEG", exif=exif.tobytes())
    decoded = decode(data, at_least=100)
    assert decoded.image.size == (120, 160)
    assert (decoded.width, decoded.height) == upright_size(data) == (480, 640)


def test_exif_behind_the_pixels_of_a_png_counts(encode):
    exif = Image.Exif()
    exif[0x0112] = 8
    plain = encode(Image.fromarray(CORNERS))
    end = plain.rindex(b"IEND") - 4
    data = plain[:end] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + plain[end:]
    assert decode(data).image.size == upright_size(data) == (3, 2)


def test_corrupt_exif_does_not_lose_the_image(encode):
    data = encode(gradient(64, 48), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 50)
    assert decode(data).image.size == upright_size(data) == (64, 48)


@pytest.mark.parametrize(
    "at_least, size", [(None, 640), (480, 640), (240, 320), (100, 160), (60, 80), (1, 80), (999, 640)]
)
def test_a_jpeg_is_decoded_no_smaller_than_asked(encode, at_least, size):
    decoded = decode(encode(gradient(), "JPEG"), at_least=at_least)
    assert decoded.image.width == size
    assert (decoded.width, decoded.height) == (640, 480)


def test_other_formats_ignore_the_hint(encode):
    assert decode(encode(gradient()), at_least=10).image.size == (640, 480)


def test_a_16_bit_png_is_scaled_and_not_clipped(encode):
    values = np.uint16([[0, 257, 25700, 65535]])
    decoded = decode(encode(Image.fromarray(values)))
    assert np.asarray(decoded.image)[0, :, 1].tolist() == [0, 1, 100, 255]


def test_deep_and_plain_pgm():
    deep = b"P5 3 1 65535\n" + np.array([0, 25700, 65535], dtype=">u2").tobytes()
    assert np.asarray(decode(deep).image)[0, :, 0].tolist() == [0, 100, 255]
    assert np.asarray(decode(b"P2 2 1 10\n0 10\n").image)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_a_deep_tiff_is_neither_black_nor_white(encode, dtype):
    values = np.linspace(0, 60000, 32).reshape(4, 8).astype(dtype)
    grey = np.asarray(decode(encode(Image.fromarray(values), "TIFF")).image)[:, :, 0]
    assert grey.min() == 0
    assert grey.max() > 200
    assert len(np.unique(grey)) == 32


def test_cmyk_jpegs_are_not_inverted(encode):
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    red, green, blue = decode(encode(cyan, "JPEG", quality=95)).image.getpixel((8, 8))
    assert red < 10
    assert min(green, blue) > 240


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_give_their_first_frame(encode, kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decode(data).image.getpixel((4, 4)) == (255, 0, 0)


def test_a_transparent_gif_lies_on_white(encode):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    decoded = decode(encode(image, "GIF"))
    assert decoded.image.getpixel((4, 4)) == (255, 255, 255)
    assert decoded.image.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP", "AVIF"])
@pytest.mark.parametrize("part", [0.9, 0.5])
def test_a_file_that_is_cut_off_is_refused(encode, noise, kind, part):
    data = encode(noise(0, 200, 100), kind)
    with pytest.raises(BadImage) as caught:
        decode(data[: int(len(data) * part)])
    if kind in ("JPEG", "PNG", "BMP", "PPM", "GIF", "WEBP"):
        assert str(caught.value).startswith("truncated: ")


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "empty file"),
        (b"hello", "not an image (unknown format)"),
        (b"<html><body>404 Not Found</body></html>", "not an image (unknown format)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image (unknown format)"),
        (
            b"\0\0\0\x18ftypheic\0\0\0\0" + b"\0" * 90,
            "HEIC, which this build of Pillow cannot read; convert it to JPEG",
        ),
        (png_that_declares(40_000, 40_000), "too large: 40,000 x 40,000 pixels (limit 178 million)"),
        (
            png_that_declares(2**31 - 1, 2**31 - 1),
            "too large: 2,147,483,647 x 2,147,483,647 pixels (limit 178 million)",
        ),
    ],
)
def test_the_reason_says_what_is_wrong(data, reason):
    with pytest.raises(BadImage, match=r"^" + "".join(f"[{c}]" if c in "()" else c for c in reason)):
        decode(data)
    with pytest.raises(BadImage, match=r"^" + "".join(f"[{c}]" if c in "()" else c for c in reason)):
        upright_size(data)


def test_the_limit_of_pixels_can_be_set_either_way(encode):
    with pytest.raises(BadImage, match=r"too large: 20 x 10 pixels \(limit 199\)"):
        decode(encode(Image.new("RGB", (20, 10))), max_pixels=199)
    assert decode(encode(Image.new("RGB", (20, 10))), max_pixels=200).width == 20
    assert upright_size(png_that_declares(40_000, 40_000), max_pixels=2 * 10**9) == (40_000, 40_000)


def test_an_image_between_pillows_warning_and_its_limit_is_decoded_in_silence(encode):
    data = encode(Image.new("1", (9500, 9500)))
    assert MAX_PIXELS > 9500**2
    assert decode(data).image.size == (9500, 9500)


def test_warnings_of_pillow_do_not_leak_and_filters_are_as_before(encode):
    image = encode(gradient(64, 48))
    broken_animation = image[:33] + chunk(b"acTL", b"\0" * 8) + image[33:]
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert decode(broken_animation).width == 64
    assert caught == []
    assert list(warnings.filters) == before


def test_threads_decode_at_once_and_leave_no_filter_behind(encode):
    data, before = encode(gradient(), "JPEG"), list(warnings.filters)
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.extend(decode(data).width for _ in range(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [640] * 160
    assert list(warnings.filters) == before


def test_pillows_global_settings_are_left_alone(encode):
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    with pytest.raises(BadImage):
        decode(encode(gradient(), "JPEG")[:5000])
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_a_reason_is_one_line_that_can_be_printed(monkeypatch):
    def failing(*arguments: object) -> None:
        raise OSError("bad\n\x1b[31mheader\0 " + "x" * 500)

    monkeypatch.setitem(Image.OPEN, "PNG", (failing, lambda prefix: True))
    with pytest.raises(BadImage) as caught:
        decode(b"\x89PNG\r\n\x1a\n")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    "error", [MemoryError, OverflowError, RecursionError, ZeroDivisionError, KeyError, SystemError]
)
def test_whatever_a_decoder_raises_becomes_a_reason(monkeypatch, error):
    def failing(*arguments: object) -> None:
        raise error

    monkeypatch.setitem(Image.OPEN, "PNG", (failing, lambda prefix: True))
    with pytest.raises(BadImage):
        decode(io.BytesIO(b"\x89PNG\r\n\x1a\n").getvalue())
