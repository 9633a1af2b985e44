"""Crops: inside the picture, round the peaks, as large as the field."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import monoseme as ms


def maps_of(values, size, window=None, effective=(20.0, 20.0), full=(40, 40)):
    values = np.asarray(values, np.float32)[None, None]
    field = replace(ms.ReceptiveField.even(full, values.shape[2:]), effective=effective)
    window = np.array([window or (0.0, 0.0, *size)])
    return ms.Heatmaps(values, values.mean((2, 3)), "mean", None, np.array([size]), window, field)


@given(
    st.integers(1, 80),
    st.integers(1, 80),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.floats(1, 200),
    st.integers(1, 60),
    st.tuples(st.floats(-40, 40), st.floats(-40, 40), st.floats(1, 90), st.floats(1, 90)),
)
def test_crops_lie_in_the_picture_whatever_was_seen(width, height, peak, effective, least, place):
    values = np.zeros((4, 4))
    values[peak] = 1
    window = (place[0], place[1], place[0] + place[2], place[1] + place[3])
    maps = maps_of(values, (width, height), window, (effective, effective))
    [[crop]] = ms.concept_crops(maps, [Image.new("RGB", (width, height))], least=least)
    left, top, right, bottom = crop.box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert crop.picture.size == (right - left, bottom - top)


def test_a_planted_bright_patch_is_cut_out():
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[40:60, 80:100] = 255
    picture = Image.fromarray(pixels)
    values = pixels[..., 0].reshape(4, 20, 6, 20).mean((1, 3)) / 255
    maps = maps_of(values, (120, 80), effective=(20.0, 20.0), full=(80, 120))
    [[crop]] = ms.concept_crops(maps, [picture], least=8)
    assert crop.box == (80, 40, 100, 60)
    assert np.asarray(crop.picture).min() == 255
    assert (crop.image, crop.value) == (0, 1.0)


def test_sides_follow_the_field_at_the_pictures_scale_within_bounds():
    values = np.eye(4)[::-1] * [[1], [2], [1], [1]]  # the peak lies inside
    picture = Image.new("RGB", (400, 200))
    [[crop]] = ms.concept_crops(maps_of(values, (400, 200)), [picture])
    assert crop.picture.size == (200, 100)  # 20 of 40 pixels of the input
    [[crop]] = ms.concept_crops(maps_of(values, (400, 200), effective=(1.0, 1.0)), [picture], least=50)
    assert crop.picture.size == (50, 50)
    [[crop]] = ms.concept_crops(maps_of(values, (400, 200), window=(100, 0, 300, 200), effective=(90, 90)), [picture])
    assert crop.box == (100, 0, 300, 200)


def test_further_peaks_are_cut_where_they_are_high_and_apart():
    values = np.zeros((8, 8))
    values[1, 1], values[1, 2], values[6, 6], values[1, 6] = 10, 9, 7, 4
    maps = maps_of(values, (80, 80), effective=(10.0, 10.0))
    [crops] = ms.concept_crops(maps, [Image.new("RGB", (80, 80))], count=5, least=1)
    assert [crop.value for crop in crops] == [10, 7]  # 9 lies beside the highest, 4 is less than half of it
    [crops] = ms.concept_crops(maps, [Image.new("RGB", (80, 80))], count=5, least=1, share=0.3)
    assert [crop.value for crop in crops] == [10, 7, 4]
    [crops] = ms.concept_crops(maps, [Image.new("RGB", (80, 80))], count=1, least=1, share=0.3)
    assert len(crops) == 1


def test_other_pictures_and_numbers_out_of_range_are_refused():
    maps, picture = maps_of(np.eye(4), (40, 30)), Image.new("RGB", (40, 30))
    for wrong in ([], [picture, picture], [Image.new("RGB", (30, 40))]):
        with pytest.raises(ms.UsageError, match="not the pictures"):
            ms.concept_crops(maps, wrong)
    with pytest.raises(ms.UsageError, match="there is no map 0, 1"):
        ms.concept_crops(maps, [picture], 1)
    for options in ({"count": 0}, {"least": 0}):
        with pytest.raises(ms.UsageError, match="at least one"):
            ms.concept_crops(maps, [picture], **options)
    with pytest.raises(ms.UsageError, match="is not known"):
        ms.concept_crops(replace(maps, windows=None), [picture])
