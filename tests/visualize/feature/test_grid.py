"""Feature images as pictures and as a figure."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import monoseme as ms


def made(channels: int = 3, transparent: bool = True) -> ms.FeatureImages:
    """Two rows of three images, each of one shade; the left half is see-through."""
    shades = np.linspace(0, 1, 6).reshape(2, 3, 1, 1, 1)
    pixels = np.broadcast_to(shades, (2, 3, 70, 80, channels)).astype(np.float32)
    shown = np.ones((2, 3, 70, 80), dtype=np.float32)
    shown[..., :40] = 0
    reached = np.arange(6, dtype=np.float32).reshape(2, 3)
    config = ms.FeatureConfig(images=3, parametrisation="maco")
    names = ("neuron 4", "neuron $5$")
    return ms.FeatureImages(
        pixels, shown if transparent else None, reached, reached[None], names, config, {"layer": "x"}
    )


def test_transparency_lets_the_background_through():
    images = made()
    picture = np.asarray(images.picture(0, 0, background="white"))
    assert (picture[:, :40] == 255).all()
    assert (picture[:, 40:] == 0).all()
    assert (np.asarray(images.picture(0, 0)) == 0).all()
    assert np.asarray(images.picture(0, 0, background=(1, 0, 0)))[0, 0].tolist() == [255, 0, 0]
    assert np.asarray(made(1).picture(1, 2, background="black"))[0, [0, 79]].tolist() == [0, 255]


def test_what_no_picture_can_show_is_said():
    with pytest.raises(ms.UsageError, match="no image 3 of row 0"):
        made().picture(0, 3)
    with pytest.raises(ms.UsageError, match="5 channels are no pictures"):
        made(5).picture(0)
    with pytest.raises(ms.UsageError, match="no colour"):
        made().picture(0, background="blurple")
    with pytest.raises(ms.UsageError, match="one number for each"):
        made().picture(0, background=(1, 0))


def test_the_figure_has_a_row_for_each_direction_and_every_pixel_once():
    figure = ms.feature_grid(made(), background="white")
    [axes] = figure.axes
    assert [text.get_text() for text in axes.texts] == ["neuron 4\nactivation 0 to 2", "neuron $5$\nactivation 3 to 5"]
    assert len(axes.images) == 6
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    # a pixel of an image is a pixel of the figure: shades of the right halves (the white one is lost on white)
    for shade in np.round(255 * np.linspace(0, 1, 6))[:5]:
        assert (pixels == shade).all(2).sum() >= 38 * 68


def test_titles_must_be_as_many_as_rows():
    assert ms.feature_grid(made(), ["a", "b"]).axes[0].texts[0].get_text().startswith("a\n")
    with pytest.raises(ms.UsageError, match="1 titles are given for 2 rows"):
        ms.feature_grid(made(), ["a"])
