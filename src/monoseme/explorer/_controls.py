"""The controls of the neuron page: a form that works by its address alone, and sooner where scripts run."""

from __future__ import annotations

from ..base.html import Html, element, joined
from ._choice import Choice
from ._cut import Cut
from ._dendrogram import top_of
from ._opened import OpenedBank

METHODS = {
    "published": "published: cut at the line, then k-means",
    "calibrated": "calibrated: tested against chance",
}


def controls(bank: OpenedBank, found: Cut, read_only: bool) -> Html:
    """The line as a slider, the method with its parameters, and what writes the choice into a bank."""
    choice = found.choice
    most = top_of(found.view.heights)
    published = choice.method == "published"
    kept = bank.bank.heights.shape[1] + 1
    threshold = "" if choice.threshold is None else repr(choice.threshold)
    line = element(
        "input", type="range", id="line", min="0", max=repr(most), step="any", value=threshold or repr(most),
        aria_describedby="line-help",
    )  # fmt: skip
    height = _number("threshold", threshold, said="height of the line")
    granularity = _number("granularity", choice.granularity or "", 0.01, 0.99, 0.01)
    fields = [
        _field("method", "Method", _methods(choice)),
        _field("line", "Line across the tree", joined([line, height]), published, "field wide"),
        _field("outlier", "Outliers", _outlier(choice.outlier or "auto"), published),
        _field("granularity", "Granularity", granularity, choice.method == "calibrated"),
        _field("min_size", "Fewest images of a concept", _number("min_size", choice.min_size, 1, kept, 1)),
        _field("top", "Strongest images", _number("top", choice.top, 2, kept, 1)),
    ]
    if choice.band != 1:
        fields.append(element("input", type="hidden", name="band", value=f"{choice.band:g}"))
    buttons = element(
        "p",
        element("noscript", element("button", "split", type="submit")),
        element("a", "as in the bank", href="?" if choice.band == 1 else f"?band={choice.band:g}", id="own"),
        class_="buttons",
    )
    help_ = element(
        "p",
        "Drag the line in the tree, or move it with the arrow keys: each press joins or parts two clusters. A full dot marks "
        "images that the test finds to be more than one concept, an empty one images that it does not.",
        id="line-help",
        class_="faint small",
    )
    form = element(
        "form", element("div", *fields, class_="fields"), buttons, method="get", id="controls", autocomplete="off"
    )
    return element("div", help_, form, Html() if read_only else _save(bank, choice), class_="controls")


def _save(bank: OpenedBank, choice: Choice) -> Html:
    note = f"Splits every {bank.bank.start_name} of the layer in this way and keeps the result beside the other banks."
    field = element(
        "label",
        "name ",
        element("input", name="name", id="name", required="", pattern=r"[A-Za-z0-9][A-Za-z0-9._\-]*", maxlength="60"),
    )
    progress = element("progress", id="progress", hidden="", aria_label="writing the bank")
    form = element(
        "form", element("p", note, class_="faint"), field, " ", element("button", "write the bank", type="submit"), " ",
        progress, element("p", id="saved"), id="save", data_address=f"/api{bank.place().base}/save",
    )  # fmt: skip
    return element("details", element("summary", "Keep this choice as a bank"), form)


def _methods(choice: Choice) -> Html:
    known = METHODS if choice.method in METHODS else {choice.method: choice.method, **METHODS}
    options = [
        element("option", text, value=name if name in METHODS else "", selected="" if name == choice.method else None)
        for name, text in known.items()
    ]
    return element("select", *options, name="method", id="method")


def _outlier(value: str) -> Html:
    said = "auto, a quantile such as q0.9, or a squared distance"
    return element("input", name="outlier", id="outlier", value=value, maxlength="24", size="8", title=said)


def _number(
    name: str,
    value: object,
    least: float = 0,
    most: float | None = None,
    step: float | None = None,
    said: str | None = None,
) -> Html:
    return element(
        "input", type="number", name=name, id=name, value=value, min=least, max=most, step="any" if step is None else step,
        aria_label=said,
    )  # fmt: skip


def _field(name: str, label: str, content: Html, shown: bool = True, kind: str = "field") -> Html:
    """A label with its control; hidden where the method has no use for it."""
    return element("div", element("label", label, for_=name), content, class_=kind, hidden=None if shown else "")
