"""Runs that were stopped, changed or extended."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from tests.conftest import make_small_model

import monoseme as ms
from monoseme.runs import _table

EMBED = textwrap.dedent(
    """
    import sys
    sys.path.insert(0, {root!r})
    from tests.conftest import make_small_model
    import monoseme as ms
    layers = sys.argv[3].split(",")
    print("ready", flush=True)
    ms.embed(make_small_model(), sys.argv[1], layers, sys.argv[2], batch_size=4, commit_every=8, workers=1)
    """
)


def start(photos, out, layers: str) -> subprocess.Popen[str]:
    script = EMBED.format(root=os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    arguments = [sys.executable, "-c", script, str(photos), str(out), layers]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def by_digest(run: ms.Run):
    table = run._lance.to_table()
    return table.sort_by([("image_id", "ascending")])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, photos) -> ms.Run:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    return ms.embed(make_small_model(), photos, ["1"], out, batch_size=4, commit_every=8, workers=0)


@pytest.mark.parametrize("seed", range(5))
def test_a_run_killed_at_random_moments_ends_like_an_undisturbed_one(tmp_path, photos, undisturbed, seed):
    out = tmp_path / "run"
    moments = random.Random(seed)
    kills = 0
    for _ in range(4):
        with start(photos, out, "1") as process:
            assert process.stdout.readline() == "ready\n"
            try:
                process.wait(moments.uniform(0.02, 1.5))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
        state = (
            ms.open_run(out) if (out / "activations.lance" / "_versions").is_dir() and _table.open_table(out) else None
        )
        if state is not None and not state.finished:
            assert len(state) % 4 == 0 or len(state) == 61  # whole commits only
    with start(photos, out, "1") as process:
        assert process.wait(120) == 0
    run = ms.open_run(out)
    assert kills
    assert run.finished
    assert ms.verify_run(out) == []
    assert by_digest(run).equals(by_digest(undisturbed))
    assert run._lance.schema.equals(undisturbed._lance.schema, check_metadata=True)


@pytest.mark.parametrize("seed", range(2))
def test_a_layer_added_by_a_killed_process_ends_like_an_undisturbed_one(tmp_path, photos, seed):
    out, whole = tmp_path / "run", tmp_path / "whole"
    moments = random.Random(seed)
    for folder in (out, whole):
        ms.embed(make_small_model(), photos, ["1"], folder, batch_size=4, commit_every=8, workers=0)
    ms.embed(make_small_model(), photos, ["1", "3"], whole, batch_size=4, workers=0)
    for _ in range(3):
        with start(photos, out, "3") as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(moments.uniform(0.1, 0.9))
            process.kill()
    ms.embed(make_small_model(), photos, ["3"], out, batch_size=4, workers=0)
    run, expected = ms.open_run(out), ms.open_run(whole)
    assert ms.verify_run(out) == []
    assert by_digest(run).equals(by_digest(expected))
    direct = ms.embed(make_small_model(), photos, ["1", "3"], tmp_path / "direct", batch_size=4, workers=0)
    np.testing.assert_array_equal(run.activations("3")[:], direct.activations("3")[:])


def test_a_layer_that_is_half_added_is_marked_and_not_read(tmp_path, photos, monkeypatch):
    out = tmp_path / "run"
    ms.embed(make_small_model(), photos, ["1"], out, batch_size=4, commit_every=8, workers=0)
    fills = []
    fill = _table.fill

    def fill_twice(*arguments):
        if len(fills) == 2:
            raise KeyboardInterrupt
        fills.append(arguments)
        fill(*arguments)

    monkeypatch.setattr(_table, "fill", fill_twice)
    with pytest.raises(KeyboardInterrupt):
        ms.embed(make_small_model(), photos, ["3"], out, batch_size=4, workers=0)
    run = ms.open_run(out)
    assert run.layers == ("1",)
    assert not run.finished
    assert [layer["whole"] for layer in run.info()["layers"]] == [True, False]
    with pytest.raises(ms.MonosemeError, match=r"layer 3 of .* is not finished"):
        run.activations("3")
    assert run.activations("1").shape == (61, 12)
    assert any("layer 3" in problem for problem in ms.verify_run(out))


def test_ctrl_c_keeps_whole_batches(tmp_path, photos, undisturbed):
    class Interrupted:
        def __init__(self):
            self.left = 6

        def task(self, *_):
            return self

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def note(self, _):
            pass

        def advance(self, amount=1):
            self.left -= amount > 0
            if self.left == 0:
                raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        ms.embed(
            make_small_model(), photos, ["1"], out, batch_size=4, commit_every=1000, workers=0, progress=Interrupted()
        )
    assert len(ms.open_run(out)) == 24
    with pytest.raises(ms.MonosemeError, match="is not finished: 24 of 61"):
        ms.open_run(out).activations()
    ms.embed(make_small_model(), photos, ["1"], out, batch_size=4, workers=0)
    assert by_digest(ms.open_run(out)).equals(by_digest(undisturbed))


@pytest.fixture
def unfinished(tmp_path, photos, monkeypatch):
    """A run that stopped after two commits."""
    appended = []
    append = _table.append

    def append_twice(*arguments):
        if len(appended) == 2:
            raise KeyboardInterrupt
        appended.append(arguments)
        append(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(_table, "append", append_twice)
        with pytest.raises(KeyboardInterrupt):
            ms.embed(make_small_model(), photos, ["1"], tmp_path / "run", batch_size=4, commit_every=8, workers=0)
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"seed": 1}, "the weights"),
        ({"layers": ["3"]}, r"the layers \(1 \(mean\) there, 3 \(mean\) now\)"),
        ({"dtype": "float16"}, "the dtype"),
        ({"thumbnails": False}, "the thumbnails"),
        ({"predictions": False}, "the predictions"),
        ({"pooling": "max"}, "the layers"),
        ({"size": 24}, "the preprocessing"),
        ({"images": "fewer"}, "the images"),
    ],
)
def test_an_unfinished_run_made_with_something_else_is_refused_and_kept(
    unfinished, photos, tmp_path, changed, sentence
):
    model = make_small_model(changed.pop("seed", 0))
    if size := changed.pop("size", None):
        model = ms.wrap(model.module, ms.Preprocess.imagenet(size), device="cpu", name="small")
    images = photos if changed.pop("images", None) is None else photos / "plain"
    layers = changed.pop("layers", ["1"])
    with pytest.raises(ms.UsageError, match=f"unfinished run made with something else: .*{sentence}.*--overwrite"):
        ms.embed(model, images, layers, unfinished, batch_size=4, workers=0, **changed)
    assert len(ms.open_run(unfinished)) == 16
    run = ms.embed(model, images, layers, unfinished, batch_size=4, workers=0, overwrite=True, **changed)
    assert run.finished


def test_a_finished_run_of_another_model_is_refused(tmp_path, photos):
    ms.embed(make_small_model(), photos, ["1"], tmp_path / "run", workers=0)
    with pytest.raises(ms.UsageError, match="holds a run made with something else: the weights"):
        ms.embed(make_small_model(1), photos, ["3"], tmp_path / "run", workers=0)


def test_embedding_a_finished_run_again_changes_nothing(tmp_path, photos):
    run = ms.embed(make_small_model(), photos, ["1"], tmp_path / "run", workers=0)
    version = run._lance.version
    again = ms.embed(make_small_model(), photos, ["1"], tmp_path / "run", workers=0)
    assert again._lance.version == version


def test_a_layer_is_not_added_from_images_that_have_changed(tmp_path, photos):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in (photos / "plain").glob("*.jpg"):
        (folder / path.name).write_bytes(path.read_bytes())
    ms.embed(make_small_model(), folder, ["1"], tmp_path / "run", workers=0)
    content = bytearray((folder / "000.jpg").read_bytes())
    content[-20] ^= 1
    (folder / "000.jpg").write_bytes(content)
    with pytest.raises(ms.MonosemeError, match=r"000.jpg (has changed|can no longer be used)"):
        ms.embed(make_small_model(), folder, ["3"], tmp_path / "run", workers=0)


def test_two_processes_do_not_write_one_run(tmp_path, photos):
    from monoseme.base import Lock

    with Lock(tmp_path / "run" / ".lock", "held"), pytest.raises(ms.MonosemeError, match="another process is writing"):
        ms.embed(make_small_model(), photos, ["1"], tmp_path / "run", workers=0)


def test_a_folder_that_is_not_a_run_is_never_touched(tmp_path, photos):
    out = tmp_path / "run"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(ms.UsageError, match=r"not a run and not empty \(it holds thesis.txt\)"):
            ms.embed(make_small_model(), photos, ["1"], out, workers=0, overwrite=overwrite)
    assert (out / "thesis.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("x")
    with pytest.raises(ms.UsageError, match="is a file"):
        ms.embed(make_small_model(), photos, ["1"], tmp_path / "file", workers=0)


def test_the_remains_of_a_run_killed_before_its_first_commit_are_no_hindrance(tmp_path, photos):
    data = tmp_path / "run" / "activations.lance" / "data"
    data.mkdir(parents=True)
    (data / "half.lance").write_bytes(b"half")
    assert ms.embed(make_small_model(), photos, ["1"], tmp_path / "run", workers=0).finished


def test_what_the_model_cannot_give_is_refused_before_anything_is_written_or_replaced(tmp_path, photos):
    out = tmp_path / "run"
    with pytest.raises(ms.UsageError, match="class token"):
        ms.embed(make_small_model(), photos, ["1"], out, pooling="cls", workers=0)
    assert not out.exists()
    ms.embed(make_small_model(), photos, ["1"], out, workers=0)
    for overwrite in (False, True):
        with pytest.raises(ms.UsageError, match="class token"):
            ms.embed(make_small_model(), photos, ["1"], out, pooling="cls", workers=0, overwrite=overwrite)
        assert ms.open_run(out).finished
        assert ms.verify_run(out) == []


def test_overwriting_with_the_same_goes_on_instead_of_starting_again(unfinished, photos):
    version = ms.open_run(unfinished)._lance.version
    run = ms.embed(make_small_model(), photos, ["1"], unfinished, batch_size=4, workers=0, overwrite=True)
    assert run.finished
    assert version > 1
    assert run.images()["image_id"].to_pylist() == list(range(61))


def test_overwriting_a_finished_run_with_the_same_keeps_its_banks(tmp_path, photos):
    run = ms.embed(make_small_model(), photos, ["1"], tmp_path / "run", workers=0)
    bank = ms.disentangle(run.activations(), top=20)
    bank.save(tmp_path / "run" / "banks" / "1" / "mine")
    ms.embed(make_small_model(), photos, ["1"], tmp_path / "run", workers=0, overwrite=True)
    assert len(ms.load_bank(tmp_path / "run", name="mine")) == len(bank)


def test_overwriting_with_something_else_deletes_nothing_that_people_said(tmp_path, photos):
    out = tmp_path / "run"
    ms.embed(make_small_model(), photos, ["1"], out, workers=0)
    said = [out / "annotations.jsonl", out / "studies" / "first" / "answers.jsonl"]
    said[1].parent.mkdir(parents=True)
    for file in said:
        file.write_text("what was said\n")
    ms.embed(make_small_model(1), photos, ["3"], out, workers=0, overwrite=True)
    assert [file.read_text() for file in said] == ["what was said\n"] * 2


def test_a_kill_while_an_old_run_is_cleared_can_be_made_good(tmp_path, photos, monkeypatch):
    import shutil

    out = tmp_path / "run"
    run = ms.embed(make_small_model(), photos, ["1"], out, workers=0)
    ms.disentangle(run.activations(), top=20).save(out / "banks" / "1" / "mine")
    remove = shutil.rmtree

    def stop_at_the_banks(path, **options):
        if path.name == "banks":
            raise KeyboardInterrupt
        remove(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", stop_at_the_banks)
        with pytest.raises(KeyboardInterrupt):
            ms.embed(make_small_model(1), photos, ["1"], out, workers=0, overwrite=True)
    again = ms.embed(make_small_model(1), photos, ["1"], out, workers=0)
    assert ms.verify_run(out) == []
    assert again.manifest.model["weights_digest"] == make_small_model(1).weights_digest


def test_a_kill_between_promising_a_layer_and_adding_its_column_can_be_made_good(tmp_path, photos, monkeypatch):
    out = tmp_path / "run"
    ms.embed(make_small_model(), photos, ["1"], out, workers=0)
    with monkeypatch.context() as patch:
        patch.setattr(_table, "add_columns", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ms.embed(make_small_model(), photos, ["3"], out, workers=0)
    assert ms.open_run(out).layers == ("1",)
    assert ms.embed(make_small_model(), photos, ["3"], out, workers=0).layers == ("1", "3")
    assert ms.verify_run(out) == []


def test_an_added_layer_that_does_not_fit_does_not_stand_in_the_way_of_others(tmp_path, photos):
    model = make_small_model()
    model.module[2].weight.mul_(1e7)
    out = tmp_path / "run"
    ms.embed(model, photos, ["1"], out, dtype="float16", workers=0)
    with pytest.raises(ms.MonosemeError, match="too large for float16"):
        ms.embed(model, photos, ["3"], out, dtype="float16", workers=0)
    run = ms.embed(model, photos, ["0"], out, dtype="float16", workers=0)
    assert run.layers == ("1", "0")


def test_an_image_that_could_be_loaded_after_all_is_not_counted_as_set_aside(unfinished, photos):
    _table.quarantine(unfinished, [{"entry": 20, "uri": "x.jpg", "reason": "memory ran out"}])
    ms.embed(make_small_model(), photos, ["1"], unfinished, batch_size=4, workers=0)
    assert len(ms.open_run(unfinished).quarantined()) == 0
    assert ms.verify_run(unfinished) == []


def test_a_layer_can_be_added_without_repeating_how_the_first_pass_was_kept(tmp_path, photos):
    out = tmp_path / "run"
    ms.embed(make_small_model(), photos, ["1"], out, workers=0, thumbnails=False, predictions=False)
    run = ms.embed(make_small_model(), photos, ["3"], out, workers=0)
    assert run.layers == ("1", "3")
    assert run.images(columns=["predictions"])["predictions"].null_count == 61
    with pytest.raises(ms.UsageError, match="the thumbnails"):
        ms.embed(make_small_model(), photos, ["3"], out, workers=0)
