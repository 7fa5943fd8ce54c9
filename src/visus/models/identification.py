"""Finds the edition that a file of weights belongs to, by what the file holds.

Evidence, the strongest first: what a model file of visus says of itself; the SHA-256 of a published file; the layout
(names, Caffe's layers, the length of a Darknet file) and the shapes; the number of classes. A file that fills only a
backbone or first layers decides no edition. Where two editions that differ fit equally, none is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from visus.errors import UsageError, VisusError, WeightsError
from visus.models import catalog
from visus.models.building import known_options
from visus.models.card import Card
from visus.models.edition_fits import (
    Fit,
    Misfit,
    Networks,
    length_of,
    likely_editions,
    released_as,
    try_edition,
    writes_such_files,
)
from visus.models.fetching import sha256_of
from visus.models.model_header import Statement, read_statement
from visus.models.released_files import filled
from visus.models.weight_files import limit_for
from visus.models.weight_matching import DARKNET, WeightsContent, open_file, require_finite

Evidence = Literal["header", "hash", "own classes", "other classes", "body", "part"]
EVIDENCE: tuple[Evidence, ...] = ("header", "hash", "own classes", "other classes", "body", "part")
"""By what an edition is found, the strongest first: the file says it itself; it is a published file; all values fit,
with the edition's own number of classes, or with another; all but the head fit; it fills a backbone or first layers."""

_NONE: Mapping[str, Any] = MappingProxyType({})
_NORMALISATION = ("order", "scale", "mean", "std")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An edition that a file fits.

    Args:
        card: of the edition.
        fills: what the file fills of its network: "network", "backbone", or "first layers of the ...".
        classes: that the file's head tells apart; None if it has no head of the network's form.
        values: how many numbers the file has for the network.
        evidence: by what it is found.
        reason: the same in words.
    """

    card: Card
    fills: str
    classes: int | None
    values: int
    evidence: Evidence
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "edition": self.card.full_name,
            "task": self.card.task,
            "fills": self.fills,
            "classes": self.classes,
            "values": self.values,
            "evidence": self.evidence,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Identification:
    """The editions that a file fits, and the one that it belongs to.

    Args:
        path: the file.
        candidates: the editions that it fits, the best first.
        chosen: the one that it belongs to; None where the file does not tell.
        reason: why, in one sentence; without a chosen one, what the editions differ in.
    """

    path: Path
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    reason: str

    def require(self, how: str = "name the edition") -> Candidate:
        """The edition that the file belongs to.

        Args:
            how: what a person does to name one, for the error.

        Raises:
            WeightsError: if the file does not tell, with the editions to choose from.
        """
        if self.chosen is not None:
            return self.chosen
        best = [one for one in self.candidates if one.evidence == self.candidates[0].evidence]
        names = [candidate.card.full_name for candidate in best]
        raise WeightsError(
            f"{self.path.name} does not tell which edition it belongs to: it fits {_listed(names)}",
            expected="a file that fits one edition, or the name of an edition",
            got=self.reason,
            remedy=f"{how}: {_listed(names)}",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "file": str(self.path),
            "chosen": None if self.chosen is None else self.chosen.card.full_name,
            "reason": self.reason,
            "editions": [candidate.to_dict() for candidate in self.candidates],
        }


def identify(
    path: Path,
    name: str | None = None,
    *,
    classes: int | None = None,
    in_channels: int | None = None,
    options: Mapping[str, Any] = _NONE,
) -> Identification:
    """Finds the edition that a file of weights belongs to.

    Args:
        path: the file.
        name: a model or composition, whose editions are asked; one that names an edition must be the right one. None:
            the whole catalogue is asked.
        classes: of the network that is to be filled; None: the edition's own.
        in_channels: of that network; None: the edition's own.
        options: of that network's builder.

    Raises:
        WeightsError: if the file cannot be read, fits none of the editions, holds NaN, or belongs to another edition
            than the named one.
        UnknownModelError: if there is no such model.
    """
    stated = read_statement(path)
    if name is None:
        cards = catalog.all_cards()
        if stated is not None:
            cards, stated = _stated_cards(stated)
            if stated is not None:
                options, in_channels = {**stated.options, **options}, in_channels or stated.in_channels
    else:
        cards = catalog.editions_of(name)
    is_search = name is None and stated is None
    file = open_file(path, limit_for(2 * max(_parameters(card) for card in cards)))
    networks = Networks(in_channels, options)
    results = _search(cards, file, networks) if is_search else _try_all(cards, file, networks)
    fits = [result for result in results if isinstance(result, Fit)]
    misfits = sorted((r for r in results if isinstance(r, Misfit)), key=lambda misfit: misfit.nearness, reverse=True)
    if not fits:
        raise _foreign(path, name, misfits, stated)
    known = _Known(path, stated)
    evidence = {fit.card.full_name: known.evidence(fit) for fit in fits}
    fits.sort(key=lambda fit: EVIDENCE.index(evidence[fit.card.full_name]))
    require_finite(fits[0].state, path)
    best = [fit for fit in fits if evidence[fit.card.full_name] == evidence[fits[0].card.full_name]]
    candidates = {
        fit.card.full_name: Candidate(
            fit.card,
            filled(fit.part, is_partial=fit.is_partial),
            fit.classes,
            fit.values,
            evidence[fit.card.full_name],
            _reason(fit, evidence[fit.card.full_name], stated, file),
        )
        for fit in fits
    }
    ranked = tuple(candidates.values())
    if is_search and not best[0].is_whole and len({fit.card.name for fit in best}) > 1:
        return Identification(path, ranked, None, f"it fills no whole network, but the {ranked[0].fills} of several")
    chosen, why = _choose(best, known, file)
    if name is not None and "@" in name:
        chosen, why = _named(catalog.find(name), fits, best, misfits, chosen, why, evidence, classes, path)
    if chosen is None:
        return Identification(path, ranked, None, why)
    reason = f"{chosen.full_name}: {candidates[chosen.full_name].reason}{why}"
    if not why and evidence[chosen.full_name] not in ("header", "hash"):
        reason += _others(chosen, fits, misfits, networks, file)
    return Identification(path, ranked, candidates[chosen.full_name], reason)


def _stated_cards(stated: Statement) -> tuple[tuple[Card, ...], Statement | None]:
    try:
        return (catalog.find(stated.model),), stated
    except UsageError:  # of a package that is not installed here
        return catalog.all_cards(), None


def _parameters(card: Card) -> int:
    """At least so many values has the network of this card, or its backbone's own network."""
    return card.parameters or (catalog.find(card.backbone).parameters if card.backbone else 0)


