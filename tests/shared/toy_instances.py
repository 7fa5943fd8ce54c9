"""A tiny network of instance segmentation, as an installed package brings one: its card, which loads no torch."""

from pathlib import Path

from visus.engine.recipe import Optimizer, Recipe
from visus.models.card import Card
from visus.structures import Preprocessing


def recipe(card: Card, facts: object, *, pretrained: bool) -> Recipe:
    return Recipe(source="the toy", epochs=3, batch_size=4, optimizer=Optimizer(name="adam", lr=3e-3))


NETWORK = Card(
    name="toy_instances",
    edition="paper",
    task="instance_segmentation",
    builder="toy_instance_network:build",
    title="a toy",
    year=2026,
    paper="none",
    input=(3, 64, 64),
    classes=1,
    parameters=0,
    own_data="toy_instances:recipe",
    preprocessing=Preprocessing(size=(64, 64), fit="stretch", mean=(0.5,) * 3, std=(0.5,) * 3),
)


def install(site: Path) -> Path:
    """Writes what pip would, so that a site folder on Python's path offers the network."""
    facts = site / "toy_instances-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: toy_instances\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[visus.models]\ntoy_instances = toy_instances:NETWORK\n")
    return site
