"""Weights, rates and outputs that are not finite end a training in words, though no loss shows them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from visus.data.augmentation.preparing import Preparer
from visus.data.pixels.images import ArrayImage
from visus.engine.checkpoint import Checkpoints
from visus.engine.device_batches import to_device
from visus.engine.fit import Validation, fit
from visus.engine.predict import predict
from visus.engine.recipe import Recipe
from visus.engine.run_folder import RunFolder
from visus.errors import DivergedError, RecipeError
from visus.structures import Sample
from visus.tasks.update import Update, task_update


def recipe(*changes):
    changed = Recipe().with_changes({"epochs": 3, "batch_size": 6, "optimizer.lr": 0.05})
    return changed.with_changes(list(changes))


class Root(nn.Module):
    """A loss whose tenth gradient, of the square root at zero, is infinite while the loss is fine."""

    def __init__(self, network):
        super().__init__()
        self.network, self.calls = network, 0

    def forward(self, batch):
        loss = functional.cross_entropy(self.network(batch.images), batch.targets)
        if self.training and len(batch) > 1:
            self.calls += 1
            if self.calls == 10:
                loss = loss + (self.network.fc.weight.sum() * 0).sqrt()
        return {"loss": loss}


def test_weights_that_are_not_finite_are_never_saved_nor_judged(tiny, tmp_path):
    """The tenth step is the epoch's last, and no loss follows that would show its weights."""
    run = RunFolder.create(tmp_path, "tiny", recipe())
    network = tiny.make_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    losses, judged = Root(network), []
    validation = Validation(lambda network: judged.append(network) or {"score": 0.5}, "score")
    with pytest.raises(DivergedError, match="weights are not finite after step 10"):
        fit(
            network,
            [Update(losses, [losses], optimizer)],
            tiny.TinyLoader(),
            recipe(),
            to_device=tiny.ready,
            run=run,
            validation=validation,
        )
    assert not judged
    last = Checkpoints(run.path).load()
    assert last is not None
    assert all(bool(torch.isfinite(v).all()) for v in last.tensors.values() if v.is_floating_point())


def test_recover_goes_back_when_the_last_steps_weights_are_not_finite(tiny, tmp_path):
    run = RunFolder.create(tmp_path, "tiny", recipe())
    network = tiny.make_network()
    losses = Root(network)
    chosen = recipe("on_nan=recover")
    fitted = fit(
        network,
        [Update(losses, [losses])],
        tiny.TinyLoader(),
        chosen,
        to_device=tiny.ready,
        run=run,
        validation=tiny.accuracy(),
    )
    assert [row["lr"] for row in fitted.history] == pytest.approx([0.025, 0.025, 0.025])
    assert all(bool(torch.isfinite(value).all()) for value in network.state_dict().values())


@pytest.mark.parametrize(("rate", "words"), [(1e30, "not finite"), (1e300, "beyond all numbers of float32")])
@pytest.mark.parametrize("on_nan", ["stop", "recover"])
def test_rates_that_carry_the_weights_away_end_in_words(tiny, tmp_path, rate, words, on_nan):
    chosen = recipe("epochs=1").with_changes({"optimizer.lr": rate, "optimizer.name": "adam", "on_nan": on_nan})
    network = tiny.make_network()
    update = task_update(network, tiny.TinyTask())
    run = RunFolder.create(tmp_path, "tiny", chosen)
    with pytest.raises(DivergedError, match=words) as caught:
        fit(network, [update], tiny.TinyLoader(), chosen, to_device=tiny.ready, run=run, validation=tiny.accuracy())
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "change", ["optimizer.lr=.inf", "optimizer.lr=nan", "loss.focal=.inf", "augmentation.elastic=inf"]
)
def test_a_recipe_takes_no_infinite_numbers(change):
    with pytest.raises(RecipeError, match="cannot take this value"):
        recipe(change)


def test_a_prediction_of_weights_that_are_not_finite(tiny):
    network = tiny.make_network()
    with torch.no_grad():
        network.fc.bias[0] = torch.nan
    samples = [Sample("a", ArrayImage(torch.zeros(8, 8, 3, dtype=torch.uint8).numpy()))]
    answers = predict(
        network,
        tiny.Classification(tiny.CLASSES),
        samples,
        Preparer("classification", tiny.PREPROCESSING, None, 0),
        to_device=to_device(tiny.PREPROCESSING, torch.device("cpu")),
    )
    with pytest.raises(DivergedError, match="outputs of the network are not finite"):
        next(iter(answers))
    assert not network._forward_hooks  # what watches a prediction is taken off again