def _try_all(cards: Sequence[Card], file: WeightsContent, networks: Networks) -> list[Fit | Misfit]:
    """Tries each edition; one that the options do not allow is none. Raises the first such error if no edition is."""
    results: list[Fit | Misfit] = []
    problems: list[VisusError] = []
    for card in cards:
        try:
            results.append(try_edition(card, file, networks))
        except VisusError as error:
            problems.append(error)
    if not results and problems:
        raise problems[0]
    return results


def _search(cards: Sequence[Card], file: WeightsContent, networks: Networks) -> list[Fit | Misfit]:
    """Tries the likely editions of the catalogue, up to those that a file fits; then their models' other editions."""
    results: list[Fit | Misfit] = []
    for group in likely_editions(cards, file, networks):
        tried = {result.card.full_name for result in results}
        results += _try_all([card for card in group if card.full_name not in tried], file, networks)
        found = {result.card.name for result in results if isinstance(result, Fit) and result.is_whole}
        if found:
            tried |= {card.full_name for card in group}
            others = [card for card in cards if card.name in found and card.full_name not in tried]
            return results + _try_all(others, file, networks)
    return results


class _Known:
    """What is known of a file beside its values: what it says of itself, and its SHA-256, which is asked for late."""

    def __init__(self, path: Path, stated: Statement | None) -> None:
        self._path, self._stated, self._digest = path, stated, ""

    def evidence(self, fit: Fit) -> Evidence:
        """The strongest evidence for an edition."""
        card = fit.card
        owners = [card, catalog.find(card.backbone)] if card.backbone else [card]
        if self._stated is not None and self._stated.model in [owner.full_name for owner in owners]:
            return "header"
        if (fit.is_whole or card.backbone) and any(self._is_published_for(owner) for owner in owners):
            return "hash"
        if not fit.is_whole:
            return "part"
        if not fit.has_head:
            return "body"
        return "own classes" if fit.has_own_classes else "other classes"

    def source(self) -> Card | None:
        """The edition whose trained values the file holds; None if that is not known."""
        if self._stated is not None:
            return _stated_cards(self._stated)[0][0]
        return next((card for card in catalog.all_cards() if self._is_published_for(card)), None)

    def _is_published_for(self, card: Card) -> bool:
        hashes = [file.sha256 for file in card.files if file.sha256 and file.part == "network" and not file.is_partial]
        if hashes and not self._digest:
            self._digest = sha256_of(self._path)
        return any(self._digest.startswith(sha256) for sha256 in hashes)


