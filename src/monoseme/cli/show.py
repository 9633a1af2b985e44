"""``monoseme show``: the concepts of one neuron, in the terminal."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..base import counted, printable
from ._common import BankOption, Json, LayerOption, RunFolder, annotated, say


def show(
    run: RunFolder,
    neuron: Annotated[
        int, typer.Argument(metavar="NEURON", help="Its number (or that of the direction).", show_default=False)
    ],
    layer: LayerOption = None,
    bank: BankOption = None,
    images: Annotated[int, typer.Option(help="How many image names to print for each concept.")] = 5,
    as_json: Json = False,
) -> None:
    """Show what a neuron splits into: size, separation, commonest labels and top images of each concept."""
    from ..runs import open_run

    opened = open_run(run)
    from ..banks import bank_folder, choose_bank, load_bank, load_names
    from ..views import Titles

    folder = bank_folder(opened.path, *choose_bank(opened.path, layer, bank))
    loaded = load_bank(folder)
    concepts = loaded.for_direction(neuron)
    known = opened.shown_labels()
    titles = Titles(loaded.annotations, load_names(folder))
    exemplars = loaded.exemplars_of(neuron)
    dropped = exemplars["concept"].null_count
    division = loaded.divisions.slice(loaded.position(neuron), 1).to_pylist()
    sure = ""
    if division and division[0]["p_value"] is not None:
        sure = f"; divided with p = {division[0]['p_value']:.2g}, q = {division[0]['q_value']:.2g} over all neurons"
    lines = [
        f"neuron {neuron} of {loaded.layer}: {counted(len(concepts), 'concept')} in {len(exemplars)} exemplars, {dropped} dropped{sure}"
    ]
    facts: list[dict[str, Any]] = []
    for concept in concepts:
        row = loaded.concepts.slice(concept.number, 1).to_pylist()[0]
        found = loaded.top_images(concept.number, max(1, min(images, loaded.images_kept)))
        names = opened.images(found["image_id"].to_numpy(), ["uri"])["uri"].to_pylist()
        separation = "only one" if concept.separation is None else f"{concept.separation:.3g}"
        cosine = "" if row["cosine_start"] is None else f", cosine with the neuron {row['cosine_start']:.2f}"
        found_again = "" if row["stability"] is None else f", stability {row['stability']:.2f}"
        said = concept.annotation
        lines += [
            "",
            f"concept {concept.number}: {concept.size} exemplars, separation {separation}{cosine}{found_again}",
        ]
        title, nameless = titles.of(concept.key), titles.nameless(concept.key)
        if title.by == "automatic":
            lines.append(f"  name        {title.text} ({title.detail})")
        elif nameless is not None:
            lines.append(f"  name        none: {nameless}")
        lines += annotated(said)
        if labels := known.commonest(concept.image_ids):
            lines.append(f"  labels      {labels}")
        if images > 0:
            lines.append(f"  top images  {', '.join(printable(name) for name in names)}")
        facts.append(
            {
                **row,
                "name": title.given or None,
                "name_from": title.source or None,
                "annotation": None if said is None else said.to_json(),
                "labels": known.commonest(concept.image_ids),
                "top_images": names,
            }
        )
    lines += [""] if concepts else []
    lines.append(f"in Python: ms.load_bank({str(run)!r}{_where(layer, bank)}).for_direction({neuron})")
    say(
        lines,
        {
            "neuron": neuron,
            "layer": loaded.layer,
            "exemplars": len(exemplars),
            "dropped": dropped,
            **_tests(division),
            "concepts": facts,
        },
        as_json,
    )


def _tests(division: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: division[0][name] if division else None for name in ("p_value", "q_value", "cosine")}


def _where(layer: str | None, bank: str | None) -> str:
    return "".join(f", {key}={value!r}" for key, value in (("layer", layer), ("name", bank)) if value is not None)
