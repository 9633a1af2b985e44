"""Embeddings from elsewhere: each format gives the same run, mismatches are sentences, kills leave nothing that looks whole."""

import random
import signal
import subprocess
import sys
import textwrap
import time

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import monoseme as ms
from monoseme.runs._import import _arrays, _run

N, C = 700, 6


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(N, C)).astype(np.float32)


@pytest.fixture(scope="module")
def names() -> list[str]:
    return [f"class-{row % 3}/{row:04d}.png" for row in range(N)]


def write(path, kind: str, matrix: np.ndarray, names: list[str]):
    """The matrix, and where the format can hold them the names, in a file; in pieces as large files are."""
    if kind in ("npy", "fortran", "swapped"):
        stored = {
            "npy": matrix,
            "fortran": np.asfortranarray(matrix),
            "swapped": matrix.astype(matrix.dtype.newbyteorder()),
        }
        with path.open("wb") as file:  # a path would get a suffix
            np.save(file, stored[kind])
    elif kind == "safetensors":
        save_file({"features": torch.from_numpy(matrix), "steps": torch.arange(3)}, path)
    elif kind in ("hdf5", "chunked"):
        with h5py.File(path, "w") as file:
            options = {"chunks": (100, 2), "compression": "gzip"} if kind == "chunked" else {}
            file.create_dataset("model/features", data=matrix, **options)
            file["paths"] = names
            file["model/steps"] = np.arange(5)
    else:
        lists = pa.array(list(matrix), pa.list_(pa.from_numpy_dtype(matrix.dtype)))
        if kind == "fixed":
            lists = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), C)
        table = pa.table({"filename": names, "features": lists, "score": np.zeros(len(names))})
        pq.write_table(table, path, row_group_size=len(names) if kind == "one group" else 110, data_page_size=1000)
    return path


KINDS = ["npy", "fortran", "swapped", "safetensors", "hdf5", "chunked", "lists", "fixed", "one group"]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_embeddings_back_in_their_own_precision(
    kind, dtype, matrix, names, tmp_path, monkeypatch
):
    monkeypatch.setattr(_arrays, "BLOCK_BYTES", 64 * 4 * C)  # several blocks, several commits
    monkeypatch.setattr(_run, "COMMIT_ROWS", 130)
    given = matrix.astype(dtype)
    keeps = kind not in ("npy", "fortran", "swapped", "safetensors")
    path = write(tmp_path / "acts", kind, given, names)
    run = ms.import_run(path, tmp_path / "run", layer="fc", ids=None if keeps else names)
    acts = run.activations("fc")
    assert acts.dtype == dtype
    np.testing.assert_array_equal(acts[:], given)
    assert run.images(columns=["uri"])["uri"].to_pylist() == names
    assert ms.verify_run(run.path) == []


def test_wider_and_narrower_numbers_become_float32(matrix, tmp_path):
    np.save(tmp_path / "a.npy", matrix.astype(np.float64))
    save_file({"x": torch.from_numpy(matrix).bfloat16()}, tmp_path / "b.safetensors")
    double = ms.import_run(tmp_path / "a.npy", tmp_path / "double").activations()
    short = ms.import_run(tmp_path / "b.safetensors", tmp_path / "short").activations()
    np.testing.assert_array_equal(double[:], matrix)
    np.testing.assert_array_equal(short[:], torch.from_numpy(matrix).bfloat16().float().numpy())
    assert (double.name, short.name, short.dtype) == ("a", "x", np.float32)


def test_parts_follow_each_other_by_the_numbers_in_their_names(matrix, tmp_path):
    (tmp_path / "parts").mkdir()
    for number, part in enumerate(np.array_split(matrix, 12)):
        np.save(tmp_path / "parts" / f"features_{number}.npy", part)
    for number, source in enumerate((tmp_path / "parts", tmp_path / "parts" / "features_*.npy")):
        run = ms.import_run(source, tmp_path / f"run{number}", layer="fc")
        np.testing.assert_array_equal(run.activations()[:], matrix)


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "NLC"])
@pytest.mark.parametrize("kind", ["npy", "hdf5", "lists"])
def test_maps_and_tokens_are_refused_or_pooled_as_asked(kind, layout, pooling, tmp_path):
    shape, axes = {"NCHW": ((40, 5, 2, 3), (2, 3)), "NHWC": ((40, 2, 3, 5), (1, 2)), "NLC": ((40, 7, 5), (1,))}[layout]
    maps = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    path = tmp_path / "maps"
    if kind == "lists":
        pq.write_table(pa.table({"maps": pa.array(maps.tolist())}), path)
    else:
        write(path, kind, maps, [str(row) for row in range(40)])
    with pytest.raises(
        ms.UsageError, match="each image needs one vector; pool them with --pooling mean or --pooling max"
    ):
        ms.import_run(path, tmp_path / "run")
    run = ms.import_run(path, tmp_path / "run", layer="conv", pooling=pooling, layout=layout)
    np.testing.assert_allclose(run.activations()[:], getattr(maps, pooling)(axes), rtol=1e-6, atol=1e-7)
    assert (run.columns()[0].layout, run.columns()[0].pooling) == (layout, pooling)


