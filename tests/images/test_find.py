import pytest
from hypothesis import given
from hypothesis import strategies as st

from monoseme.base import UsageError
from monoseme.images import open_images
from monoseme.images._find import expanded_braces
from monoseme.images._names import shared_folders, unique, uri_of


@pytest.fixture
def photos(tmp_path, fill, png):
    names = ["cat/1.png", "cat/2.jpg", "cat/deep/3.png", "dog/1.png", "top.png", ".hidden/1.png", "dog/notes.txt"]
    return fill(tmp_path / "photos", {name: png() for name in names})


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("*/*.png", ["cat/1.png", "dog/1.png"]),
        ("**/*.png", ["cat/1.png", "cat/deep/3.png", "dog/1.png", "top.png"]),
        ("**", ["cat/1.png", "cat/2.jpg", "cat/deep/3.png", "dog/1.png", "top.png"]),
        ("*", ["top.png"]),
        ("cat/?.*", ["1.png", "2.jpg"]),
        ("{dog,cat}/1.png", ["cat/1.png", "dog/1.png"]),
        ("{dog,cat}", ["cat/1.png", "cat/2.jpg", "cat/deep/3.png", "dog/1.png"]),
        ("cat/{1..1}.png", ["1.png"]),
        ("[cd]*/[!1].*", ["cat/2.jpg"]),
    ],
)
def test_a_pattern_lists_what_it_matches_relative_to_its_fixed_folder(photos, uris, pattern, expected):
    assert uris(open_images(f"{photos}/{pattern}")) == expected


def test_labels_of_a_pattern_are_class_folders(photos, labels):
    assert labels(open_images(f"{photos}/**/*.png")) == ["cat", "cat", "dog", None]


def test_a_folder_whose_name_looks_like_a_pattern_is_a_folder(tmp_path, fill, png, uris):
    root = fill(tmp_path / "a[1]{b,c}", {"x.png": png()})
    assert uris(open_images(root)) == ["x.png"]
    assert uris(open_images(f"{root}")) == ["x.png"]


@pytest.mark.parametrize(
    "pattern, sentence",
    [
        ("*.jpeg", "nothing matches .*; check the pattern, and quote it"),
        ("{cat,cow}/1.png", "there is no file or folder .*cow"),
        ("**cat/*.png", "nothing matches|is not a pattern"),
        ("{0..99999999}.png", "stands for more than 100,000 names"),
    ],
)
def test_a_pattern_that_fits_nothing_says_so(photos, pattern, sentence):
    with pytest.raises(UsageError, match=sentence):
        open_images(f"{photos}/{pattern}")


def test_a_pattern_below_no_folder_names_the_folder(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError, match=r"photo; did you mean photos"):
        open_images(f"{tmp_path}/photo/*.png")


@pytest.mark.parametrize(
    "text, names",
    [
        ("a", ["a"]),
        ("{a,b}{1,2}", ["a1", "a2", "b1", "b2"]),
        ("{a,b{1,2}}", ["a", "b1", "b2"]),
        ("{9..11}", ["9", "10", "11"]),
        ("{009..11}", ["009", "010", "011"]),
        ("{a}", ["{a}"]),
        ("{3..1}", ["1", "2", "3"]),
    ],
)
def test_braces(text, names):
    assert sorted(expanded_braces(text)) == sorted(names)


@given(st.lists(st.sampled_from(["a", "b", "a#2", "a#3", "b#2"])))
def test_unique_uris_are_unique_and_keep_first_names(names):
    result = unique(names)
    assert len(set(result)) == len(result) == len(names)
    assert all(name.startswith(original) for name, original in zip(result, names, strict=True))
    assert set(names) <= set(result)


@given(st.binary(max_size=12))
def test_any_name_becomes_utf8_and_utf8_names_stay(name):
    text = name.decode("utf-8", "surrogateescape")
    uri_of(text).encode("utf-8")
    if text.encode("utf-8", "surrogatepass").decode("utf-8", "ignore") == text:
        assert uri_of(text) == text


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join), min_size=1))
def test_shared_folders_leave_a_folder_to_every_name(names):
    shared = shared_folders(names)
    assert all(name.startswith(shared) for name in names)
    assert not shared or all("/" in name[len(shared) :] for name in names)