def _choose(best: Sequence[Fit], known: _Known, file: WeightsContent) -> tuple[Card | None, str]:
    """The edition of those with the same evidence, and the end of the sentence that says why; None if none is."""
    if not best[0].is_whole and not best[0].card.backbone:
        card = _beginning(best, known, file)
        names = [fit.card.full_name for fit in best if fit.card != card]
        return card, f"; they fit {_listed(names)} as well, and decide no edition" if names else ""
    if len(_kinds(best)) > 1 and best[0].origin:
        here = [fit for fit in best if writes_such_files(fit.card, file.path)]
        called = [fit for fit in here if fit.has_own_classes and released_as(fit.card, file.path)]
        told = called or here
        others = [fit.card.full_name for fit in best if fit not in told]
        if others and len(_kinds(told)) == 1:
            return told[0].card, f"; so has {_listed(others)}, {_why_not(told[0], file, by_name=bool(called))}"
        best = told or best
    kinds = _kinds(best)
    if len(kinds) == 1:
        return best[0].card, ""
    first, second = kinds[0][0].card, kinds[1][0].card
    more = f", and {len(kinds) - 2} more" if len(kinds) > 2 else ""
    return None, f"{first.full_name} and {second.full_name} differ in {_differences(first, second)}{more}"


def _why_not(fit: Fit, file: WeightsContent, *, by_name: bool) -> str:
    """Why a file is of this edition and not of others that it fits as well, as the end of a sentence."""
    if not by_name:
        return "of which no such file was released"
    known = released_as(fit.card, file.path)
    is_another = known is not None and known.sha256  # else the hash would have told
    return f"but {file.path.name} is the name of a file released with {fit.card.full_name}" + (
        ", though its content is another" if is_another else ""
    )


def _kinds(fits: Sequence[Fit]) -> list[list[Fit]]:
    """Groups the editions whose networks and preprocessing are the very same."""
    groups: dict[str, list[Fit]] = {}
    for fit in fits:
        groups.setdefault(repr(_behaviour(fit.card)), []).append(fit)
    return list(groups.values())


def _behaviour(card: Card) -> dict[str, Any]:
    """All that decides what a network answers to an image, beside its weights."""
    network: dict[str, Any] = {"network": card.builder}
    network |= {f"option {name}": value for name, value in sorted(known_options(card).items()) if name != "backbone"}
    if card.backbone:
        backbone = catalog.find(card.backbone)
        network |= {
            f"backbone's {name}": value
            for name, value in {"network": backbone.builder, **known_options(backbone)}.items()
        }
    return {**network, **asdict(card.preprocessing)}


def _differences(one: Card, other: Card) -> str:
    first, second = _behaviour(one), _behaviour(other)
    names = [name for name in first if first[name] != second.get(name)]
    if any(name.endswith("network") for name in names):
        return "their layers" + (f" ({other.note or one.note})" if other.note or one.note else "")
    return ", ".join(f"{name}: {_short(first[name])} and {_short(second.get(name))}" for name in names[:4])


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _beginning(fits: Sequence[Fit], known: _Known, file: WeightsContent) -> Card:
    """The edition to begin with a file of a backbone or of first layers: one that sees images as that file's network
    did, where that is known; else the paper's."""
    source = known.source() if len(_kinds(fits)) > 1 else None
    alike: list[Fit] = []
    if source is not None:
        alike = [fit for fit in fits if _normalisation(fit.card) == _normalisation(source)]
    order = "BGR" if file.path.suffix == ".caffemodel" else "RGB" if fits[0].origin not in ("", DARKNET) else ""
    alike = alike or [fit for fit in fits if fit.card.preprocessing.order == order] or list(fits)
    return next((fit.card for fit in alike if fit.card.edition == "paper"), alike[0].card)


def _normalisation(card: Card) -> tuple[Any, ...]:
    return tuple(getattr(card.preprocessing, name) for name in _NORMALISATION)