def test_an_imported_run_is_split_scored_and_labelled_like_any_other(layer, tmp_path):
    labels = [f"label {row % 4}" for row in range(len(layer))]
    run = ms.import_run(layer, tmp_path / "run", layer="fc", labels=labels)
    splitter = {"top": 40, "distance_threshold": 3.0, "min_size": 3}
    bank, plain = (ms.disentangle(acts, "published", **splitter) for acts in (run.activations("fc"), layer))
    np.testing.assert_array_equal(bank.vectors, plain.vectors)
    assert bank.exemplars.equals(plain.exemplars)
    assert run.labels().names == tuple(sorted(set(labels)))
    assert len(ms.evaluate(bank, run.activations("fc"), labels=run.labels()).figures) > 3
    with pytest.raises(ms.MonosemeError, match=r"holds no thumbnails \(it was imported without images\)"):
        run.thumbnails([0])


def test_images_are_found_by_path_by_its_end_and_without_suffix(small_run, photos, tmp_path):
    acts = small_run.activations("3")[:]
    uris = small_run.images(columns=["uri"])["uri"].to_pylist()
    order = np.random.default_rng(0).permutation(len(uris))[:50]
    shuffled = [uris[row] for row in order]
    written = {
        "whole": shuffled,
        "longer": [f"/data/elsewhere/{uri}" for uri in shuffled],
        "end": [uri.split("/")[-1] for uri in shuffled],
        "bare": [uri.removesuffix(".jpg") for uri in shuffled],
    }
    for name, ids in written.items():
        run = ms.import_run(acts[order], tmp_path / name, layer="3", ids=ids, images=photos, workers=0)
        found, expected = (
            run._lance.to_table(),
            small_run.images(order, ["uri", "digest", "label", "width", "thumbnail"]),
        )
        for column in expected.column_names:
            assert found[column].to_pylist() == expected[column].to_pylist()
        np.testing.assert_array_equal(run.activations()[:], acts[order])
        assert ms.verify_run(run.path) == []
    first = ms.runs.originals(run).load([0, 49])
    assert [each.size for each in first] == [(48, 40), (48, 40)]


def test_rows_in_the_order_of_the_images_need_no_names(small_run, photos, tmp_path):
    acts = small_run.activations("3")[:]
    run = ms.import_run(acts, tmp_path / "run", layer="3", images=photos, in_order=True, workers=0)
    assert run.images(columns=["uri", "digest", "label"]).equals(small_run.images(columns=["uri", "digest", "label"]))
    assert [each.size for each in run.thumbnails([3])] == [each.size for each in small_run.thumbnails([3])]
    with pytest.raises(ms.UsageError, match="lists 61 images, but the embeddings have 60 rows"):
        ms.import_run(acts[:60], tmp_path / "other", images=photos, in_order=True)


def test_an_image_that_cannot_be_decoded_is_set_aside_with_its_row(tmp_path, matrix):
    (tmp_path / "photos").mkdir()
    for number in range(8):
        Image.new("RGB", (9, 7), (number * 30, 0, 0)).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "3.png").write_bytes(b"no image")
    ids = [f"{number}.png" for number in range(7, -1, -1)]
    run = ms.import_run(matrix[:8], tmp_path / "run", layer="fc", ids=ids, images=tmp_path / "photos", workers=0)
    np.testing.assert_array_equal(run.activations()[:], np.delete(matrix[:8], 4, axis=0))
    assert run.quarantined().select(["entry", "uri"]).to_pylist() == [{"entry": 4, "uri": "3.png"}]
    assert ms.verify_run(run.path) == []
    more = ms.import_run({"b": matrix[:8] * 2}, tmp_path / "run", ids=ids)
    np.testing.assert_array_equal(more.activations("b")[:], np.delete(matrix[:8] * 2, 4, axis=0))


