"""The neuron page in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import MissingExtraError, UsageError
from ._serve import needs_extra

if TYPE_CHECKING:
    from ..banks import ConceptBank
    from ..runs import Run
    from ._widget import NeuronWidget


def neuron_widget(bank: ConceptBank, direction: int, run: Run | None = None, *, height: int = 760) -> NeuronWidget:
    """The page of one neuron, with the line across its tree, as a widget of a notebook.

    It is the explorer's page, answered by the kernel: there is no server and no port.

    Parameters
    ----------
    bank : ConceptBank
        The bank; it need not be saved.
    direction : int
        Neuron number, or row of the directions.
    run : Run, optional
        The run that the bank was made from, where the bank does not know it.
    height : int
        Of the widget in pixels.

    Raises
    ------
    UsageError
        There is no such direction, or no run for its images.
    MissingExtraError
        anywidget or FastAPI is not installed.

    Examples
    --------
    In a notebook::

        ms.neuron_widget(ms.load_bank("runs/iv3"), 35)
    """
    from ..runs import open_run
    from ..views import require_run

    with needs_extra():
        import fastapi  # noqa: F401
    try:
        from ._widget import NeuronWidget
    except ModuleNotFoundError as error:
        if error.name != "anywidget":
            raise
        raise MissingExtraError("the notebook widget", package="anywidget", extra="notebook") from error
    if run is None:
        if bank.run is None:
            raise UsageError("the bank does not know its run; give it: neuron_widget(bank, direction, run)")
        run = open_run(bank.run)
    require_run(bank, run)
    bank.position(direction)  # refuses one that there is not
    return NeuronWidget(run, bank, direction, height)
