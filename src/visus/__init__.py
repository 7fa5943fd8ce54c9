"""visus: classic vision networks exactly as their papers have them, trained and judged on your own images.

Public names load on first use, so that ``import visus`` is cheap and loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Model": "visus.workflow.model",
    "Recipe": "visus.engine.recipe",
    "Run": "visus.api.run",
    "check_data": "visus.api.check_data",
    "compare": "visus.api.compare",
    "compress": "visus.api.compress",
    "cite": "visus.api.cite",
    "convert_data": "visus.api.convert_data",
    "create": "visus.api.create",
    "draw": "visus.api.draw",
    "evaluate": "visus.api.evaluate",
    "explain": "visus.api.explain",
    "explain_targets": "visus.api.explain_targets",
    "export": "visus.api.export",
    "find_anchors": "visus.api.find_anchors",
    "find_proposals": "visus.api.find_proposals",
    "identify": "visus.api.identify",
    "judge": "visus.api.judge",
    "list_models": "visus.api.list_models",
    "load": "visus.api.load",
    "merge_data": "visus.api.merge_data",
    "open_data": "visus.data.reading.opening",
    "predict": "visus.api.predict",
    "prove": "visus.api.prove",
    "prune": "visus.api.prune",
    "reproduce": "visus.api.reproduce",
    "resume": "visus.api.train",
    "resume_pruning": "visus.api.prune",
    "sample_data": "visus.api.sample_data",
    "serve": "visus.api.serve",
    "show_data": "visus.api.show_data",
    "slide": "visus.api.slide",
    "split_data": "visus.api.split_data",
    "summary": "visus.api.summary",
    "train": "visus.api.train",
}
"""Public name -> the module that defines it."""

__all__ = [*sorted(_HOMES), "__version__"]

if TYPE_CHECKING:
    from visus.api.check_data import check_data as check_data
    from visus.api.cite import cite as cite
    from visus.api.compare import compare as compare
    from visus.api.compress import compress as compress
    from visus.api.convert_data import convert_data as convert_data
    from visus.api.create import create as create
    from visus.api.draw import draw as draw
    from visus.api.evaluate import evaluate as evaluate
    from visus.api.explain import explain as explain
    from visus.api.explain_targets import explain_targets as explain_targets
    from visus.api.export import export as export
    from visus.api.find_anchors import find_anchors as find_anchors
    from visus.api.find_proposals import find_proposals as find_proposals
    from visus.api.identify import identify as identify
    from visus.api.judge import judge as judge
    from visus.api.list_models import list_models as list_models
    from visus.api.load import load as load
    from visus.api.merge_data import merge_data as merge_data
    from visus.api.predict import predict as predict
    from visus.api.prove import prove as prove
    from visus.api.prune import prune as prune
    from visus.api.prune import resume_pruning as resume_pruning
    from visus.api.reproduce import reproduce as reproduce
    from visus.api.run import Run as Run
    from visus.api.sample_data import sample_data as sample_data
    from visus.api.serve import serve as serve
    from visus.api.show_data import show_data as show_data
    from visus.api.slide import slide as slide
    from visus.api.split_data import split_data as split_data
    from visus.api.summary import summary as summary
    from visus.api.train import resume as resume
    from visus.api.train import train as train
    from visus.data.reading.opening import open_data as open_data
    from visus.engine.recipe import Recipe as Recipe
    from visus.workflow.model import Model as Model


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'visus' has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(_HOMES[name]), name)
    except ImportError as error:
        from visus.files.extras import missing_extra

        raise missing_extra(error) or error from None


def __dir__() -> list[str]:
    return sorted(__all__)
