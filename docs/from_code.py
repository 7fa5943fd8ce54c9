"""What the site takes from the code when it is built, so that no page can fall behind: tables, and formulas as MathML.

Directives, each a Markdown table made from visus itself:

- ``{recipe-fields} [PART]``: every field of a recipe, of one part ("optimizer" ...) or of the recipe itself;
- ``{published-recipes}``: the recipes that have names, and what each sets;
- ``{recipes-of-families}``: which of them train which networks, and which networks have none;
- ``{model-table} TASK``: the models of a task and their counts, one row an edition;
- ``{model-notes} TASK``: their papers, deviations, conventions, options and weights;
- ``{released-files} TASK``: the files of weights that are known, each with the editions that it fits;
- ``{named-data}``: the data sets that have names;
- ``{proof-table} TASK``: what the networks of a task are held to, and with what outcome;
- ``{proof-sentence}``: how many facts of each kind all networks are held to, and with what outcome;
- ``{printed-figures}``: every printed figure, and whether it holds;
- ``{proof-gaps}``: the networks of which no figure, no layer table or nothing at all is published;
- ``{published-slips}``: the published figures that are wrong, and why;
- ``{worked-table} ID``: a worked table of a paper, course or book, with our figures where printed ones are wrong.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class FromCode(SphinxDirective):
    """A directive whose content is Markdown that the code writes."""

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """The Markdown, line by line."""

    def run(self) -> list[nodes.Node]:
        """The nodes of that Markdown."""
        container = nodes.container()
        self.state.nested_parse(StringList(list(self.lines()), source=type(self).__name__), 0, container)
        return container.children


class RecipeFields(FromCode):
    """The fields of one part of a recipe: name, type, default, meaning."""

    optional_arguments = 1

    def lines(self) -> Iterator[str]:
        """One table; ValueError if the recipe has no such part."""
        from visus.engine.recipe import Recipe

        part = self.arguments[0] if self.arguments else ""
        rows = [
            (f"`{name}`", kind, f"`{_value(value)}`", text)
            for name, kind, value, text in Recipe().fields()
            if name.rpartition(".")[0] == part
        ]
        if not rows:
            raise self.error(f"a recipe has no part named {part}")
        yield from _table(("field", "type", "default", "meaning"), rows)


class PublishedRecipes(FromCode):
    """The recipes that have names, with what each sets."""

    def lines(self) -> Iterator[str]:
        """A definition list."""
        from visus.engine.recipe import ABOUT, Recipe
        from visus.recipes.published import PUBLISHED

        defaults = {name: value for name, _, value, _ in Recipe().fields()}
        for name, recipe in PUBLISHED.items():
            changed = [
                f"`{field}={_value(value)}`"
                for field, _, value, _ in recipe.fields()
                if field not in ABOUT and value != defaults[field]
            ]
            places: dict[str, list[str]] = {}
            for field, place in recipe.sources.items():
                places.setdefault(place, []).append(f"`{field}`")
            yield f"`{name}`"
            yield f": {recipe.source}."
            yield ""
            yield f"  {' '.join(changed)}"
            yield ""
            printed = "; ".join(f"{place} ({', '.join(fields)})" for place, fields in places.items())
            yield f"  *Printed in:* {printed}."
            yield ""
            yield f"  *Keeps* the {recipe.keep} weights. *Missing:* {'; '.join(recipe.missing or ()) or 'nothing'}."
            yield ""


class RecipesOfFamilies(FromCode):
    """The families of networks, with the recipes that their papers or releases print, or why there is none."""

    def lines(self) -> Iterator[str]:
        """One table."""
        from visus.models.catalog import all_cards
        from visus.recipes.families import RECIPES_OF, WITHOUT, families

        rows = []
        for family, models in families(all_cards()).items():
            recipes = ", ".join(f"`{name}`" for name in RECIPES_OF.get(family, ()))
            names = [f"`{name}`" for name in models]
            shown = ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")
            rows.append((shown, recipes or f"none: {WITHOUT[family]}"))
        yield from _table(("models", "recipes"), rows)


class ModelTable(FromCode):
    """The models of a task, one row an edition."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """One table."""
        rows = [
            (
                f"`{card.full_name}`",
                "x".join(map(str, card.input)),
                str(card.classes),
                f"{card.parameters:,}",
                f"{card.macs:,}" if card.macs is not None else "not published",
                card.weights[0].trained_on if card.weights else "none",
            )
            for card in _cards(self.arguments[0])
        ]
        yield from _table(("model", "input", "classes", "parameters", "MACs", "weights"), rows)


class ModelNotes(FromCode):
    """What each model is: title, paper, deviation, options, weights."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """A definition list."""
        from visus.models.building import known_options

        for card in _cards(self.arguments[0]):
            yield f"`{card.full_name}`"
            yield f": {card.title}. {card.paper}."
            if card.note:
                yield ""
                yield f"  *Note:* {card.note}"
            if card.conventions is not None:
                for what, text in card.conventions.lines().items():
                    yield ""
                    yield f"  *{what.capitalize()}:* {text}"
            options = [f"`{name}={_value(value)}`" for name, value in known_options(card).items()]
            if options:
                yield ""
                yield f"  *Options:* {', '.join(options)}"
            for file in card.weights:
                yield ""
                figures = ", ".join(f"{name} {value:.3%}" for name, value in file.metrics.items())
                digest = f"`{file.sha256}`" if file.sha256 else "not stated"
                yield (
                    f"  *Weights:* `{file.name}`, SHA-256 {digest}, {file.licence}"
                    + (f"; its publisher states {figures}" if figures else "")
                    + ("" if file.url else "; brought by hand, for it is published in another form")
                )
            yield ""
            yield f"  *Proof level:* {card.proof_level}"
            yield ""


class ReleasedFiles(FromCode):
    """The known files of weights of the networks of a task, each with the editions that it fits."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """One table."""
        from visus.models.released_files import released_files

        rows = [
            (
                f"`{file.name}`",
                ", ".join(f"`{edition}`" for edition in file.editions),
                file.fills,
                file.trained_on,
                "visus" if file.fetched else "you",
                f"`{file.sha256}`" if file.sha256 else "not stated",
            )
            for file in released_files(_cards(self.arguments[0]))
        ]
        yield from _table(("file", "fits", "fills", "trained on", "brought by", "SHA-256"), rows)


class WorkedTable(FromCode):
    """A worked table of a paper, course or book, with our figure beside each printed one that is wrong."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """One table, and why figures of it are wrong."""
        from visus.proof.worked_tables import worked_table

        table = worked_table(self.arguments[0])
        wrong = [
            (name, column, figure)
            for name, figures in table.rows
            for column, figure in zip(table.columns, figures, strict=True)
            if not figure.same
        ]
        rows = [
            (name, *(f.printed if f.same else f"**{f.computed}** (printed: {f.printed})" for f in figures))
            for name, figures in table.rows
        ]
        yield f"*{table.source}*; worked out from `{table.model}`."
        yield ""
        yield from _table(("", *table.columns), rows)
        yield ""
        for name, column, figure in wrong:
            yield f"- *{name}, {column}:* {figure.wrong}."
        if table.note:
            yield f"- {table.note}"


class NamedData(FromCode):
    """The data sets that have names."""

    def lines(self) -> Iterator[str]:
        """One table."""
        from visus.data.reading.named import NAMED

        yield from _table(("name", "what"), [(f"`{name}`", title) for name, title in NAMED.items()])


class ProofTable(FromCode):
    """What ``visus prove`` says of the networks of a task."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """One table."""
        from visus.proof.report import Report

        models = {card.full_name for card in _cards(self.arguments[0])}
        yield from Report(tuple(proof for proof in _proof().proofs if proof.model in models)).badges().splitlines()


class ProofSentence(FromCode):
    """How many facts of each kind all networks are held to, and with what outcome."""

    def lines(self) -> Iterator[str]:
        """One paragraph."""
        yield _proof().sentence()


class PrintedFigures(FromCode):
    """Every printed figure, and whether it holds."""

    def lines(self) -> Iterator[str]:
        """One table."""
        yield from _proof().figures().splitlines()


class ProofGaps(FromCode):
    """The networks of which a kind of fact is published nowhere that is known."""

    def lines(self) -> Iterator[str]:
        """A definition list, in the words and numbers of the sentence."""
        from visus.proof.verdict import FactKind

        proofs = _proof().proofs
        held = [proof for proof in proofs if proof.fact]
        groups = (
            ("No figure is printed", [proof for proof in held if not proof.count(FactKind.PRINTED)]),
            ("No layer table is published", [proof for proof in held if not proof.count(FactKind.TABULATED)]),
            ("Nothing is published", [proof for proof in proofs if not proof.fact]),
        )
        for words, networks in groups:
            yield f"{words} ({len(networks)})"
            yield f": {', '.join(f'`{proof.model}`' for proof in networks)}"
            yield ""


class PublishedSlips(FromCode):
    """The published figures that are wrong."""

    def lines(self) -> Iterator[str]:
        """One table."""
        yield from _proof().slips().splitlines()


@cache
def _proof() -> Any:
    """Of every network, held to the facts once a build."""
    from visus.api.prove import prove

    return prove()


def _cards(task: str) -> list[Any]:
    from visus.api.list_models import list_models

    return list_models(task=task)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _value(value: Any) -> str:
    """A value as YAML and ``--set`` write it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
    return str(value) or '""'


