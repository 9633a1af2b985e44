import os
import pickle
import sys

import pytest

from monoseme.base import MonosemeError, UsageError, digest_bytes
from monoseme.images import BadImage, open_images

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX file names and links")


def test_a_folder_is_listed_in_order_of_posix_paths_with_class_labels(tmp_path, fill, png, uris, labels):
    names = ["dog/2.png", "dog/10.png", "cat/close/1.png", "cat-b/1.PNG", "Zebra/1.jpeg"]
    source = open_images(fill(tmp_path, {name: png(place) for place, name in enumerate(names)}))
    assert uris(source) == ["Zebra/1.jpeg", "cat-b/1.PNG", "cat/close/1.png", "dog/10.png", "dog/2.png"]
    assert labels(source) == ["Zebra", "cat-b", "cat", "dog", "dog"]
    assert [source.entry(place).group for place in range(5)] == uris(source)
    assert source.byte_size(0) == len(png(4))


def test_a_flat_folder_has_no_labels(tmp_path, fill, png, uris, labels):
    source = open_images(str(fill(tmp_path, {"b.png": png(), "a.png": png()})))
    assert uris(source) == ["a.png", "b.png"]
    assert labels(source) == [None, None]


def test_the_order_does_not_depend_on_the_order_of_creation(tmp_path, fill, png, uris):
    names = [f"{folder}/{number}.png" for folder in "abc" for number in range(12)]
    forward = open_images(fill(tmp_path / "one", {name: png() for name in names}))
    backward = open_images(fill(tmp_path / "two", {name: png() for name in reversed(names)}))
    assert uris(forward) == uris(backward)
    assert forward.digest() == backward.digest()


def test_hidden_files_and_leavings_of_systems_are_passed_over(tmp_path, fill, png, uris):
    junk = [".hidden.png", "._a.png", ".cache/a.png", "__MACOSX/a.png", "Thumbs.db", "notes.txt", "x/.DS_Store"]
    assert uris(open_images(fill(tmp_path, {name: png() for name in [*junk, "a.png"]}))) == ["a.png"]


def test_loading_gives_pixels_digest_and_size(tmp_path, fill, png, noise):
    source = open_images(fill(tmp_path, {"a.png": png(3, 20, 10)}))
    loaded = source.load(0)
    assert loaded.image.tobytes() == noise(3, 20, 10).tobytes()
    assert (loaded.width, loaded.height) == source.size(0) == (20, 10)
    assert loaded.digest == digest_bytes(png(3, 20, 10))


def test_duplicates_have_equal_digests_and_others_do_not(tmp_path, fill, png):
    source = open_images(fill(tmp_path, {"a.png": png(1), "b/copy.png": png(1), "c.png": png(2)}))
    first, copy, other = (source.load(place).digest for place in range(3))
    assert first == copy != other


def test_the_digest_of_the_listing_tells_names_sizes_and_count(tmp_path, fill, png):
    root = fill(tmp_path, {"a.png": png(1, 8, 8), "b.png": png(2, 8, 8)})
    before = open_images(root).digest()
    assert open_images(root).digest() == before
    fill(root, {"b.png": png(2, 8, 9)})
    resized = open_images(root).digest()
    (root / "b.png").rename(root / "c.png")
    renamed = open_images(root).digest()
    fill(root, {"d.png": png()})
    assert len({before, resized, renamed, open_images(root).digest()}) == 4


def test_a_source_survives_pickling_and_a_change_of_folder(tmp_path, fill, png, monkeypatch, uris):
    fill(tmp_path / "photos", {"a.png": png()})
    monkeypatch.chdir(tmp_path)
    source = open_images("photos")
    monkeypatch.chdir("/")
    copy = pickle.loads(pickle.dumps(source))
    assert uris(copy) == uris(source)
    assert copy.digest() == source.digest()
    assert copy.load(0).digest == source.load(0).digest
    assert copy.spec == "photos"


def test_a_file_that_vanished_says_so(tmp_path, fill, png):
    source = open_images(fill(tmp_path, {"a.png": png(), "b.png": png()}))
    (tmp_path / "a.png").unlink()
    with pytest.raises(BadImage, match=r"^vanished since it was listed$"):
        source.load(0)
    assert source.load(1).image.mode == "RGB"


def test_a_folder_that_may_not_be_listed_says_so(tmp_path, fill, png, monkeypatch):
    root = fill(tmp_path, {"a.png": png(), "closed/b.png": png()})
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(MonosemeError, match=r"cannot list .*closed: permission denied"):
        open_images(root)


def test_a_path_that_cannot_be_looked_up_says_so(tmp_path, monkeypatch):
    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.stat", refuse)
    with pytest.raises(MonosemeError, match=r"^cannot look up .*: permission denied; ask for access"):
        open_images("/closed/photos")


