"""A bank in other tools' formats, read back by these tools; what is there is kept, and what cannot be done is a sentence."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import monoseme as ms
from monoseme.use._export import _hub

SPLIT = {"method": "published", "top": 16, "distance_threshold": 1.0, "min_size": 3}


@pytest.fixture(scope="module")
def bank(small_run) -> ms.ConceptBank:
    return ms.disentangle(small_run.activations("3"), **SPLIT)


@pytest.fixture(scope="module")
def neurons(bank) -> list[int]:
    return bank.most_split(2)


@pytest.fixture(scope="module")
def captum_folder(bank, small_run, small_model, neurons, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("captum") / "out"
    return ms.export_bank(bank, out, "captum", run=small_run, model=small_model, directions=neurons, random_sets=2)


def bytes_of(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


LOADING = pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning")  # captum's own list of types


@LOADING
def test_captum_loads_each_cav_with_the_vector_at_every_position(captum_folder, bank, small_model, neurons):
    from captum.concept import CAV, Concept

    sets = ms.captum_concepts(captum_folder)
    concepts = [concept for neuron in neurons for concept in bank.for_direction(neuron)]
    assert len(sets) == 2 * len(concepts) == len(list((captum_folder / "cavs" / "default_model_id").iterdir()))
    assert len({each.id for pair in sets for each in pair}) == 3 * len(concepts)
    shape = small_model.layers()["3"].shape
    for pair in sets:
        assert all(isinstance(each, Concept) for each in pair)
        cav = CAV.load(str(captum_folder / "cavs"), "default_model_id", pair, "3")
        assert [each.name for each in cav.concepts] == [each.name for each in pair]
        assert cav.stats["classes"] == [each.id for each in pair]
        maps = cav.stats["weights"][0].reshape(shape)
        expected = torch.from_numpy(bank.vectors[pair[0].id])[:, None, None].expand(shape)
        torch.testing.assert_close(maps, expected, rtol=1e-6, atol=1e-7)
        assert torch.equal(cav.stats["weights"][1], -cav.stats["weights"][0])


@LOADING
@pytest.mark.filterwarnings("ignore:Using default classifier for TCAV")
def test_captums_scores_with_the_cavs_are_those_known_by_construction(bank, small_run, neurons, tmp_path):
    """A network that averages a layer and sums it with weights: its derivative along a concept is their product, everywhere."""
    from captum.concept import TCAV
    from tests.conftest import make_small_model

    model = make_small_model()
    weights = np.random.default_rng(3).normal(size=(7, bank.vectors.shape[1])).astype(np.float32)
    with torch.no_grad():
        model.module[6].weight.copy_(torch.from_numpy(weights))
    out = ms.export_bank(
        bank, tmp_path / "out", "captum", run=small_run, directions=neurons, pictures=False, positions=(12, 12)
    )
    assert not (out / ms.captum_concepts(out)[0][0].name).exists()
    inputs = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    height, width = model.module[:4](inputs).shape[2:]
    assert (height, width) == (12, 12)
    tcav = TCAV(model.module, ["3"], save_path=str(out / "cavs"))
    sets = ms.captum_concepts(out)
    scores = tcav.interpret(inputs, sets, target=2)
    for concept, other in sets:
        expected = float(weights[2] @ bank.vectors[concept.id])
        found = scores[f"{concept.id}-{other.id}"]["3"]
        np.testing.assert_allclose(found["magnitude"].numpy(), [expected, -expected], rtol=1e-4, atol=1e-6)
        assert found["sign_count"].tolist() == [float(expected > 0), float(expected < 0)]


def test_in_a_scaled_frame_a_cav_is_the_direction_that_steering_adds(small_run, small_model, tmp_path):
    from monoseme.models import Tap, Tapped

    bank = ms.disentangle(small_run.activations("3"), **{**SPLIT, "distance_threshold": 9.0}, scaling="standardised")
    assert bank.frame.scale is not None
    out = ms.export_bank(
        bank, tmp_path / "out", "captum", run=small_run, concepts=[0], pictures=False, positions=(12, 12)
    )
    [pair] = ms.captum_concepts(out)
    content = torch.load(out / "cavs" / "default_model_id" / f"0-{pair[1].id}-3.pkl", weights_only=True)
    cav = content["stats"]["weights"][0].reshape(-1, 144).mean(1)
    read = Tapped(small_model, [Tap("3")], predictions=False)
    images = torch.rand(1, 3, 32, 32)
    before = read(images).pooled[Tap("3")]
    with ms.steer(small_model, "3", bank[0], 3.0):
        step = (read(images).pooled[Tap("3")] - before)[0]
    torch.testing.assert_close(step / step.norm(), cav / cav.norm(), rtol=1e-4, atol=1e-5)


def test_captums_concepts_are_over_the_images_of_the_folders(captum_folder, bank):
    def read(path: str) -> torch.Tensor:
        return torch.from_numpy(np.array(Image.open(path).convert("RGB")))

    for concept, random in ms.captum_concepts(captum_folder, read):
        sizes = [sum(len(batch) for batch in each.data_iter) for each in (concept, random)]
        assert sizes == [bank[concept.id].size] * 2
        assert random.name.startswith(f"{concept.name}_random-")


class Tokens(nn.Module):
    """A class token and 16 patch tokens, mixed channel by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 8, 8, stride=8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
        self.block = nn.Sequential(nn.Linear(8, 8), nn.GELU())
        self.head = nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embed(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], 1)
        return self.head(self.block(tokens)[:, 0])


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_of_tokens_those_carry_the_vector_that_were_pooled(pooling, photos, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ms.wrap(Tokens(), ms.Preprocess.imagenet(32), device="cpu", name="tokens")
    run = ms.embed(model, photos, ["block"], tmp_path / "run", pooling=pooling, workers=0)
    if pooling == "cls":  # it sees no image here, so its embeddings are all alike
        bank = ms.disentangle(run.activations()[:] + np.random.default_rng(0).normal(size=(61, 8)), "published", top=20)
        bank = replace(bank, info={**bank.info, "layer": "block", "activations": {"pooling": "cls", "images": 61}})
    else:
        bank = ms.disentangle(run.activations(), "published", top=20, distance_threshold=0.5)
    options = {
        "run": run,
        "model": model,
        "concepts": [0],
        "pictures": False,
        "positions": (17,),
    }  # the model says it better
    out = ms.export_bank(bank, tmp_path / "out", "captum", **options)
    content = torch.load(next((out / "cavs").rglob("*.pkl")), weights_only=True)
    found = content["stats"]["weights"][0].reshape(17, 8)
    carried = slice(0, 1) if pooling == "cls" else slice(1, None)
    expected = torch.zeros(17, 8)
    expected[carried] = torch.from_numpy(bank.vectors[0])
    torch.testing.assert_close(found, expected)


def test_positions_of_imported_embeddings_are_for_the_user_to_say(tmp_path):
    tokens = np.random.default_rng(0).normal(size=(120, 5, 8)).astype(np.float32)
    run = ms.import_run(tokens, tmp_path / "run", layer="block", pooling="mean")
    bank = ms.disentangle(run.activations(), "published", top=20, distance_threshold=1.5)
    with pytest.raises(ms.UsageError, match="does not know how many positions layer block has"):
        ms.export_bank(bank, tmp_path / "out", "captum", run=run, concepts=[0], pictures=False)
    out = ms.export_bank(bank, tmp_path / "out", "captum", run=run, concepts=[0], pictures=False, positions=[5])
    content = torch.load(next((out / "cavs").rglob("*.pkl")), weights_only=True)
    expected = torch.from_numpy(bank.vectors[0]).expand(5, 8)
    torch.testing.assert_close(content["stats"]["weights"][0].reshape(5, 8), expected)
    with pytest.raises(ms.UsageError, match="has tokens, so one number of positions, not 5x5"):
        ms.export_bank(bank, tmp_path / "no", "captum", run=run, concepts=[0], pictures=False, positions=[5, 5])


def test_tcavs_source_dir_has_concepts_and_the_random_sets_it_looks_for(bank, small_run, photos, neurons, tmp_path):
    out = ms.export_bank(bank, tmp_path / "out", "tcav", run=small_run, directions=neurons[:1], random_sets=4)
    concepts = bank.for_direction(neurons[0])
    names = [f"neuron-{neurons[0]}_concept-{concept.number}" for concept in concepts]
    folders = {path.name: sorted(path.iterdir()) for path in out.iterdir() if path.is_dir()}
    assert set(folders) == {*names, *(f"random500_{number}" for number in range(4))}
    exemplars = bank.exemplars_of(neurons[0])["image_id"].to_numpy()
    taken = {(photos / uri).read_bytes() for uri in small_run.images(exemplars, ["uri"])["uri"].to_pylist()}
    sets = [{path.read_bytes() for path in folders[f"random500_{number}"]} for number in range(4)]
    assert len({frozenset(each) for each in sets}) == 4
    for each in sets:
        assert len(each) == len(folders["random500_0"]) >= max(concept.size for concept in concepts)
        assert not each & taken
    for name, concept in zip(names, concepts, strict=True):
        assert len(folders[name]) == concept.size
    again = ms.export_bank(bank, tmp_path / "again", "tcav", run=small_run, directions=neurons[:1], random_sets=4)
    assert bytes_of(again) == bytes_of(out)


def test_a_bank_for_the_hub_is_the_same_bank_and_its_card_is_read_by_the_hubs_library(bank, small_run, tmp_path):
    from huggingface_hub import ModelCard

    out = ms.export_bank(bank, tmp_path / "out", "hub", run=small_run, license="cc-by-4.0")
    loaded = ms.load_bank(out)
    for name in ("vectors", "directions", "merges", "heights"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(bank, name))
    for name in ("concepts", "exemplars", "divisions", "top"):
        assert getattr(loaded, name).equals(getattr(bank, name))
    assert loaded.info == bank.info
    plain = bank.save(tmp_path / "plain")
    assert bytes_of(plain).items() <= bytes_of(out).items()
    assert set(bytes_of(out)) - set(bytes_of(plain)) == {"README.md"}
    card = ModelCard.load(out / "README.md")
    assert card.data.to_dict() == {
        "library_name": "monoseme",
        "license": "cc-by-4.0",
        "tags": ["monoseme", "interpretability", "polysemanticity", "concept-vectors", "safetensors"],
    }
    assert f"{len(bank)} concepts from 20 neurons of the layer 3" in card.text
    assert small_run.labels().commonest(bank[0].image_ids) in card.text.replace("\\", "")
    for place in (tmp_path, small_run.path, small_run.manifest.images["source"]):
        assert all(str(place).encode() not in content for content in bytes_of(out).values())


def test_the_card_links_model_and_data_set_of_the_hub_and_nothing_else():

    from huggingface_hub import ModelCard

    acts = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    bank = ms.disentangle(acts, "published", top=20, distance_threshold=4.0)

    def data(spec: str, layer: str = "3") -> dict:
        info = {**bank.info, "layer": layer, "activations": {**bank.info["activations"], "model": spec}}
        return ModelCard(_hub.card(replace(bank, info=info), None, None)).data.to_dict()

    assert data("timm:resnet50.a1_in1k")["base_model"] == "timm/resnet50.a1_in1k"
    assert data("hf:google/vit-base-patch16-224")["base_model"] == "google/vit-base-patch16-224"
    for spec in ("torchvision:resnet50", "hf:../../etc", "hf:a/b/c", "hf:x\n---\nlicense: mit", "python:a:b"):
        assert set(data(spec)) == {"library_name", "tags"}
    hostile = _hub.card(replace(bank, info={**bank.info, "layer": "<script>|[a](b)\n---\n# x"}), None, None)
    assert "<script>" not in hostile
    assert "[a](b)" not in hostile
    assert "\n# x" not in hostile


def test_fiftyones_labels_say_each_images_concepts_and_embeddings_follow_the_names(
    bank, small_run, photos, neurons, tmp_path
):
    """The documented schema: data/NAME.ext, and labels.json with classes and, by NAME, a list of labels with attributes.

    FiftyOne itself needs a database to be imported here; its importer was run on such a folder by hand.
    """
    out = ms.export_bank(bank, tmp_path / "out", "fiftyone", run=small_run, directions=neurons)
    listed = json.loads((out / "labels.json").read_text("utf-8"))
    concepts = [concept for neuron in neurons for concept in bank.for_direction(neuron)]
    assert set(listed) == {"classes", "labels"}
    assert listed["classes"] == sorted(f"neuron-{each.direction}_concept-{each.number}" for each in concepts)
    files = {path.stem: path for path in (out / "data").iterdir()}
    assert set(files) == set(listed["labels"])
    members: dict[int, list[int]] = {}
    images = []
    for name in sorted(listed["labels"]):
        labels = listed["labels"][name]
        [image] = {label["attributes"]["image_id"] for label in labels}
        images.append(image)
        assert files[name].read_bytes() == (photos / small_run.images([image], ["uri"])["uri"][0].as_py()).read_bytes()
        for label in labels:
            facts = label["attributes"]
            assert label["label"] == f"neuron-{facts['direction']}_concept-{facts['concept']}"
            members.setdefault(facts["concept"], []).append(image)
            assert bank[facts["concept"]].image_ids[facts["rank"]] == image
            expected = bank.project(small_run.activations("3")[[image]])[0, facts["concept"]]
            assert facts["projection"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert {number: sorted(ids) for number, ids in members.items()} == {
        each.number: sorted(each.image_ids.tolist()) for each in concepts
    }
    np.testing.assert_array_equal(np.load(out / "embeddings.npy"), small_run.activations("3")[images])


@pytest.mark.parametrize("kind", ["captum", "tcav", "fiftyone", "hub"])
def test_what_is_there_is_kept_unless_it_is_an_export_to_be_replaced(kind, bank, small_run, neurons, tmp_path):
    chosen = {} if kind == "hub" else {"concepts": [0], "random_sets": 1}
    chosen |= {"positions": (12, 12)} if kind == "captum" else {}
    out = ms.export_bank(bank, tmp_path / "out", kind, run=small_run, **chosen)
    before = bytes_of(out)
    with pytest.raises(ms.UsageError, match="exists already"):
        ms.export_bank(bank, out, kind, run=small_run, **chosen)
    ms.export_bank(bank, out, kind, run=small_run, overwrite=True, **chosen)
    assert bytes_of(out) == before
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "README.md").write_text("mine")
    with pytest.raises(ms.UsageError, match="choose another folder"):
        ms.export_bank(bank, tmp_path / "thesis", kind, run=small_run, overwrite=True, **chosen)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "thesis"]


