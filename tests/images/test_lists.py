import pickle
from pathlib import Path

import pytest

from monoseme.base import MonosemeError, UsageError
from monoseme.images import BadImage, open_images


@pytest.fixture
def photos(tmp_path, fill, png):
    return fill(tmp_path, {"cat/1.png": png(1), "dog/2.png": png(2), "odd": png(3)})


def test_a_text_list_keeps_its_order_and_labels(photos, fill, uris, labels):
    text = "# my photos\n\ndog/2.png\tdog\n./cat/1.png \t  house cat \r\nodd\n"
    source = open_images(fill(photos, {"lists/../list.txt": text.encode()}) / "list.txt")
    assert uris(source) == ["dog/2.png", "cat/1.png", "odd"]
    assert labels(source) == ["dog", "house cat", None]
    assert source.load(2).image.size == (24, 16)
    assert pickle.loads(pickle.dumps(source)).load(0).digest == source.load(0).digest


def test_paths_are_relative_to_the_list_or_absolute(photos, fill, uris):
    text = f"../dog/2.png\n{photos / 'cat/1.png'}\n{photos / 'lists/3.png'}\n"
    fill(photos, {"lists/list.txt": text.encode(), "lists/3.png": (photos / "odd").read_bytes()})
    source = open_images(photos / "lists/list.txt")
    assert uris(source) == ["../dog/2.png", (photos / "cat/1.png").as_posix(), "3.png"]
    assert all(source.load(place).width == 24 for place in range(3))


def test_an_image_listed_twice_counts_twice_under_two_names(photos, fill, uris):
    source = open_images(fill(photos, {"list.txt": b"odd\nodd\n"}) / "list.txt")
    assert uris(source) == ["odd", "odd#2"]
    assert source.load(0).digest == source.load(1).digest


def test_a_listed_file_that_is_missing_is_an_entry_with_a_reason(photos, fill):
    source = open_images(fill(photos, {"list.txt": b"nowhere.png\nodd\n"}) / "list.txt")
    assert len(source) == 2
    with pytest.raises(BadImage, match=r"^no such file$"):
        source.load(0)


@pytest.mark.parametrize(
    "name, text",
    [
        ("list.csv", 'path,label\ncat/1.png,cat\n"dog/2.png","dog, brown"\n'),
        ("list.csv", '\ufeffid,Label,file_name\n7,cat,cat/1.png\n8,"dog, brown",dog/2.png\n,,\n'),
        ("list.tsv", "label\tpath\ncat\tcat/1.png\ndog, brown\tdog/2.png\n"),
    ],
)
def test_tables_have_a_header(photos, fill, uris, labels, name, text):
    source = open_images(fill(photos, {name: text.encode()}) / name)
    assert uris(source) == ["cat/1.png", "dog/2.png"]
    assert labels(source) == ["cat", "dog, brown"]


@pytest.mark.parametrize(
    "name, content, sentence",
    [
        ("list.txt", b"# nothing\n", "^no images in .*list.txt: the list is empty; write a path a line$"),
        ("list.csv", b"", "the list is empty"),
        ("list.csv", b"path\n", "the list is empty"),
        (
            "list.txt",
            b"x.png\ny.png\n",
            "none of the 2 files that it names exists .the first is x.png.; paths are relative",
        ),
        ("list.csv", b"paths,label\nodd,a\n", "has no column named path .it has paths, label.; did you mean paths"),
        ("list.csv", b"a;b\n", "name the column of file names path"),
        ("list.txt", b"\x89PNG\0\0", "is not a list of images: it is not text"),
    ],
)
def test_a_list_that_cannot_be_used_says_why(photos, fill, name, content, sentence):
    with pytest.raises(MonosemeError, match=sentence):
        open_images(fill(photos, {name: content}) / name)


def test_names_in_a_list_may_be_impossible(photos, fill):
    source = open_images(fill(photos, {"list.txt": b"odd\n" + b"x" * 5000 + b".png\n"}) / "list.txt")
    with pytest.raises(BadImage):
        source.load(1)


def test_paths_in_python_keep_their_order_and_take_class_folders(photos, uris, labels):
    source = open_images([photos / "odd", str(photos / "dog/2.png"), photos / "cat/1.png"])
    assert uris(source) == ["odd", "dog/2.png", "cat/1.png"]
    assert labels(source) == [None, "dog", "cat"]


def test_lists_in_python_that_cannot_be_used(photos):
    with pytest.raises(UsageError, match=r"the list of paths is empty"):
        open_images([])
    with pytest.raises(UsageError, match=r"is a folder, and a list of paths must name files"):
        open_images([photos])
    with pytest.raises(UsageError, match=r"there is no file or folder"):
        open_images([Path("nowhere.png")])
