"""Folders of concepts' images: what is in them, that TCAV's readers read them, and what hostile names do."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import monoseme as ms
from monoseme.use import MANIFEST, _folders, _sets


@pytest.fixture(scope="module")
def bank(small_run) -> ms.ConceptBank:
    return ms.disentangle(small_run.activations("3"), "published", top=16, distance_threshold=1.0, min_size=3)


@pytest.fixture(scope="module")
def neuron(bank) -> int:
    """One with several concepts and something dropped."""
    for direction in bank.directions.tolist():
        if len(bank.for_direction(direction)) > 1 and bank.exemplars_of(direction)["concept"].null_count > 1:
            return direction
    raise AssertionError("the test needs another threshold")


def folders_of(out: Path) -> dict[str, dict]:
    return {each["folder"]: each for each in json.loads((out / MANIFEST).read_text("utf-8"))["folders"]}


def bytes_of(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_a_concepts_folder_holds_its_exemplars_strongest_first_byte_for_byte(bank, small_run, neuron, photos, tmp_path):
    out = ms.export_images(bank, small_run, tmp_path / "out", directions=[neuron])
    for concept in bank.for_direction(neuron):
        folder = out / f"neuron-{neuron}_concept-{concept.number}"
        uris = small_run.images(concept.image_ids, ["uri"])["uri"].to_pylist()
        copied = [path.read_bytes() for path in sorted(folder.iterdir())]
        assert copied == [(photos / uri).read_bytes() for uri in uris]
    listed = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    named = {f"{name}/{file['file']}" for name, each in folders_of(out).items() for file in each["files"]}
    assert listed == named | {MANIFEST}
    assert {path.name for path in out.iterdir() if path.is_dir()} == set(folders_of(out))


def test_file_names_say_place_label_and_image(bank, small_run, neuron, tmp_path):
    out = ms.export_images(bank, small_run, tmp_path / "out", directions=[neuron], random_sets=0)
    concept = bank.for_direction(neuron)[0]
    labels = small_run.images(concept.image_ids, ["label"])["label"].to_pylist()
    assert sorted(path.name for path in (out / f"neuron-{neuron}_concept-{concept.number}").iterdir()) == [
        f"{place:03d}_{label}_{image}.jpg"
        for place, (label, image) in enumerate(zip(labels, concept.image_ids, strict=True))
    ]


def test_dropped_images_are_the_exemplars_of_no_concept(bank, small_run, neuron, tmp_path):
    out = ms.export_images(bank, small_run, tmp_path / "out", directions=[neuron], random_sets=0)
    rows = bank.exemplars_of(neuron).to_pylist()
    found = [file["image_id"] for file in folders_of(out)[f"neuron-{neuron}_dropped"]["files"]]
    assert found == [row["image_id"] for row in rows if row["concept"] is None]
    without = ms.export_images(bank, small_run, tmp_path / "b", directions=[neuron], random_sets=0, dropped=False)
    assert set(folders_of(out)) - set(folders_of(without)) == {f"neuron-{neuron}_dropped"}


def test_random_sets_are_as_large_without_exemplars_and_without_copies(bank, small_run, neuron, tmp_path):
    out = ms.export_images(bank, small_run, tmp_path / "out", directions=[neuron], random_sets=3)
    exemplars = set(bank.exemplars_of(neuron)["image_id"].to_pylist())
    taken = set(small_run.images(sorted(exemplars), ["digest"])["digest"].to_pylist())
    sets = {}
    for name, each in folders_of(out).items():
        if each["role"] == "random":
            digests = [file["digest"] for file in each["files"]]
            assert len(digests) == bank[each["concept"]].size
            assert len(set(digests)) == len(digests)
            assert not taken & set(digests)
            sets[name] = tuple(digests)
    assert len(sets) == 3 * len(bank.for_direction(neuron))
    assert len(set(sets.values())) == len(sets)


def test_copies_of_exemplars_are_never_random_images(bank, small_run):
    digests = small_run.images(columns=["digest"])["digest"].to_pylist()
    copies = [number for number, digest in enumerate(digests) if digests.count(digest) == 2]
    contents = _sets._contents(small_run)
    assert len(copies) == 2
    for exemplar in copies:
        pool = _sets._others(contents, np.array([exemplar]))
        assert sorted({*range(61)} - {*pool.tolist()}) == copies
    assert len(_sets._others(contents, np.array([], dtype=np.int64))) == 60


def test_equal_seeds_give_equal_bytes_and_a_concepts_sets_do_not_depend_on_the_others(
    bank, small_run, neuron, tmp_path
):
    first = ms.export_images(bank, small_run, tmp_path / "a", directions=[neuron], seed=4)
    again = ms.export_images(bank, small_run, tmp_path / "b", directions=[neuron], seed=4)
    assert bytes_of(first) == bytes_of(again)
    alone = bank.for_direction(neuron)[-1].number
    single = ms.export_images(bank, small_run, tmp_path / "c", concepts=[alone], seed=4)
    assert all(bytes_of(first)[name] == content for name, content in bytes_of(single).items() if name != MANIFEST)
    other = ms.export_images(bank, small_run, tmp_path / "d", concepts=[alone], seed=5)
    name = f"neuron-{neuron}_concept-{alone}_random-0"
    assert folders_of(other)[name]["files"] != folders_of(single)[name]["files"]


def test_most_takes_the_strongest_of_each_folder(bank, small_run, neuron, tmp_path):
    out = ms.export_images(bank, small_run, tmp_path / "out", directions=[neuron], most=2)
    for each in folders_of(out).values():
        assert len(each["files"]) == 2
        if each["role"] == "concept":
            assert [file["image_id"] for file in each["files"]] == bank[each["concept"]].image_ids[:2].tolist()


def test_without_a_choice_the_most_telling_directions_are_exported(bank, small_run, tmp_path):
    out = ms.export_images(bank, small_run, tmp_path / "out", random_sets=0)
    assert list(dict.fromkeys(each["direction"] for each in folders_of(out).values())) == bank.most_split(5)


def test_the_manifest_says_where_all_comes_from_and_names_no_place_on_this_machine(
    bank, small_run, neuron, photos, tmp_path
):
    out = ms.export_images(bank, small_run, tmp_path / "out", directions=[neuron], seed=3)
    text = (out / MANIFEST).read_text("utf-8")
    manifest = json.loads(text)
    assert manifest["bank"]["activations"]["listing_digest"] == small_run.manifest.images["digest"]
    assert (manifest["bank"]["layer"], manifest["bank"]["parameters"]["top"], manifest["seed"]) == ("3", 16, 3)
    for each in manifest["folders"]:
        assert each["key"] == (None if each["concept"] is None else bank[each["concept"]].key)
        ids = [file["image_id"] for file in each["files"]]
        assert all(file["original"] for file in each["files"])
        facts = small_run.images(ids, ["uri", "digest", "label"]).to_pylist()
        assert [{key: file[key] for key in facts[0]} for file in each["files"]] == facts
    assert str(photos) not in text
    assert str(small_run.path) not in text


def test_moved_images_are_copied_from_where_they_are_and_changed_ones_stop_everything(
    bank, small_run, neuron, photos, tmp_path
):
    moved = tmp_path / "moved"
    shutil.copytree(photos, moved)
    here = ms.export_images(bank, small_run, tmp_path / "a", directions=[neuron])
    there = ms.export_images(bank, small_run, tmp_path / "b", directions=[neuron], images=moved)
    assert bytes_of(here) == bytes_of(there)
    uri = small_run.images(bank.for_direction(neuron)[0].image_ids[-1:], ["uri"])["uri"][0].as_py()
    (moved / uri).write_bytes((photos / "plain" / "000.jpg").read_bytes() + b"x")
    with pytest.raises(ms.MonosemeError, match=f"{uri} has changed"):
        ms.export_images(bank, small_run, tmp_path / "c", directions=[neuron], images=moved)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "moved"]


def test_patches_are_written_as_png_of_their_pixels(photos, small_model, tmp_path):
    source = ms.open_images(photos, patches_per_image=2)
    run = ms.embed(small_model, source, ["3"], tmp_path / "run", workers=0)
    bank = ms.disentangle(run.activations(), "published", top=16, distance_threshold=1.0, min_size=3)
    out = ms.export_images(bank, run, tmp_path / "out", images=source)
    places = {source.entry(place).uri: place for place in range(len(source))}
    files = [(name, file) for name, each in folders_of(out).items() for file in each["files"]]
    for name, file in files:
        assert file["file"].endswith(".png")
        assert not file["original"]
        written = np.asarray(Image.open(out / name / file["file"]))
        np.testing.assert_array_equal(written, np.asarray(source.load(places[file["uri"]]).image))
    assert len(files) > 10


@pytest.mark.parametrize("kind", ["turned", "transparent", "deep"])
def test_a_plain_reader_sees_what_was_embedded_also_of_unusual_files(small_run, kind, tmp_path):
    from monoseme.images import as_file, open_images

    random = np.random.default_rng(0)
    path = tmp_path / f"{kind}.png"
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        path = tmp_path / "turned.jpg"
        Image.fromarray(random.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(path, exif=exif)
    elif kind == "transparent":
        Image.fromarray(random.integers(0, 255, (20, 30, 4), dtype=np.uint8)).save(path)
    else:
        Image.fromarray(random.integers(0, 65535, (20, 30), dtype=np.uint16)).save(path)
    source = open_images(path)
    image = source.load(0).image
    content, suffix = as_file(image, source.encoded(0))
    (tmp_path / f"out{suffix}").write_bytes(content)
    assert suffix == ".png"
    assert content != path.read_bytes()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png").convert("RGB")), np.asarray(image))


@pytest.mark.parametrize(
    ("form", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("GIF", ".gif"), ("TIFF", ".tif")]
)
def test_the_suffix_is_the_contents_not_the_names(form, suffix, tmp_path):
    from monoseme.images import as_file, open_images

    path = tmp_path / "a.bmp"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)).save(path, form)
    source = open_images(path)
    assert as_file(source.load(0).image, source.encoded(0)) == (path.read_bytes(), suffix)


HOSTILE = [
    "../../etc",
    "CON",
    "trailing. . .",
    "a\u202eb\u2066c",
    "\x00nul",
    "x" * 10_000,
    "猫",
    "<b>&'\"|?*:",
    "",
    "-",
    "a/b\\c",
]


def test_hostile_labels_and_uris_reach_no_file_name(small_model, tmp_path):
    class Images:
        classes = HOSTILE

        def __len__(self):
            return 66

        def __getitem__(self, number):
            random = np.random.default_rng(number)
            pixels = random.integers(0, 80, (32, 32, 3)) + random.integers(0, 170, 3)
            return Image.fromarray(pixels.astype(np.uint8)), number % len(HOSTILE)

    run = ms.embed(small_model, Images(), ["3"], tmp_path / "run", workers=0)
    bank = ms.disentangle(run.activations(), "published", top=24, distance_threshold=0.5, min_size=2)
    out = ms.export_images(bank, run, tmp_path / "deep" / "er" / "out", images=Images())
    names = [path.name for path in out.rglob("*")]
    assert len(names) > 30
    assert all(name.isascii() and len(name) < 80 for name in names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") for name in names)
    assert all(name.count(".") <= 1 and name[0].isalnum() and name[-1].isalnum() for name in names)
    assert sorted(path.name for path in (tmp_path / "deep" / "er").iterdir()) == ["out"]
    labels = {file["label"] for each in folders_of(out).values() for file in each["files"]}
    assert labels >= {"../../etc", "\x00nul", "x" * 10_000}


def test_labels_as_parts_of_names():
    assert [_folders.short(label) for label in HOSTILE] == [
        "etc", "CON", "trailing", "abc", "nul", "x" * 40, "", "b", "", "", "a-b-c",
    ]  # fmt: skip


def test_what_is_there_is_kept_unless_it_is_an_export_to_be_replaced(bank, small_run, neuron, tmp_path):
    out = ms.export_images(bank, small_run, tmp_path / "out", directions=[neuron])
    before = bytes_of(out)
    with pytest.raises(ms.UsageError, match="exists already"):
        ms.export_images(bank, small_run, out, directions=[neuron])
    ms.export_images(bank, small_run, out, directions=[neuron], random_sets=0, overwrite=True)
    assert len(bytes_of(out)) < len(before)
    for place, content in ((tmp_path / "thesis", "mine"), (tmp_path / "other", '{"kind": "mine"}')):
        place.mkdir()
        (place / MANIFEST).write_text(content)
        with pytest.raises(ms.UsageError, match="is not an export"):
            ms.export_images(bank, small_run, place, directions=[neuron], overwrite=True)
        assert (place / MANIFEST).read_text() == content
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ms.UsageError, match="is not an export"):
        ms.export_images(bank, small_run, tmp_path / "file", directions=[neuron], overwrite=True)


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_what_stops_midway_leaves_the_old_export_whole(bank, small_run, neuron, tmp_path, monkeypatch, failure):
    out = ms.export_images(bank, small_run, tmp_path / "out", directions=[neuron])
    before, write, count = bytes_of(out), Path.write_bytes, iter(range(10_000))

    def failing(path: Path, content: bytes) -> int:
        if next(count) == 5:
            raise failure
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", failing)
    stopped = isinstance(failure, KeyboardInterrupt)
    expected = (
        pytest.raises(KeyboardInterrupt) if stopped else pytest.raises(ms.MonosemeError, match="the disk is full")
    )
    with expected:
        ms.export_images(bank, small_run, out, directions=[neuron], seed=9, overwrite=True)
    assert bytes_of(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_that_may_not_be_written_is_told_of(bank, small_run, neuron, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ms.MonosemeError, match="a part of the path is a file"):
        ms.export_images(bank, small_run, tmp_path / "file" / "out", directions=[neuron])


def test_what_cannot_be_exported_is_a_sentence(bank, small_run, layer, tmp_path):
    def export(**options):
        return ms.export_images(bank, small_run, tmp_path / "out", **options)

    with pytest.raises(ms.UsageError, match="direction 99 was not split"):
        export(directions=[99])
    with pytest.raises(ms.UsageError, match="there is no concept 9999"):
        export(concepts=[9999])
    with pytest.raises(ms.UsageError, match="nothing to export"):
        export(directions=[])
    with pytest.raises(ms.UsageError, match="random_sets must be"):
        export(random_sets=-1)
    with pytest.raises(ms.UsageError, match="most must be"):
        export(most=0)
    with pytest.raises(ms.UsageError, match="was not made from"):
        ms.export_images(ms.disentangle(layer, "published", top=20), small_run, tmp_path / "out")
    wide = ms.disentangle(
        small_run.activations("3"), "published", top=50, distance_threshold=9.0, outlier_threshold=99.0
    )
    with pytest.raises(ms.UsageError, match=r"could be drawn at random .* but concept 0 has 50"):
        ms.export_images(wide, small_run, tmp_path / "out", concepts=[0])
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Using default classifier for TCAV")
@pytest.mark.filterwarnings("ignore:Creating a tensor from a list of numpy.ndarrays")
def test_captum_reads_an_export_as_it_was_embedded_and_trains_on_it(bank, small_run, neuron, small_model, tmp_path):
    import torch
    from captum.concept import TCAV, Concept
    from captum.concept._utils.data_iterator import CustomIterableDataset, dataset_to_dataloader

    out = ms.export_images(bank, small_run, tmp_path / "out", directions=[neuron])

    def read(path: str) -> torch.Tensor:
        with Image.open(path) as image:
            pixels = small_model.preprocess.pixels(image.convert("RGB"))
        return small_model.preprocess.tensor(pixels[None])[0]

    concepts = {}
    for name, each in folders_of(out).items():
        files = CustomIterableDataset(read, f"{out / name}/")
        concepts[name] = Concept(len(concepts), name, dataset_to_dataloader(files))
        with torch.no_grad():
            maps = small_model.module[:4](torch.cat(list(concepts[name].data_iter)))
        found = maps.mean((2, 3)).numpy()
        embedded = small_run.activations("3")[[file["image_id"] for file in each["files"]]]
        assert found.shape == embedded.shape  # in the order of the file system, which is none
        np.testing.assert_allclose(np.sort(found, axis=0), np.sort(embedded, axis=0), atol=2e-3)
    first = f"neuron-{neuron}_concept-{bank.for_direction(neuron)[0].number}"
    tcav = TCAV(small_model.module, ["3"], save_path=str(tmp_path / "cav"))
    [cavs] = tcav.compute_cavs([[concepts[first], concepts[f"{first}_random-0"]]], force_train=True).values()
    weights = cavs["3"].stats["weights"]
    assert weights.shape[0] == 2
    assert torch.isfinite(weights).all()


def test_the_original_tcav_reads_an_export(bank, small_run, neuron, tmp_path):
    """Its reader in a few lines (activation_generator.py): all that a folder lists is opened, and two images are needed."""
    out = ms.export_images(bank, small_run, tmp_path / "out", directions=[neuron])
    names = [name for name, each in folders_of(out).items() if each["role"] != "dropped"]
    randoms = [name for name in names if "_random-" in name]
    assert len(randoms) >= 2 * len(bank.for_direction(neuron))
    for name in names:
        images = [
            np.asarray(Image.open(path).convert("RGB").resize((299, 299), Image.Resampling.BILINEAR), np.float32) / 255
            for path in (out / name).iterdir()
        ]
        assert len(images) == len(folders_of(out)[name]["files"]) > 1
        assert {image.shape for image in images} == {(299, 299, 3)}


def test_the_room_loads_no_torch(tmp_path):
    code = "import sys, monoseme.use; print('torch' in sys.modules, 'lance' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