@pytest.mark.parametrize("kind", ["captum", "tcav", "fiftyone", "hub"])
def test_what_stops_midway_leaves_nothing(kind, bank, small_run, tmp_path, monkeypatch):
    def failing(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", failing)
    chosen = {} if kind == "hub" else {"concepts": [0], "random_sets": 1}
    chosen |= {"positions": (12, 12)} if kind == "captum" else {}
    with pytest.raises(ms.MonosemeError, match="the disk is full"):
        ms.export_bank(bank, tmp_path / "out", kind, run=small_run, **chosen)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_a_sentence(bank, small_run, tmp_path):
    def refused(pattern: str, kind: str, of: ms.ConceptBank = bank, **options) -> None:
        with pytest.raises(ms.UsageError, match=pattern):
            ms.export_bank(of, tmp_path / "out", kind, **{"run": small_run, **options})

    refused("no format 'captain', only captum, .*did you mean captum", "captain")
    refused("name the run it was made from", "tcav", of=replace(bank, run=None), run=None)
    refused("holds the whole bank", "hub", concepts=[1])
    refused("not 'Mine!'", "hub", license="Mine!")
    refused("goes on the card of the hub's format", "tcav", license="mit")
    refused("is made of pictures", "fiftyone", pictures=False)
    refused("at least one", "captum", random_sets=0)
    refused("there is no concept 9999", "tcav", concepts=[9999])
    refused("is a module that was wrapped", "captum")
    refused("has maps, so two numbers of positions, not 7", "captum", positions=[7])
    wide = ms.disentangle(
        small_run.activations("3"), "published", top=50, distance_threshold=9.0, outlier_threshold=99.0
    )
    refused(r"could be drawn at random .* but a concept has 50", "tcav", of=wide, concepts=[0])
    other = ms.disentangle(np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32), "published", top=20)
    refused("was not made from", "tcav", of=other)
    with pytest.raises(ms.UsageError, match="is no export for Captum"):
        ms.captum_concepts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_in_a_manifest_from_elsewhere_lead_out_of_no_folder(captum_folder, tmp_path):
    content = json.loads((captum_folder / "manifest.json").read_text("utf-8"))
    content["captum"]["experimental_sets"][0][0]["name"] = "../../etc"
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ms.UsageError, match="its names are not those of an export"):
        ms.captum_concepts(tmp_path, len)


