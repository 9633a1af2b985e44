import gzip
import io
import pickle
import tarfile

import pytest

from monoseme.base import MonosemeError, UsageError
from monoseme.images import BadImage, open_images


def test_a_plain_tar_of_class_folders(tmp_path, pack, png, uris, labels):
    members = {
        "dog/2.png": png(2),
        "./cat/1.png": png(1),
        "cat/notes.md": b"",
        "__MACOSX/cat/._1.png": b"x",
        "readme.txt": b"hi",
    }
    source = open_images(pack(tmp_path / "photos.tar", members))
    assert uris(source) == ["cat/1.png", "dog/2.png"]
    assert labels(source) == ["cat", "dog"]
    assert source.load(1).image.tobytes() == open_images_of(tmp_path, png(2))
    assert source.byte_size(0) == len(png(1))


def open_images_of(folder, data: bytes) -> bytes:
    (folder / "single.png").write_bytes(data)
    return open_images(folder / "single.png").load(0).image.tobytes()


def test_the_folder_that_a_tar_was_made_of_is_no_label(tmp_path, pack, png, labels):
    assert labels(open_images(pack(tmp_path / "a.tar", {"photos/cat/1.png": png(), "photos/dog/1.png": png()}))) == [
        "cat",
        "dog",
    ]
    assert (
        labels(open_images(pack(tmp_path / "b.tar", {"photos/1.png": png(), "photos/2.png": png()}))) == ["photos"] * 2
    )


def test_order_and_listing_do_not_depend_on_the_order_in_the_tar(tmp_path, pack, png, uris):
    names = {f"{place % 3}/{place}.png": png(place) for place in range(9)}
    forward = open_images(pack(tmp_path / "one/a.tar", names))
    backward = open_images(pack(tmp_path / "two/a.tar", dict(reversed(names.items()))))
    assert uris(forward) == uris(backward) == sorted(names)
    assert forward.digest() == backward.digest()
    assert [forward.load(place).digest for place in range(9)] == [backward.load(place).digest for place in range(9)]


def test_webdataset_labels_come_from_the_member_beside_the_image(tmp_path, pack, png, uris, labels):
    shard = {
        "000.png": png(), "000.cls": b"7\n",
        "001.png": png(), "001.txt": b"tabby cat",
        "002.png": png(), "002.json": b'{"label": "dog", "width": 3}',
        "003.png": png(), "003.json": b'{"cls": 4}', "003.txt": b"a caption",
        "004.png": png(), "004.txt": b"A long caption, that is no label: " + b"words " * 30,
        "005.png": png(), "005.json": b"{broken",
        "006.png": png(),
        "007.seg.png": png(), "007.cls": b"seven",
    }  # fmt: skip
    source = open_images(pack(tmp_path / "shard.tar", shard))
    assert uris(source) == [f"00{number}.png" for number in range(7)] + ["007.seg.png"]
    assert labels(source) == ["7", "tabby cat", "dog", "4", None, None, None, "seven"]


@pytest.mark.parametrize("pattern", ["shards-{00..02}.tar", "shards-*.tar", "", "*"])
def test_several_shards_in_each_way_to_name_them(tmp_path, pack, png, uris, labels, pattern):
    for number in range(3):
        pack(tmp_path / f"shards-{number:02}.tar", {f"{number}/x.png": png(number), f"{number}/x.cls": b"%d" % number})
    (tmp_path / "sizes.json").write_text("{}")
    source = open_images(f"{tmp_path}/{pattern}")
    assert uris(source) == ["shards-00.tar/0/x.png", "shards-01.tar/1/x.png", "shards-02.tar/2/x.png"]
    assert labels(source) == ["0", "1", "2"]
    assert len({source.load(place).digest for place in range(3)}) == 3


def test_a_shard_that_is_not_there_is_named(tmp_path, pack, png):
    pack(tmp_path / "s-0.tar", {"x.png": png()})
    with pytest.raises(UsageError, match=r"there is no file or folder .*s-1.tar"):
        open_images(f"{tmp_path}/s-{{0..1}}.tar")


def test_a_list_of_shards_in_python(tmp_path, pack, png, uris):
    paths = [pack(tmp_path / name / "x.tar", {"1.png": png()}) for name in "ab"]
    assert uris(open_images(paths)) == ["a/x.tar/1.png", "b/x.tar/1.png"]


