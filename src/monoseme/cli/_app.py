"""The program: its commands, and what happens when one of them fails."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

# Lance logs its own business (a table that is about to be made does not exist yet) unless it is told otherwise.
os.environ.setdefault("LANCE_LOG", "error")

import typer

from ..base import MonosemeError
from ._common import Stopped
from .annotate import annotate
from .apply import apply
from .causal import causal
from .demo import demo
from .disentangle import disentangle
from .embed import embed
from .evaluate import evaluate
from .explore import explore
from .export import export
from .export_images import export_images
from .import_ import import_
from .info import info, verify
from .label import label
from .layers import layers
from .name import name
from .report import report
from .show import show
from .study import study
from .visualize import visualize

app = typer.Typer(
    name="monoseme",
    help="Split the polysemantic neurons of a vision model into concept vectors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo,
    layers,
    embed,
    import_,
    disentangle,
    show,
    evaluate,
    name,
    causal,
    visualize,
    report,
    explore,
    annotate,
    apply,
    export,
    export_images,
    label,
    info,
    verify,
):
    app.command(command.__name__.rstrip("_").replace("_", "-"))(command)
app.add_typer(study, name="study", no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("monoseme"))
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Split the polysemantic neurons of a vision model into concept vectors."""


def main() -> None:
    """Run the program: exit status 0 done, 1 failed, 2 bad usage, 130 stopped by Ctrl-C."""
    logging.captureWarnings(True)  # what libraries warn of is no sentence for users; failures raise
    logging.getLogger("py.warnings").addHandler(logging.NullHandler())
    sys.exit(_status())


def _status() -> int:
    try:
        status = app(standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except MonosemeError as error:
        return _failed(str(error), error.exit_status)
    except typer.TyperException as error:
        if not error.format_message():  # no command was given, and the help is printed
            return 2
        hint = "" if "?" in str(error) else "; see --help"
        return _failed(f"{error.format_message().rstrip('.')}{hint}", 2)
    except Stopped as stop:
        return _failed(str(stop), 130)
    except (KeyboardInterrupt, typer.Abort):
        return _failed("stopped", 130)
    except BrokenPipeError:  # the reader of a pipe has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _failed(f"{error.filename or 'the system'}: {(error.strerror or str(error)).splitlines()[0].lower()}", 1)
    except MemoryError:
        return _failed("memory ran out; use a smaller --batch-size, fewer --workers or fewer neurons at a time", 1)


def _failed(sentence: str, status: int) -> int:
    print(f"error: {sentence}" if status != 130 else sentence, file=sys.stderr)
    return status
