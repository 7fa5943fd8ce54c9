"""All models by name: those of visus and those of installed packages. Loads no torch.

Names: "resnet50" (the default edition), "resnet50@torchvision", and compositions such as "ssd+mobilenet_v2@tf".
"""

from __future__ import annotations

import difflib
from dataclasses import replace

from visus.errors import UnknownModelError
from visus.models.card import Card
from visus.models.classification import catalog as classification
from visus.models.detection import catalog as detection
from visus.models.landmarks import catalog as landmarks
from visus.models.localization import catalog as localization
from visus.models.segmentation import catalog as segmentation
from visus.structures.extensions import extensions

CARDS: tuple[Card, ...] = (
    *classification.CARDS,
    *localization.CARDS,
    *landmarks.CARDS,
    *detection.CARDS,
    *segmentation.CARDS,
)


def all_cards() -> tuple[Card, ...]:
    """The cards of visus's models, then those of other installed packages.

    Raises:
        ExtensionError: if an installed package's models cannot be loaded.
    """
    return (*CARDS, *extensions("visus.models", Card, tuple(card.name for card in CARDS)))


def find(name: str, *, pretrained: bool = False) -> Card:
    """Finds the card of a model.

    Args:
        name: "model", "model@edition", "model+backbone" or "model+backbone@edition".
        pretrained: whether an edition that is not named should be one with published weights, if there is any;
            without, it is the paper's.

    Returns:
        The card. That of a composition bears the name "model+backbone" and the backbone's edition, so that its
        ``full_name`` finds it again; its preprocessing has the model's size and the backbone's normalisation, and its
        ``parameters`` are 0, because no publication counts them.

    Raises:
        UnknownModelError: with the names that are near, or the editions that there are.
    """
    model, plus, backbone = name.partition("+")
    if not plus:
        return _find_one(model, pretrained=pretrained)
    card = _find_one(model, pretrained=False)
    return compose(card if "@" in model else backbone_edition(card), _find_one(backbone, pretrained=pretrained))


def find_revision(name: str, revision: int, backbone_revision: int = 1) -> Card:
    """The card of a full name as it was when something was trained with it.

    Args:
        name: "name@edition", or "model+backbone@edition".
        revision: of the edition, or of the composition's model.
        backbone_revision: of the backbone's edition; of no meaning for a network of one piece.

    Raises:
        UnknownModelError: as :func:`find` does.
        WeightsError: if a revision does not exist, or cannot be built any more.
    """
    model, plus, backbone = name.partition("+")
    if plus:
        stands = _find_one(model, pretrained=False)
        stands = stands if "@" in model else backbone_edition(stands)
        return compose(stands.at(revision), _find_one(backbone, pretrained=False).at(backbone_revision))
    card = find(name).at(revision)
    if not card.backbone or backbone_revision == (own := find(card.backbone)).revision:
        return card
    return replace(card, backbone_options=own.at(backbone_revision).options)


def changes_since(name: str, revision: int, backbone_revision: int = 1) -> str:
    """What was otherwise in a network of these revisions, in words; "" if nothing was. See :func:`find_revision`."""
    card = find(name)
    changes = {card.full_name: card.changes_since(revision)}
    if card.backbone:
        backbone = find(card.backbone)
        changes[backbone.full_name] = backbone.changes_since(backbone_revision)
    return "; ".join(f"{which} as it was: {change}" for which, change in changes.items() if change)


def backbone_revision(card: Card) -> int:
    """Today's revision of a composition's backbone; 1 for a network of one piece."""
    return find(card.backbone).revision if card.backbone else 1


def editions_of(name: str) -> tuple[Card, ...]:
    """The cards that a name may mean: all editions of a model, or a composition on each edition of its backbone.

    Args:
        name: as for :func:`find`. An edition that it names is no choice: the others are listed, too.

    Raises:
        UnknownModelError: as :func:`find` does.
    """
    card = find(name)
    model, plus, backbone = name.partition("+")
    if not plus:
        return editions(card.name)
    stands = _find_one(model, pretrained=False)
    stands = stands if "@" in model else backbone_edition(stands)
    return tuple(compose(stands, other) for other in editions(backbone.partition("@")[0]))


def backbone_edition(card: Card) -> Card:
    """The edition of this model that takes a backbone; ``card`` itself if it takes one, or if no edition does."""
    if card.takes_backbone:
        return card
    return next((other for other in editions(card.name) if other.takes_backbone), card)


def compose(card: Card, backbone: Card) -> Card:
    """Makes the card of a model on another backbone.

    Raises:
        UnknownModelError: if ``card`` is no model that takes a backbone, or ``backbone`` is none that can be one.
    """
    if not card.takes_backbone:
        raise UnknownModelError(
            f"{card.full_name} takes no backbone",
            expected="a model with a backbone: "
            + ", ".join(dict.fromkeys(other.name for other in all_cards() if other.takes_backbone)),
            got=f"{card.name}+{backbone.name}",
            remedy="name the model without a backbone",
        )
    if backbone.task != "classification":
        raise UnknownModelError(
            f"{backbone.name} cannot be a backbone",
            expected="a classification network",
            got=f"a {backbone.task} network",
            remedy="see all models with: visus models",
        )
    backbone_preprocessing = backbone.preprocessing
    model = card.name.partition("+")[0]
    if "+" not in card.name and card.full_name != backbone_edition(editions(card.name)[0]).full_name:
        model = card.full_name
    return replace(
        card,
        name=f"{model}+{backbone.name}",
        edition=backbone.edition,
        title=f"{card.title}, on {backbone.name}",
        input=(backbone.input[0], *card.input[1:]),
        backbone=backbone.full_name,
        backbone_options=backbone.options,
        parameters=0,
        macs=None,
        fact="",
        weights=(),
        proof_level="L1",
        conventions=None,
        preprocessing=replace(
            card.preprocessing,
            centred=False,  # Darknet's way, which weights of other networks do not ask for
            order=backbone_preprocessing.order,
            scale=backbone_preprocessing.scale,
            mean=backbone_preprocessing.mean,
            std=backbone_preprocessing.std,
            channels=backbone_preprocessing.channels,
        ),
        note="Not published on this backbone.",
    )


def editions(name: str) -> tuple[Card, ...]:
    """The cards of all editions of a model; empty for an unknown name."""
    built_in = tuple(card for card in CARDS if card.name == name)  # first without looking at other packages
    return built_in or tuple(card for card in all_cards() if card.name == name)


def _find_one(name: str, *, pretrained: bool) -> Card:
    model, at, edition = name.partition("@")
    cards = editions(model)
    if not cards:
        names = list(dict.fromkeys(card.name for card in all_cards()))
        near = difflib.get_close_matches(model.lower().replace("-", "").replace("_", ""), names, n=3, cutoff=0.5)
        raise UnknownModelError(
            f"there is no model named {model}",
            expected=" or ".join(near) if near else "one of " + ", ".join(names),
            got=name,
            remedy="see all models with: visus models",
        )
    if at:
        for card in cards:
            if card.edition == edition:
                return card
        raise UnknownModelError(
            f"{model} has no edition named {edition or '(nothing)'}",
            expected=" or ".join(card.full_name for card in cards),
            got=name,
        )
    if pretrained:
        for card in cards:
            if card.weights:
                return card
    return next((card for card in cards if card.edition == "paper"), cards[0])