def test_layers_of_several_files_and_keys_are_checked_to_be_of_the_same_images(matrix, names, tmp_path):
    one, two = tmp_path / "one.parquet", tmp_path / "two.h5"
    write(one, "lists", matrix, names)
    write(two, "hdf5", matrix[:, :3], names)
    run = ms.import_run({"a": one, "b": (two, "model/features")}, tmp_path / "run")
    np.testing.assert_array_equal(run.activations("b")[:], matrix[:, :3])
    write(tmp_path / "c.parquet", "lists", matrix[:, :2], names)
    later = ms.import_run({"c": tmp_path / "c.parquet"}, tmp_path / "run")  # named by a column of the file
    assert later.layers == ("a", "b", "c")
    np.testing.assert_array_equal(later.activations("c")[:], matrix[:, :2])
    np.testing.assert_array_equal(later.activations("a")[:], matrix)
    assert ms.verify_run(later.path) == []
    swapped = [names[1], names[0], *names[2:]]
    write(tmp_path / "d.parquet", "lists", matrix, swapped)
    with pytest.raises(ms.UsageError, match=r"row 0 is class-1/0001.png in layer d, but class-0/0000.png in layer a"):
        ms.import_run({"a": one, "d": tmp_path / "d.parquet"}, tmp_path / "other")
    with pytest.raises(ms.UsageError, match="the image list"):
        ms.import_run({"d": tmp_path / "d.parquet"}, tmp_path / "run")
    np.save(tmp_path / "e.npy", matrix)
    with pytest.raises(ms.UsageError, match="has no column filename, so that the order of its rows cannot be checked"):
        ms.import_run({"a": one, "e": tmp_path / "e.npy"}, tmp_path / "other")
    with pytest.raises(ms.UsageError, match="layer a has 700 rows, but layer b has 699"):
        ms.import_run({"a": matrix, "b": matrix[1:]}, tmp_path / "other")


def test_a_layer_from_a_file_that_has_changed_is_not_taken_for_the_old_one(matrix, tmp_path):
    np.save(tmp_path / "a.npy", matrix)
    ms.import_run(tmp_path / "a.npy", tmp_path / "run")
    assert len(ms.import_run(tmp_path / "a.npy", tmp_path / "run")) == N  # nothing to do
    np.save(tmp_path / "a.npy", matrix + 1)
    with pytest.raises(ms.UsageError, match=r"the file of layer a \(a.npy\) differ"):
        ms.import_run(tmp_path / "a.npy", tmp_path / "run")
    run = ms.import_run(tmp_path / "a.npy", tmp_path / "run", overwrite=True)
    np.testing.assert_array_equal(run.activations()[:], matrix + 1)


def test_a_stopped_import_goes_on_with_the_same_images_alone(small_run, photos, tmp_path):
    acts, uris = small_run.activations("3")[:], small_run.images(columns=["uri"])["uri"].to_pylist()
    given = {"layer": "3", "ids": uris, "thumbnails": False, "workers": 0}
    with pytest.raises(ms.MonosemeError, match="are not finite"):
        ms.import_run(np.where(np.arange(61)[:, None] == 40, np.inf, acts), tmp_path / "run", images=photos, **given)
    half = ms.open_run(tmp_path / "run")
    assert not half.finished
    for other in ({}, {"images": sorted(photos.rglob("*.jpg"))}):
        with pytest.raises(ms.UsageError, match="the images"):
            ms.import_run(acts, tmp_path / "run", **given, **other)


def sentence(tmp_path, embeddings, pattern: str, **options) -> None:
    out = tmp_path / f"bad-{len(list(tmp_path.iterdir()))}"
    with pytest.raises(ms.MonosemeError, match=pattern) as caught:
        ms.import_run(embeddings, out, **options)
    assert "\n" not in str(caught.value)
    assert not out.exists() or not ms.open_run(out).finished


def test_names_that_do_not_fit_are_sentences(matrix, names, photos, tmp_path):
    def refused(pattern, **options):
        sentence(tmp_path, matrix, pattern, **options)

    (tmp_path / "ids.txt").write_text("\n".join(names[:-1]) + "\n")
    refused("name 699 images, but the array has 700 rows", ids=tmp_path / "ids.txt")
    refused(r"name class-0/0000.png twice, in rows 0 and 5;", ids=[*names[:5], names[0], *names[6:]])
    refused("say nothing for row 2;", ids=[*names[:2], "", *names[3:]])
    refused("neither a file nor a column", ids="nowhere.txt")
    refused("there are 3 labels, but the array has 700 rows", labels=["a", "b", "c"])
    refused(r"700 of 700 rows name no image of .*first, row 0: class-0/0000.png; there is", ids=names, images=photos)
    refused("nothing says which image each row is of", images=photos)
    refused("not both; leave one out", ids=names, in_order=True)
    refused("name them with --images", in_order=True)
    (tmp_path / "labels.csv").write_text("path,label\n")
    refused("join it with monoseme label", labels=tmp_path / "labels.csv")