def test_permission_denied_is_a_reason(tmp_path, fill, png, monkeypatch):
    source = open_images(fill(tmp_path, {"a.png": png()}))

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(BadImage, match=r"^permission denied$"):
        source.load(0)


@POSIX
def test_links_are_followed_but_not_in_circles(tmp_path, fill, png, uris):
    fill(tmp_path, {"elsewhere/x.png": png(), "photos/a/1.png": png()})
    (tmp_path / "photos/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/a/up").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/c.png").symlink_to(tmp_path / "elsewhere/x.png")
    assert uris(open_images(tmp_path / "photos")) == ["a/1.png", "b/x.png", "c.png"]


@POSIX
def test_a_link_that_leads_nowhere_is_told_of_and_a_pipe_is_not_waited_for(tmp_path, fill, png, uris):
    root = fill(tmp_path, {"a.png": png()})
    (root / "broken.png").symlink_to("nowhere.png")
    os.mkfifo(root / "pipe.png")
    source = open_images(root)
    assert uris(source) == ["a.png", "broken.png"]
    with pytest.raises(BadImage, match=r"^no such file$"):
        source.load(1)
    listed = fill(root, {"list.txt": b"pipe.png\na.png\n"}) / "list.txt"
    with pytest.raises(BadImage, match=r"^not a regular file$"):
        open_images(listed).load(0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes as a name")
def test_names_that_are_not_utf8_become_distinct_utf8_uris(tmp_path, png, uris, labels):
    names = [b"caf\xe9/1.png", b"caf\xe9/100%.png", "café/1.png".encode()]
    for name in names:
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png())
    source = open_images(tmp_path)
    assert uris(source) == ["caf%E9/1.png", "caf%E9/100%25.png", "café/1.png"]
    assert all(uri.encode() for uri in uris(source))
    assert labels(source) == ["caf%E9", "caf%E9", "café"]
    assert all(source.load(place).image for place in range(3))
    assert pickle.loads(pickle.dumps(source)).load(0).digest == source.load(0).digest


@POSIX
def test_names_with_control_characters_are_kept(tmp_path, fill, png, uris):
    source = open_images(fill(tmp_path, {"a\nb.png": png(), "tab\t.png": png()}))
    assert uris(source) == ["a\nb.png", "tab\t.png"]
    assert source.load(0).image.size == (24, 16)


def test_an_empty_folder_says_what_is_looked_for(tmp_path):
    with pytest.raises(
        MonosemeError, match=r"^no images in .*: it is empty; files that end in \.jpg, \.png, .* are looked for"
    ):
        open_images(tmp_path)


def test_a_folder_without_images_says_what_was_passed_over(tmp_path, fill):
    fill(tmp_path, {"a.mp4": b"", "b.mp4": b"", "notes.txt": b"", "README": b""})
    with pytest.raises(MonosemeError, match=r"4 other files were passed over \(\.mp4 2, "):
        open_images(tmp_path)


def test_a_folder_that_is_not_there_offers_its_neighbours(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError, match=r"^there is no file or folder .*photoss; did you mean photos[?]$"):
        open_images(tmp_path / "photoss")
    with pytest.raises(UsageError, match=r"^there is no file or folder .*; check the path$"):
        open_images(tmp_path / "zzz" / "deeper")


def test_errors_show_strange_names_escaped(tmp_path):
    with pytest.raises(UsageError, match=r"there is no file or folder '.*a\\nb'") as caught:
        open_images(tmp_path / "a\nb")
    assert str(caught.value).isprintable()


def test_a_single_image_is_a_listing_of_one(tmp_path, fill, png, uris):
    fill(tmp_path, {"cat/a.png": png(), "cat/without_suffix": png(), "cat/notes.md": b"# hello"})
    assert uris(open_images(tmp_path / "cat/a.png")) == ["a.png"]
    assert uris(open_images(tmp_path / "cat/without_suffix")) == ["without_suffix"]
    with pytest.raises(UsageError, match=r"notes.md cannot be used as images \(not an image"):
        open_images(tmp_path / "cat/notes.md")


@pytest.mark.parametrize("spec", ["", "  ", "s3://bucket/photos", "https://example.org/a.jpg"])
def test_what_is_not_on_this_machine_or_nothing_is_refused(spec):
    with pytest.raises(UsageError, match=r"no images are named|is not on this machine; download it"):
        open_images(spec)


def test_a_saved_data_set_given_as_a_folder_is_recognised(tmp_path, fill):
    fill(tmp_path, {"dataset_info.json": b"{}", "state.json": b"{}", "data-00000-of-00001.arrow": b""})
    with pytest.raises(UsageError, match=r"looks like a saved Hugging Face data set; write hf:"):
        open_images(tmp_path)
