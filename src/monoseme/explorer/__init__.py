"""The explorer: a run comes in; pages of its layers, neurons and concepts go out, live in a browser.

One module a page; `_app` puts them together, `_safety` guards them, `_opened` is the run as they read it, `_choice` and `_cut`
split one neuron while a line is dragged. The same pages without a server: `_site` writes them as files, `_widget` puts one into a
notebook; `_inside` asks for them, `_rewrite` turns their links.
"""

from ._export import Exported, export_pages
from ._notebook import neuron_widget
from ._serve import Explorer, create_app, explore

__all__ = ["Explorer", "Exported", "create_app", "explore", "export_pages", "neuron_widget"]