def test_files_that_do_not_fit_are_sentences(matrix, names, tmp_path):
    def refused(content, pattern, name="bad", **options):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, pa.Table):
            pq.write_table(content, path)
        elif isinstance(content, np.ndarray):
            with path.open("wb") as file:
                np.save(file, content, allow_pickle=True)
        sentence(tmp_path, path, pattern, **options)

    refused(b"", "is empty; it holds no embeddings")
    refused(b"hello, world, hello", "is no npy, safetensors, Parquet or HDF5 file")
    refused(b"\x80\x04\x95" + b" " * 20, "is a pickle, which is not read here")
    refused(b"PK\x03\x04" + b" " * 20, "an archive of NumPy or a file of torch")
    refused(b"\x93NUMPY\x01\x00\x76\x00{'descr'", "is damaged")
    refused(b"PAR1" + b" " * 40, "is damaged")
    refused(np.array([[1, "a"], [None, 2]], dtype=object), "holds Python objects, which only unpickling could read")
    refused(np.zeros((4, 3), dtype=np.int64), "holds int64, but embeddings are floating-point numbers")
    refused(np.zeros(9, dtype=np.float32), "embeddings are images x neurons, maps or tokens")
    refused(np.zeros((0, 5), dtype=np.float32), "there are no embeddings in it")
    refused(np.zeros((5, 4), dtype=np.float32), "no positions to pool", pooling="mean")
    ragged = pa.table({"x": pa.array([[1.0, 2.0]] * 300 + [[1.0]] + [[1.0, 2.0]])})
    refused(ragged, r"row 300 of .* has 1 numbers in x, but the first row has 2")
    refused(pa.table({"x": pa.array([[1.0, 2.0], None])}), "row 1 of .* has no numbers in x")
    refused(pa.table({"x": pa.array([], pa.list_(pa.float32()))}), "there are no embeddings")
    refused(pa.table({"a": [1.0], "b": ["x"]}), "holds no array of floating-point numbers with a row an image")
    refused(pa.table({"a": [[1.0]], "b": [[2.0]]}), r"holds several arrays \(a \(1 x 1\) and b \(1 x 1\)\)")
    refused(
        pa.table({"features": [[1.0]]}), "has no array feature, only features .*did you mean features", key="feature"
    )
    sentence(tmp_path, tmp_path / "nothing.npy", "there is no file")
    (tmp_path / "parts").mkdir()
    sentence(tmp_path, tmp_path / "parts", "holds no .npy, .safetensors")
    np.save(tmp_path / "parts" / "1.npy", matrix)
    np.save(tmp_path / "parts" / "2.npy", matrix[:, :4])
    sentence(tmp_path, tmp_path / "parts", r"rows of 2.npy have shape \(4,\), those of 1.npy \(6,\)")


@pytest.mark.parametrize("kind", ["npy", "safetensors", "hdf5", "lists", "fixed"])
def test_a_value_that_is_not_finite_names_its_image(kind, matrix, names, tmp_path):
    bad = matrix.copy()
    bad[123, 4] = np.nan
    path = write(tmp_path / "bad", kind, bad, names)
    sentence(tmp_path, path, "activations of image class-0/0123.png at layer fc are not finite", layer="fc", ids=names)
    sentence(tmp_path, matrix * 1e6, "too large for float16; use --dtype float32", ids=names, dtype="float16")


