"""Claim: embedding takes at most 1/0.95 of what the cores allow, is 2.2 times a plain loop, and needs no more memory for more images.

What the cores allow: CPU time of the bare forward pass, and of bare reading, decoding, resizing, normalising and thumbnailing
of the same images with the fastest library of those at hand, each measured alone; the sum over the number of cores. The
plain loop is what one writes first: Pillow, no workers, NCHW, the system's allocator, a forward hook; in a process of its own,
because monoseme's allocator settings hold for a whole process. EfficientNet-Lite0, 160 px, batches of 32.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import CORES, ChildrenPeak, alternate, describe_machine, in_new_process, peak_memory, spread, verdict

if TYPE_CHECKING:
    import torch

    from monoseme import Model, Preprocess

MODEL, SIDE, BATCH, THUMBNAIL, QUALITY = "bundled:efficientnet-lite0", 160, 32, 160, 80
SHARE_GOAL, PLAIN_GOAL, GROWTH_GOAL = 0.95, 2.2, 1.1
Prepared = tuple[np.ndarray, bytes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("MONOSEME_SHARED", "../shared")) / "data" / "caltech101-160.tar"
    parser.add_argument(
        "--images", type=Path, default=shared, help="folder or tar; patches of samples: if absent (%(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="few images, few rounds")
    parser.add_argument("--rounds", type=int, help="5, or 2 with --quick")
    parser.add_argument("--part", choices=["plain", "memory"], help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        paths = files_in(options.images)
        print(json.dumps(PARTS[options.part](list(itertools.islice(itertools.cycle(paths), options.count)))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.images if options.images.is_dir() else unpacked(options.images, Path(scratch), options.quick)
        rounds = options.rounds or (2 if options.quick else 5)
        compare(files_in(folder), folder, rounds, options.quick)
        compare_memory(folder, 128 if options.quick else 2_048, options.quick)


def compare(paths: list[Path], folder: Path, rounds: int, quick: bool) -> None:
    """Print what the cores allow, what embedding takes, and the plain loop."""
    import monoseme as ms
    from monoseme.models import keep_freed_memory

    keep_freed_memory()
    model = ms.load_model(MODEL, image_size=SIDE, device="cpu")
    some = paths[:: max(1, len(paths) // ((4 if quick else 20) * BATCH))]
    some = some[: len(some) // BATCH * BATCH]
    paths = paths[: 8 * BATCH] if quick else paths
    few = paths[: 4 * BATCH]
    batches = [model.preprocess.tensor(stack_of(model, part)) for part in split(some)]
    embed(model, few)  # the first call also loads libraries
    steps: dict[str, Callable[[], Any]] = {
        "forward, one batch": partial(forward_one_batch, model, batches),
        "forward, a stream a core": partial(forward_streams, model, batches),
        **{f"loading, {name}": partial(loading, load, some, model.preprocess) for name, load in loaders().items()},
        "embed few": partial(embed, model, few),
        "embed": partial(embed, model, paths),
        "plain loop": lambda: in_new_process(__file__, "--part", "plain", "--images", folder, "--count", len(some)),
    }
    found = alternate(rounds, steps)
    print(describe_machine("monoseme", "torch", "pillow", "opencv-python-headless", "simplejpeg", "pylance"))
    print(f"{MODEL}, {SIDE} px, batches of {BATCH}, {len(paths):,} images; times in ms an image")
    for name, times in found.items():
        if name.startswith(("forward", "loading")):
            print(
                f"{name}: CPU time {spread([1e3 * cpu for cpu, _ in times])}, wall {spread([1e3 * wall for _, wall in times])}"
            )
    forward = cheapest(found, "forward")
    load = cheapest(found, "loading")
    allowed = [sum(both) / CORES for both in zip(*(cpu_of(found[name]) for name in (forward, load)), strict=True)]
    print(
        f"the cores allow, with {forward} and {load}: {spread([1e3 * each for each in allowed])}, {rate(allowed)} images/s"
    )
    whole = [wall / len(paths) for _, wall in found["embed"]]
    steady = [
        (large - small) / (len(paths) - len(few))
        for (_, large), (_, small) in zip(found["embed"], found["embed few"], strict=True)
    ]
    fixed = [small - each * len(few) for (_, small), each in zip(found["embed few"], steady, strict=True)]
    busy = [cpu / len(paths) for cpu, _ in found["embed"]]
    plain = found["plain loop"]
    print(
        f"embed: {spread([1e3 * each for each in whole])}, {rate(whole)} images/s; CPU time {spread([1e3 * each for each in busy])}"
    )
    print(
        f"  start and end of a run: {spread(fixed)} s; without it: {spread([1e3 * each for each in steady])}, {rate(steady)} images/s"
    )
    print(f"plain loop: {spread([1e3 * each for each in plain])}, {rate(plain)} images/s")
    told = partial(verdict, at_least=True, quick=quick)
    for said, ours in (("whole run", whole), ("without start and end", steady)):
        shares = [bound / mine for bound, mine in zip(allowed, ours, strict=True)]
        print(f"share of what the cores allow, {said}: {spread(shares)} ({told(median(shares), SHARE_GOAL)})")
    times = [theirs / mine for theirs, mine in zip(plain, whole, strict=True)]
    print(f"times the plain loop, whole run: {spread(times)} ({told(median(times), PLAIN_GOAL)})")


def compare_memory(folder: Path, count: int, quick: bool) -> None:
    """Print peak memory for some images and for four times as many (the same ones again)."""
    peaks = [
        in_new_process(__file__, "--part", "memory", "--images", folder, "--count", each) for each in (count, 4 * count)
    ]
    for each, (own, workers) in zip((count, 4 * count), peaks, strict=True):
        print(
            f"peak memory for {each:,} images: {own / 2**20:.0f} MiB, and {workers / 2**20:.0f} MiB in worker processes"
        )
    growth = sum(peaks[1]) / sum(peaks[0])
    print(f"four times the images: {growth:.2f} x ({verdict(growth, GROWTH_GOAL, at_least=False, quick=quick)})")


def embed(model: Model, paths: Sequence[Path]) -> tuple[float, float]:
    """CPU seconds (workers included) and wall seconds of a whole run."""
    import monoseme as ms

    with tempfile.TemporaryDirectory() as folder:
        begin, cpu = time.perf_counter(), sum(os.times()[:4])
        ms.embed(model, list(paths), out=Path(folder) / "run", batch_size=BATCH)
        return sum(os.times()[:4]) - cpu, time.perf_counter() - begin


def forward_one_batch(model: Model, batches: list[torch.Tensor]) -> tuple[float, float]:
    """CPU and wall seconds an image of the bare model, all threads on one batch."""
    import torch

    with torch.inference_mode(), timing(len(batches) * BATCH) as spent:
        for batch in batches:
            model.module(batch)
    return spent[0], spent[1]


def forward_streams(model: Model, batches: list[torch.Tensor]) -> tuple[float, float]:
    """CPU and wall seconds an image of the bare model, as many batches at once as there are cores, each on one thread."""
    import torch

    modules: SimpleQueue[torch.nn.Module] = SimpleQueue()
    for number in range(CORES):
        twin = model.twin() if number else model
        assert twin is not None
        modules.put(twin.module)

    def run(batch: torch.Tensor) -> None:
        module = modules.get()
        with torch.inference_mode():
            module(batch)
        modules.put(module)

    threads, pool = torch.get_num_threads(), ThreadPoolExecutor(CORES, "stream", torch.set_num_threads, (1,))
    with pool, timing(len(batches) * BATCH) as spent:
        list(pool.map(run, batches))
    torch.set_num_threads(threads)
    return spent[0], spent[1]


def loaders() -> dict[str, Callable[[bytes, Preprocess], Prepared]]:
    """The libraries at hand, each from encoded bytes to (8-bit pixels of the model's size, thumbnail)."""
    found = {"Pillow": with_pillow}
    try:
        import cv2

        cv2.setNumThreads(1)
        found["OpenCV"] = with_opencv
        import simplejpeg  # noqa: F401

        found["simplejpeg and OpenCV"] = with_simplejpeg
    except ModuleNotFoundError as missing:
        print(f"without {missing.name}: not installed", file=sys.stderr)
    return found


def loading(
    load: Callable[[bytes, Preprocess], Prepared], paths: Sequence[Path], preprocess: Preprocess
) -> tuple[float, float]:
    """CPU and wall seconds an image in one thread, from files to normalised batches and thumbnails."""
    gain = np.tile(np.float32(preprocess.scale) / np.float32(preprocess.std), SIDE)
    offset = np.tile(-np.float32(preprocess.mean) / np.float32(preprocess.std), SIDE)
    batch = np.empty((BATCH, SIDE, SIDE * 3), dtype=np.float32)
    with timing(len(paths)) as spent:
        for part in split(paths):
            for place, path in enumerate(part):
                pixels, _ = load(path.read_bytes(), preprocess)
                np.multiply(pixels.reshape(SIDE, -1), gain, out=batch[place])
            batch += offset
    return spent[0], spent[1]


def with_pillow(data: bytes, preprocess: Preprocess) -> Prepared:
    from PIL import Image

    image = Image.open(io.BytesIO(data)).convert("RGB")
    size, (left, top) = geometry(image.size, preprocess)
    pixels = image.resize(size, Image.Resampling[preprocess.interpolation.upper()])
    pixels = pixels.crop((left, top, left + SIDE, top + SIDE))
    file = io.BytesIO()
    image.resize(thumbnail_size(image.size), Image.Resampling.BILINEAR).save(file, "JPEG", quality=QUALITY)
    return np.asarray(pixels), file.getvalue()


def with_opencv(data: bytes, preprocess: Preprocess) -> Prepared:
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR)
    pixels, small = resized_by_opencv(image, preprocess)
    _, thumbnail = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), thumbnail.tobytes()


