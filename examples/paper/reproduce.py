"""Make every figure and table of the paper, or some: ``python examples/paper/reproduce.py --setting caltech --images DIR``.

Each item is one command, printed before it runs so that it can be copied. What an item printed is kept in OUT/printed; an item
that is there already is not made again, unless it is named with --only or what it stands on has changed.
"""

import argparse
import contextlib
import io
import runpy
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

from items import BY_NAME, ITEMS, Item
from settings import SETTINGS, Setting

import monoseme as ms
from monoseme.base import counted, did_you_mean, duration, join_words

ROOT = Path(__file__).parents[2]


def main() -> int:
    given = arguments()
    try:
        setting = SETTINGS[known(given.setting, SETTINGS, "setting")]
        named = [BY_NAME[known(name, BY_NAME, "item")] for name in given.only or ()]
        if given.quick:
            setting = replace(setting, steps=2, sample=64)
        if given.list:
            places = {"run": "RUN", "out": "OUT", "images": given.images or "IMAGES"}
            for item in named or ITEMS:
                print(f"{item.name}: {item.what}\n  {shlex.join(item.argv(setting, **places))}")
            return 0
        if given.images is None:
            raise ms.UsageError(f"say where the images are: --images PATH ({setting.images})")
        return run(setting, given.images, given.out, named)
    except ms.MonosemeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", default="imagenet", help=f"{join_words(list(SETTINGS))}; imagenet by default")
    parser.add_argument("--images", help="the images, as monoseme embed takes them")
    parser.add_argument("--out", type=Path, default=Path("paper"), help="where everything goes")
    parser.add_argument("--only", action="append", metavar="ITEM", help="this item; may be given again")
    parser.add_argument("--list", action="store_true", help="list items and commands, and leave")
    parser.add_argument(
        "--quick", action="store_true", help="see that all of it runs: too few steps and images to mean much"
    )
    return parser.parse_args()


def known(name: str, names: dict[str, object], what: str) -> str:
    """The name, if there is such a one."""
    if name not in names:
        raise ms.UsageError(
            f"there is no {what} {name!r}{did_you_mean(name, names)} (known: {join_words(list(names), 'and')})"
        )
    return name


def run(setting: Setting, images: str, out: Path, named: list[Item]) -> int:
    """Make the items named, or all that are not there yet, and what they need."""
    begin = time.monotonic()
    places = {"run": str(out / "run"), "out": str(out), "images": images}
    wanted = {item.name for item in named or ITEMS}
    for item in reversed(ITEMS):  # needs stand before what needs them
        wanted |= set(item.needs) if item.name in wanted else set()
    made: set[str] = set()
    failed: set[str] = set()
    for item in (each for each in ITEMS if each.name in wanted):
        command = item.argv(setting, **places)
        record = out / "printed" / f"{item.name}.txt"
        line = f"$ {shlex.join(command)}\n"
        there = record.is_file() and record.read_text(encoding="utf-8").startswith(line)
        if failed & set(item.needs):
            print(f"\n# {item.name} is left out: {join_words(sorted(failed & set(item.needs)), 'and')} failed")
            failed.add(item.name)
        elif there and item not in named and not made & set(item.needs):
            print(f"# {item.name} is there: {record}")
        else:
            print(f"\n# {item.name}: {item.what}\n{line}", end="", flush=True)
            record.unlink(missing_ok=True)
            status, printed = call(command)
            if status == 130:
                return status
            if status:
                failed.add(item.name)
                continue
            made.add(item.name)
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(line + printed, encoding="utf-8")
            if item.found:
                print(f"(the authors, on ImageNet: {item.found})")
    print(f"\n{counted(len(made), 'item')} made in {duration(time.monotonic() - begin)}; everything is in {out}")
    if failed:
        print(f"error: {join_words(sorted(failed), 'and')} could not be made; the lines above say why", file=sys.stderr)
    return 1 if failed else 0


class Tee(io.StringIO):
    """Keeps what is printed, and prints it."""

    def write(self, text: str) -> int:
        sys.__stdout__.write(text)
        return super().write(text)

    def flush(self) -> None:
        sys.__stdout__.flush()


def call(command: list[str]) -> tuple[int, str]:
    """Exit status of a command, and what it printed. It runs in this process: importing torch takes longer than most items."""
    kept, status = sys.argv, 0
    program, *rest = command
    printed = Tee()
    try:
        with contextlib.redirect_stdout(printed):
            if program == "monoseme":
                sys.argv = [program, *rest]
                runpy.run_module("monoseme", run_name="__main__")
            else:
                sys.argv = rest
                runpy.run_path(str(ROOT / rest[0]), run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        status = 130
    finally:
        sys.argv = kept
    return status, printed.getvalue()


if __name__ == "__main__":
    sys.exit(main())