def test_links_of_hdf5_to_other_files_are_not_followed(matrix, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = matrix
    (tmp_path / "raw").write_bytes(matrix.tobytes())
    with h5py.File(tmp_path / "acts.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("other.h5", "secret")
        file.create_dataset("raw", matrix.shape, "f4", external=[(str(tmp_path / "raw"), 0, matrix.nbytes)])
        virtual = h5py.VirtualLayout(matrix.shape, "f4")
        virtual[:] = h5py.VirtualSource(tmp_path / "other.h5", "secret", matrix.shape)
        file.create_virtual_dataset("virtual", virtual)
    sentence(tmp_path, tmp_path / "acts.h5", "holds no array")
    for key in ("linked", "raw", "virtual"):
        sentence(tmp_path, tmp_path / "acts.h5", f"has no array {key}", key=key)


def test_what_wants_the_model_says_that_there_is_none(small_model, small_run, photos, tmp_path):
    acts = small_run.activations("3")[:]
    run = ms.import_run(acts, tmp_path / "run", layer="3", images=photos, in_order=True, workers=0)
    bank = ms.disentangle(run.activations(), "published", top=16, distance_threshold=1.0, min_size=3)
    ms.load_bank(bank.save(run.path / "banks" / "3" / "published"))
    for model in (None, small_model):
        with pytest.raises(ms.UsageError, match="holds imported embeddings and no model to ask"):
            ms.apply_bank(bank, photos, tmp_path / "scores.parquet", run=run, model=model)
        with pytest.raises(ms.UsageError, match="holds imported embeddings and no model to ask"):
            ms.causal(bank, run, model=model)
        with pytest.raises(ms.UsageError, match="holds imported embeddings and no model to ask"):
            ms.heatmap_grid(bank, run, 0, model=model)
    with pytest.raises(ms.UsageError, match=r"the model \(imported embeddings there, small now\) differ"):
        ms.embed(small_model, photos, ["1"], run.path, workers=0)
    with pytest.raises(ms.UsageError, match="holds a run made with something else: the model"):
        ms.import_run({"4": acts}, small_run.path)


SCRIPT = textwrap.dedent(
    """
    import sys
    import monoseme as ms
    from monoseme.runs._import import _arrays, _run
    _arrays.BLOCK_BYTES, _run.COMMIT_ROWS = 24 * 30, 30
    print("ready", flush=True)
    ms.import_run({name: path for name, path in zip(sys.argv[2::2], sys.argv[3::2])}, sys.argv[1])
    """
)


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seed", range(2))
def test_an_import_killed_at_random_moments_ends_like_an_undisturbed_one(tmp_path, matrix, names, seed):
    path = write(tmp_path / "a.parquet", "lists", matrix, names)
    more = write(tmp_path / "b.h5", "hdf5", matrix * 2, names)
    moments, kills, out = random.Random(seed), 0, tmp_path / "run"
    for arguments in [("a", path), ("a", path, "b", more)]:
        for _ in range(3):
            with start(out, *arguments) as process:
                assert process.stdout.readline() == "ready\n"
                time.sleep(moments.uniform(0.1, 0.7))
                process.send_signal(signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
            try:
                half = ms.open_run(out)
            except ms.MonosemeError:  # before the first commit
                continue
            assert half.finished == (ms.verify_run(out) == [])
            if not half.manifest.finished:
                assert len(half) % 30 == 0 or len(half) == N
                with pytest.raises(ms.MonosemeError, match="run the same import command again"):
                    half.activations("a")
        with start(out, *arguments) as process:
            assert process.wait(60) == 0
    assert kills
    run, whole = ms.open_run(out), ms.import_run({"a": path, "b": more}, tmp_path / "whole")
    assert ms.verify_run(out) == []
    assert run._lance.to_table().sort_by("image_id").equals(whole._lance.to_table().sort_by("image_id"))
    np.testing.assert_array_equal(run.activations("b")[:], matrix * 2)


PEAK = textwrap.dedent(
    """
    import resource, sys
    import numpy as np
    import monoseme as ms
    ms.import_run(np.zeros((2048, 1024), np.float32), sys.argv[2] + "-first")
    import torch, h5py, pyarrow.parquet, monoseme.runs._import._parquet
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ms.import_run(sys.argv[1], sys.argv[2])
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
)


@pytest.mark.parametrize("kind", ["npy", "safetensors", "hdf5", "one group"])
def test_a_file_of_100_megabytes_is_imported_in_far_less_memory(kind, tmp_path):
    large = np.random.default_rng(0).random((24_000, 1024), dtype=np.float32)
    path = tmp_path / "large"
    if kind == "one group":
        lists = pa.FixedSizeListArray.from_arrays(pa.array(large.reshape(-1)), 1024)
        pq.write_table(pa.table({"x": lists}), path, row_group_size=24_000, use_dictionary=False, compression="none")
        del lists
    else:
        write(path, kind, large, [str(row) for row in range(len(large))])
    expected = large[[0, 17_777, 23_999]]
    del large
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path), str(tmp_path / "run")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 50, f"{done.stdout} MiB more"
    np.testing.assert_array_equal(ms.open_run(tmp_path / "run").activations()[[0, 17_777, 23_999]], expected)