def with_simplejpeg(data: bytes, preprocess: Preprocess) -> Prepared:
    import simplejpeg

    if not simplejpeg.is_jpeg(data):
        return with_opencv(data, preprocess)
    pixels, small = resized_by_opencv(simplejpeg.decode_jpeg(data, "RGB"), preprocess)
    return pixels, simplejpeg.encode_jpeg(small, QUALITY, "RGB", "420")


def resized_by_opencv(image: np.ndarray, preprocess: Preprocess) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the model's size, and the thumbnail's."""
    import cv2

    given = (image.shape[1], image.shape[0])
    size, (left, top) = geometry(given, preprocess)
    way = cv2.INTER_AREA if size[0] < given[0] else getattr(cv2, f"INTER_{FILTERS[preprocess.interpolation]}")
    pixels = cv2.resize(image, size, interpolation=way)[top : top + SIDE, left : left + SIDE]
    return np.ascontiguousarray(pixels), cv2.resize(image, thumbnail_size(given), interpolation=cv2.INTER_AREA)


FILTERS = {"nearest": "NEAREST", "bilinear": "LINEAR", "bicubic": "CUBIC", "lanczos": "LANCZOS4"}


def geometry(size: tuple[int, int], preprocess: Preprocess) -> tuple[tuple[int, int], tuple[int, int]]:
    """(width, height) after resizing the short side, and (left, top) of the centre crop."""
    short = preprocess.resize
    assert isinstance(short, int)
    width, height = (max(short, int(short * side / min(size))) for side in size)
    return (width, height), ((width - SIDE) // 2, (height - SIDE) // 2)


def thumbnail_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) with the long side at most that of thumbnails."""
    scale = min(1.0, THUMBNAIL / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def plain_loop(paths: list[Path]) -> float:
    """Wall seconds an image of the loop that one writes first; libraries and the model are loaded before."""
    import torch
    from PIL import Image

    import monoseme as ms

    model = ms.load_model(MODEL, image_size=SIDE, device="cpu")
    module, preprocess = model.module.to(memory_format=torch.contiguous_format), model.preprocess
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocess.mean, preprocess.std))
    pooled: list[torch.Tensor] = []
    module.get_submodule(model.default_layer()).register_forward_hook(
        lambda _module, _inputs, output: pooled.append(output.mean((2, 3)))
    )

    def prepared(path: Path) -> torch.Tensor:
        image = Image.open(path).convert("RGB")
        size, (left, top) = geometry(image.size, preprocess)
        image = image.resize(size, Image.Resampling[preprocess.interpolation.upper()])
        pixels = np.array(image.crop((left, top, left + SIDE, top + SIDE)))
        return (torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float() * preprocess.scale - mean) / std

    with torch.no_grad():
        module(torch.stack([prepared(path) for path in paths[:BATCH]]))  # the first call prepares the convolutions
        begin = time.perf_counter()
        for part in split(paths):
            module(torch.stack([prepared(path) for path in part]))
        return (time.perf_counter() - begin) / len(paths)


