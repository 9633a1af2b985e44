"""A run made with a faster backend: the same rows but for the last bits, or a sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.deciding import Deciding

import monoseme as ms
from monoseme.base import Silent
from monoseme.models import _accelerate
from monoseme.runs import _commits


class Notes(Silent):
    """A reporter that remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def deciding() -> ms.Model:
    torch.manual_seed(0)
    return ms.wrap(Deciding(), ms.Preprocess.imagenet(32), device="cpu")


def test_an_accelerated_run_has_the_rows_of_a_plain_one(tmp_path, photos, small_model, small_run):
    run = ms.embed(small_model, photos, ["1", "3"], tmp_path / "run", batch_size=8, workers=0, accelerate="openvino")
    assert run.manifest.acceleration == "openvino"
    for layer in ("1", "3"):
        np.testing.assert_allclose(run.activations(layer)[:], small_run.activations(layer)[:], rtol=1e-4, atol=1e-5)
    facts = ["image_id", "uri", "digest", "thumbnail"]
    assert run.images(columns=facts).equals(small_run.images(columns=facts))
    ours, theirs = (each.images(columns=["predictions"]).to_pylist() for each in (run, small_run))
    assert [row["predictions"][0]["class"] for row in ours] == [row["predictions"][0]["class"] for row in theirs]


def test_a_layer_is_added_to_a_plain_run_by_a_faster_backend(tmp_path, photos, small_model, small_run):
    ms.embed(small_model, photos, ["1"], tmp_path / "run", batch_size=8, workers=0)
    run = ms.embed(small_model, photos, ["3"], tmp_path / "run", batch_size=8, workers=0, accelerate="openvino")
    assert run.manifest.acceleration == "off"
    np.testing.assert_allclose(run.activations("3")[:], small_run.activations("3")[:], rtol=1e-4, atol=1e-5)


def test_an_unfinished_run_goes_on_with_the_backend_it_began_with(tmp_path, photos, small_model, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(self, batch, result):
        add(self, batch, result)
        if self._next >= 24:
            self.commit()
            raise Killed

    add = _commits.Pending.add
    asked = {"batch_size": 8, "workers": 0, "commit_every": 8}
    with monkeypatch.context() as patch:
        patch.setattr(_commits.Pending, "add", killed)
        with pytest.raises(Killed):
            ms.embed(small_model, photos, ["1"], tmp_path / "run", accelerate="openvino", **asked)
    with pytest.raises(ms.UsageError, match=r"acceleration .*openvino there, off now"):
        ms.embed(small_model, photos, ["1"], tmp_path / "run", accelerate="off", **asked)
    run = ms.embed(small_model, photos, ["1"], tmp_path / "run", **asked)  # few images: by itself auto would be off
    whole = ms.embed(small_model, photos, ["1"], tmp_path / "whole", accelerate="openvino", **asked)
    assert run.manifest.acceleration == "openvino"
    assert np.array_equal(run.activations("1")[:], whole.activations("1")[:])


def test_auto_goes_on_plainly_where_the_model_does_not_fit_and_says_so(tmp_path, photos, deciding, monkeypatch):
    monkeypatch.setattr(_accelerate, "ENOUGH", 10)
    notes = Notes()
    run = ms.embed(deciding, photos, ["conv"], tmp_path / "run", workers=0, progress=notes)
    assert run.manifest.acceleration == "off"
    assert len(run) == 61
    assert [note for note in notes.notes if "going on with plain PyTorch: openvino does not take" in note]


def test_whoever_insists_is_told_that_the_model_does_not_fit(tmp_path, photos, deciding):
    with pytest.raises(ms.MonosemeError, match=r"openvino does not take .*; use --accelerate off"):
        ms.embed(deciding, photos, ["conv"], tmp_path / "run", workers=0, accelerate="openvino")


def test_a_backend_that_does_not_agree_is_refused_before_anything_is_kept(tmp_path, photos, small_model, monkeypatch):
    def wrong(program):
        return [lambda images, run=run: [1.001 * each for each in run(images)] for run in right(program)]

    right = _accelerate._openvino
    monkeypatch.setattr(_accelerate, "_openvino", wrong)
    with pytest.raises(ms.MonosemeError, match=r"differs from plain PyTorch by 1\.0e-03 .* more than 1e-04"):
        ms.embed(small_model, photos, ["1"], tmp_path / "run", workers=0, accelerate="openvino")
    assert len(ms.open_run(tmp_path / "run")) == 0