def _visit_math(translator: Any, node: nodes.math) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _visit_math_block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(
        f'<div class="formula" style="padding: 0.5em 0">{tex2mathml(node.astext(), as_block=True)}</div>'
    )
    raise nodes.SkipNode


def _unlink_editions(_: Sphinx, document: nodes.document) -> None:
    """reStructuredText takes resnet18@torchvision for an address to write to."""
    for link in list(document.findall(nodes.reference)):
        if link.get("refuri", "").startswith("mailto:"):
            link.replace_self(link.children)


def _keep_returns_whole(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Napoleon takes what stands before a colon under "Returns:" for a type; types are in the annotations here."""
    for place, line in enumerate(lines[:-1]):
        if line == "Returns:":
            indented = lines[place + 1]
            text = indented.lstrip()
            lines[place + 1] = indented.removesuffix(text) + ": " + text


def setup(app: Sphinx) -> dict[str, bool]:
    """Makes the directives and the renderer known to Sphinx."""
    app.add_directive("recipe-fields", RecipeFields)
    app.add_directive("published-recipes", PublishedRecipes)
    app.add_directive("recipes-of-families", RecipesOfFamilies)
    app.add_directive("model-table", ModelTable)
    app.add_directive("model-notes", ModelNotes)
    app.add_directive("released-files", ReleasedFiles)
    app.add_directive("named-data", NamedData)
    app.add_directive("worked-table", WorkedTable)
    app.add_directive("proof-table", ProofTable)
    app.add_directive("proof-sentence", ProofSentence)
    app.add_directive("printed-figures", PrintedFigures)
    app.add_directive("proof-gaps", ProofGaps)
    app.add_directive("published-slips", PublishedSlips)
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math_block, None))
    app.connect("doctree-read", _unlink_editions)
    app.connect("autodoc-process-docstring", _keep_returns_whole, priority=400)  # before napoleon's 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