def test_a_pickled_source_reads_on(tmp_path, pack, png):
    source = open_images(pack(tmp_path / "a.tar", {"x.png": png()}))
    source.load(0)
    copy = pickle.loads(pickle.dumps(source))
    source.close()
    assert copy.load(0).digest == source.load(0).digest


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar"])
def test_a_compressed_tar_is_refused_with_the_command_to_uncompress_it(tmp_path, pack, png, name):
    content = pack(tmp_path / "plain", {"x.png": png()}).read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content))
    with pytest.raises(
        UsageError, match=r"is compressed, so that single images in it cannot be reached; .*\(gunzip a\."
    ):
        open_images(tmp_path / name)


@pytest.mark.parametrize("keep", [700, 1400, 2100, 3000])
def test_a_tar_that_is_cut_off_is_an_error_and_not_a_shorter_listing(tmp_path, pack, noise, encode, keep):
    members = {f"{number}.bmp": encode(noise(number, 20, 10), "BMP") for number in range(3)}
    path = pack(tmp_path / "a.tar", members)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MonosemeError, match=r"a.tar is not a whole tar file .*; copy or download it again"):
        open_images(path)


def test_a_tar_damaged_in_the_middle_is_an_error(tmp_path, pack, png):
    path = pack(tmp_path / "a.tar", {"a.png": b"x" * 512, "b.png": png()})
    content = bytearray(path.read_bytes())
    content[1024:1100] = b"\xff" * 76
    path.write_bytes(content)
    with pytest.raises(MonosemeError, match=r"not a whole tar file .no header at byte 1,024"):
        open_images(path)


@pytest.mark.parametrize("content, sentence", [(b"", "the file is empty"), (b"hello" * 300, "not a whole tar file")])
def test_what_is_no_tar_says_so(tmp_path, content, sentence):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(MonosemeError, match=sentence):
        open_images(tmp_path / "a.tar")


def test_a_tar_without_images_says_so(tmp_path, pack):
    with pytest.raises(MonosemeError, match=r"^no images in a.tar: no member's name ends in a known suffix"):
        open_images(pack(tmp_path / "a.tar", {"notes.txt": b"hello"}))


def test_links_inside_a_tar_lead_to_their_image(tmp_path, png, uris):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        real = tarfile.TarInfo("cat/1.png")
        real.size = len(png())
        tar.addfile(real, io.BytesIO(png()))
        for name, kind, target in [
            ("dog/hard.png", tarfile.LNKTYPE, "cat/1.png"),
            ("dog/soft.png", tarfile.SYMTYPE, "../cat/1.png"),
            ("dog/out.png", tarfile.SYMTYPE, "/etc/passwd"),
        ]:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            tar.addfile(link)
    source = open_images(tmp_path / "a.tar")
    assert uris(source) == ["cat/1.png", "dog/hard.png", "dog/out.png", "dog/soft.png"]
    assert source.load(0).digest == source.load(1).digest == source.load(3).digest
    with pytest.raises(BadImage, match=r"a link to what is not in the tar file"):
        source.load(2)


def test_long_and_odd_member_names(tmp_path, pack, png, uris):
    names = ["d/" * 60 + "x.png", "caf\udce9.png", "../up.png"]
    assert sorted(uris(open_images(pack(tmp_path / "a.tar", dict.fromkeys(names, png()))))) == sorted(
        ["d/" * 60 + "x.png", "caf%E9.png", "../up.png"]
    )


def test_an_image_that_grew_shorter_under_the_listing_is_truncated(tmp_path, pack, png):
    path = pack(tmp_path / "a.tar", {"x.png": png()})
    source = open_images(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(BadImage, match=r"^truncated: the tar file ends"):
        source.load(0)
    path.unlink()
    with pytest.raises(BadImage, match=r"^vanished"):
        source.load(0)


def test_the_shared_caltech_tar(shared, labels):
    source = open_images(shared / "data/caltech101-160.tar")
    assert len(source) == 4798
    assert len(set(labels(source))) == 100
    assert None not in labels(source)
    loaded = source.load(4797)
    assert min(loaded.image.size) == 160
    assert min(source.load(4797, at_least=80).image.size) == 80
