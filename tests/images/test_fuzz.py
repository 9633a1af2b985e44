"""The decoder on damaged bytes: an RGB image of the declared size, or `BadImage`, and nothing else."""

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from monoseme.images import BadImage
from monoseme.images._decode import decode, upright_size

LIMIT = 2_000_000
"""Pixels; damaged headers may declare sizes that are allowed but slow."""


def small_files(encode) -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    Image.init()
    files = {
        "jpeg": encode(image, "JPEG", exif=exif.tobytes()),
        "progressive": encode(image, "JPEG", progressive=True),
        "cmyk": encode(image.convert("CMYK"), "JPEG"),
        "palette": encode(image.quantize(8), "PNG"),
        "deep": encode(Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000), "PNG"),
        "gif": encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "apng": encode(frames[0], "PNG", save_all=True, append_images=frames[1:]),
    }
    for kind in ("PNG", "WEBP", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000", "QOI"):
        if kind in Image.SAVE:
            files[kind] = encode(image, kind, **({"exif": exif.tobytes()} if kind in ("PNG", "WEBP", "TIFF") else {}))
    return files


def survives(data: bytes) -> None:
    with contextlib.suppress(BadImage):
        decoded = decode(data, max_pixels=LIMIT)
        assert decoded.image.mode == "RGB"
        assert decoded.image.size == (decoded.width, decoded.height)
    with contextlib.suppress(BadImage):
        decode(data, max_pixels=LIMIT, at_least=8)
    with contextlib.suppress(BadImage):
        assert min(upright_size(data, max_pixels=LIMIT)) > 0


@pytest.fixture(scope="module")
def files(encode) -> dict[str, bytes]:
    return small_files(encode)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_are_decoded_or_refused(files, data):
    original = files[data.draw(st.sampled_from(sorted(files)))]
    mutated = bytearray(original)
    place = st.integers(0, len(original) - 1)
    for spot, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=8)):
        mutated[spot] = value
    start, stop = data.draw(st.tuples(place, place))
    match data.draw(st.sampled_from(["keep", "cut", "drop", "repeat", "insert"])):
        case "cut":
            del mutated[start:]
        case "drop":
            del mutated[start:stop]
        case "repeat":
            mutated[start:start] = mutated[start:stop]
        case "insert":
            mutated[start:start] = data.draw(st.binary(max_size=40))
    survives(bytes(mutated))


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from([b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0*", b"BM", b"P6 "]),
    rest=st.binary(),
)
def test_arbitrary_bytes_behind_a_magic_number_are_decoded_or_refused(start, rest):
    survives(start + rest)