def test_layers_whose_names_cannot_be_in_file_names_are_refused_for_captum(tmp_path):
    run = ms.import_run(
        np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32), tmp_path / "run", layer="a/../b"
    )
    bank = ms.disentangle(run.activations(), "published", top=20, distance_threshold=3.0)
    with pytest.raises(ms.UsageError, match="cannot be part of a file's name"):
        ms.export_bank(bank, tmp_path / "out", "captum", run=run, concepts=[0], pictures=False)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_without_images_exports_cavs_and_says_what_pictures_need(tmp_path):
    run = ms.import_run(np.random.default_rng(0).normal(size=(90, 6)).astype(np.float32), tmp_path / "run", layer="fc")
    bank = ms.disentangle(run.activations(), "published", top=20, distance_threshold=3.0)
    out = ms.export_bank(bank, tmp_path / "out", "captum", run=run, concepts=[1], pictures=False)
    content = torch.load(next((out / "cavs").rglob("*.pkl")), weights_only=True)
    np.testing.assert_array_equal(content["stats"]["weights"][0].numpy(), bank.vectors[1])
    assert nn.functional.cosine_similarity(*content["stats"]["weights"], dim=0) == pytest.approx(-1)
    for kind in ("captum", "tcav", "fiftyone"):
        with pytest.raises(ms.UsageError, match="was imported without its images; say where they are"):
            ms.export_bank(bank, tmp_path / "no", kind, run=run, concepts=[1])