def _named(
    named: Card,
    fits: Sequence[Fit],
    best: Sequence[Fit],
    misfits: Sequence[Misfit],
    chosen: Card | None,
    why: str,
    evidence: Mapping[str, Evidence],
    classes: int | None,
    path: Path,
) -> tuple[Card, str]:
    """The edition that a person named, if the file does not belong to another one.

    Raises:
        WeightsError: that names the edition to which it belongs.
    """
    own = next((fit for fit in fits if fit.card.full_name == named.full_name), None)
    right = chosen or best[0].card
    if own is None:
        error = next(misfit.error for misfit in misfits if misfit.card.full_name == named.full_name)
        raise WeightsError(
            f"{path.name} does not fit {named.full_name}, but {right.full_name}",
            expected=error.expected or f"a file of {named.full_name}",
            got=error.got or error.problem,
            remedy=f"name {right.full_name}, or only {named.name}",
        )
    if right.full_name == named.full_name:
        return named, why if chosen is not None else ""
    if repr(_behaviour(right)) == repr(_behaviour(named)) or own in best:
        return named, f"; {right.full_name} fits it as well" if chosen not in (None, named) else ""
    found = evidence[best[0].card.full_name]
    is_asked = own.is_whole and own.classes == classes
    if found in ("header", "hash") or (best[0].origin and not is_asked):
        says = {
            "header": f"a file that says that it is {right.full_name}",
            "hash": f"a published file of {right.full_name}, by its SHA-256",
        }.get(found, f"the values of {right.full_name}, with {best[0].classes} classes")
        raise WeightsError(
            f"{path.name} belongs to {right.full_name}, not to {named.full_name}",
            expected=f"a file of {named.full_name}" + (f", with {named.classes} classes" if named.classes else ""),
            got=says,
            remedy=f"name {right.full_name}, or only {named.name}; they differ in {_differences(right, named)}",
        )
    return named, f"; {right.full_name} has so many classes by itself"


def _foreign(path: Path, name: str | None, misfits: Sequence[Misfit], stated: Statement | None) -> WeightsError:
    """The error for a file that fits no edition: the nearest, with the first difference."""
    says = f"; it says that it is {stated.model}" if stated is not None else ""
    if not misfits:
        return WeightsError(
            f"{path.name} fits no network of the catalogue",
            expected="the weights of one of its networks",
            got=f"values of other names, layers or lengths{says}",
            remedy="name the network: visus models lists them all",
        )
    nearest = misfits[0]
    where = f" ({nearest.card.full_name}, the nearest edition)" if len(misfits) > 1 else ""
    remedy = nearest.error.remedy
    return WeightsError(
        nearest.error.problem
        if name is not None or nearest.is_damaged
        else f"{path.name} fits no network of the catalogue",
        expected=f"{nearest.error.expected or nearest.card.full_name}{where}",
        got=f"{nearest.error.got or nearest.error.problem}{says}",
        remedy=f"{remedy}; visus models --weights FILE names the editions that it fits" if name is not None else remedy,
    )


def _reason(fit: Fit, evidence: Evidence, stated: Statement | None, file: WeightsContent) -> str:
    """Why a file is one of this edition, in words."""
    if evidence == "header" and stated is not None:
        return f"the file says so itself, with {stated.classes} classes"
    if evidence == "hash":
        return "it has the SHA-256 of the published file"
    kind = "values" if fit.origin == DARKNET else "arrays" if file.path.suffix == ".caffemodel" else "tensors"
    number = fit.values if fit.origin == DARKNET else fit.tensors
    if not fit.is_whole:
        return f"{number:,} {kind} fill {'the first layers of ' if fit.is_partial else ''}its {fit.part}"
    if not fit.has_head:
        return f"{number:,} {kind} fit, but those of its head, which is of another form"
    classes = f" with {fit.classes} classes" if fit.card.classes else ""
    if fit.origin == DARKNET:
        return f"{fit.values:,} values, as this edition{classes} has"
    return f"{number:,} {kind}, named and shaped as this edition{classes} has them"


def _others(
    chosen: Card, fits: Sequence[Fit], misfits: Sequence[Misfit], networks: Networks, file: WeightsContent
) -> str:
    """What tells the next editions of the same model from the chosen one, as the end of a sentence."""
    parts: list[str] = []
    for fit in fits:
        other = fit.card
        if other.name != chosen.name or other.full_name == chosen.full_name:
            continue
        if file.values is None and fit.is_whole:
            parts.append(f"{other.full_name} would have {length_of(other, networks):,}")
        elif other.classes != chosen.classes:
            parts.append(f"{other.full_name} has {other.classes} classes")
    for misfit in misfits:
        if misfit.card.name != chosen.name:
            continue
        if misfit.length:
            parts.append(f"{misfit.card.full_name} would have {misfit.length:,}")
        else:
            parts.append(f"{misfit.card.full_name} does not fit ({misfit.error.got or misfit.error.problem})")
    return "; " + "; ".join(parts[:2]) if parts else ""


def _listed(names: Sequence[str]) -> str:
    return " or ".join(names[:6]) + (f" or {len(names) - 6} more" if len(names) > 6 else "")
