import numpy as np
import pytest
from PIL import Image

from monoseme.images._rgb import to_rgb


def first_pixel(image: Image.Image) -> tuple[int, int, int]:
    rgb = to_rgb(image)
    assert rgb.mode == "RGB"
    return rgb.getpixel((0, 0))


@pytest.mark.parametrize(
    "mode, value, expected",
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBX", (1, 2, 3, 9), (1, 2, 3)),
        ("RGBA", (1, 2, 3, 255), (1, 2, 3)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("RGBA", (9, 9, 9, 0), (255, 255, 255)),
        ("LA", (0, 255), (0, 0, 0)),
        ("LA", (0, 0), (255, 255, 255)),
        ("La", (0, 0), (255, 255, 255)),
        ("RGBa", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("CMYK", (255, 0, 0, 0), (0, 255, 255)),
        ("HSV", (0, 0, 255), (255, 255, 255)),
        ("YCbCr", (128, 128, 128), (128, 128, 128)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257 * 100, (100, 100, 100)),
        ("I;16", 300, (1, 1, 1)),
        ("I;16B", 257 * 100, (100, 100, 100)),
    ],
)
def test_a_pixel_of_each_mode_has_the_value_it_should(mode, value, expected):
    assert first_pixel(Image.new(mode, (2, 2), value)) == expected


def test_transparent_colours_of_palettes_and_colour_keys_become_white():
    palette = Image.new("P", (1, 1), 3)
    palette.putpalette([0, 0, 0] * 3 + [10, 20, 30])
    assert first_pixel(palette) == (10, 20, 30)
    palette.info["transparency"] = 3
    assert first_pixel(palette) == (255, 255, 255)
    keyed = Image.new("RGB", (1, 1), (5, 6, 7))
    keyed.info["transparency"] = (5, 6, 7)
    assert first_pixel(keyed) == (255, 255, 255)


@pytest.mark.parametrize(
    "values, expected",
    [
        (np.float32([[0, 0.5, 1]]), [0, 128, 255]),  # floats from 0 to 1
        (np.float32([[0, 128, 255]]), [0, 128, 255]),  # 8-bit values
        (np.float32([[-1, 0, 1]]), [0, 128, 255]),  # anything else is stretched
        (np.float32([[1000, 2000, 3000]]), [0, 128, 255]),
        (np.float32([[np.nan, 0, np.inf]]), [0, 0, 255]),
        (np.float32([[7e20, 7e20, 7e20]]), [0, 0, 0]),
        (np.float32([[-3e38, 0, 3e38]]), [0, 128, 255]),
        (np.full((1, 3), np.nan, np.float32), [0, 0, 0]),
        (np.int32([[0, 100, 200]]), [0, 100, 200]),
        (np.int32([[-(2**31), 0, 2**31 - 1]]), [0, 128, 255]),
    ],
)
def test_32_bit_values_are_scaled_by_what_they_mean(values, expected):
    rgb = to_rgb(Image.fromarray(values))
    assert np.asarray(rgb)[0, :, 0].tolist() == expected


def test_the_result_is_a_copy_without_metadata():
    image = Image.new("RGB", (2, 2))
    image.info["icc_profile"] = b"..."
    rgb = to_rgb(image)
    assert rgb is not image
    assert rgb.info == {}
    assert type(rgb) is Image.Image