def memory(paths: list[Path]) -> tuple[int, int]:
    """Peak bytes of this process and of its workers while embedding."""
    import monoseme as ms

    with ChildrenPeak() as children:
        embed(ms.load_model(MODEL, image_size=SIDE, device="cpu"), paths)
    return peak_memory(), children.total


PARTS: dict[str, Callable[[list[Path]], object]] = {"plain": plain_loop, "memory": memory}


@contextmanager
def timing(images: int) -> Iterator[list[float]]:
    """CPU seconds of this process and wall seconds, both an image."""
    spent: list[float] = []
    begin, cpu = time.perf_counter(), time.process_time()
    yield spent
    spent += [(time.process_time() - cpu) / images, (time.perf_counter() - begin) / images]


def split(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """Whole batches; what is left over at the end is not used."""
    return (paths[begin : begin + BATCH] for begin in range(0, len(paths) - BATCH + 1, BATCH))


def stack_of(model: Model, paths: Sequence[Path]) -> np.ndarray:
    """(n, H, W, 3) pixels as the model wants them."""
    from PIL import Image

    return np.stack([model.preprocess.pixels(Image.open(path)) for path in paths])


def cpu_of(times: Sequence[tuple[float, float]]) -> list[float]:
    """The CPU seconds."""
    return [cpu for cpu, _ in times]


def cheapest(found: dict[str, list[Any]], prefix: str) -> str:
    """The step that takes the least CPU time of those that begin so."""
    return min((name for name in found if name.startswith(prefix)), key=lambda name: median(cpu_of(found[name])))


def rate(seconds: Sequence[float]) -> str:
    """Images a second."""
    return f"{1 / median(seconds):.0f}"


def files_in(folder: Path) -> list[Path]:
    """Image files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))


def unpacked(archive: Path, scratch: Path, quick: bool) -> Path:
    """A folder with the images of a tar file, or with patches of the sample photographs where there is no such file."""
    if archive.is_file():
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        return scratch
    import monoseme as ms

    patches = ms.open_images(f"patches:samples:?per_image={32 if quick else 200}")
    for number in range(len(patches)):
        image = patches.load(number).image
        scale = max(1.0, min(image.size) / SIDE)  # as small as the photographs that the figures are from
        small = image.resize((round(image.width / scale), round(image.height / scale)))
        small.save(scratch / f"{number:05d}.jpg", quality=QUALITY)
    return scratch


if __name__ == "__main__":
    main()
