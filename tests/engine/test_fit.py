"""The loop: what a recipe asks for is what happens."""

from __future__ import annotations

import csv
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from visus.engine.checkpoint import Checkpoints
from visus.engine.fit import Validation, fit
from visus.engine.recipe import Recipe
from visus.engine.run_folder import RunFolder
from visus.errors import DivergedError, RecipeError, UsageError
from visus.layers.drop_path import ScheduledDropPath
from visus.tasks.update import Update, task_update


def recipe(*changes, **fields):
    fields = {"epochs": 3, "batch_size": 6, "optimizer": {"lr": 0.05}, **fields}
    return Recipe(**fields).with_changes(list(changes))


def weights(network):
    return torch.cat([value.detach().double().flatten() for value in network.state_dict().values()])


def run_fit(tiny, recipe, *, network=None, loader=None, validate=True, **options):
    network = network or tiny.make_network(recipe.seed)
    if loader is None:
        loader = tiny.TinyLoader(batch_size=recipe.batch_size, seed=recipe.seed)
    validation = tiny.accuracy() if validate else None
    update = task_update(network, tiny.TinyTask())
    return network, fit(network, [update], loader, recipe, to_device=tiny.ready, validation=validation, **options)


def test_it_learns_and_leaves_its_files(tiny, tmp_path):
    run = RunFolder.create(tmp_path, "tiny", recipe())
    network, fitted = run_fit(tiny, recipe(), run=run)
    assert fitted.best_score == 1.0
    assert fitted.steps == 30
    assert not fitted.stopped_early
    rows = list(csv.DictReader((run.path / "results.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["loss"]) < float(rows[0]["loss"])
    names = {path.name for path in run.path.iterdir() if not path.name.startswith(".")}
    assert names >= {"config.yaml", "command.txt", "env.json", "results.csv", "log.txt", "last.ckpt", "best.ckpt"}
    best = Checkpoints(run.path).load_best()
    assert best is not None
    assert torch.equal(best.tensors["model/fc.weight"], network.fc.weight)


class WatchedPath(ScheduledDropPath):
    """Collects the shares of a training that it sees."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.shares: list[float] = []

    def forward(self, x):
        if self.training:
            self.shares.append(self.training_share)
        return super().forward(x)


class Following(nn.Identity):
    """A module of a stranger that follows the training, and has a ``share`` of its own."""

    training_share = -1.0
    share = 0.5


@pytest.mark.parametrize("kind", [WatchedPath, Following])
def test_a_module_that_follows_the_training_gets_the_share_that_is_over(tiny, kind):
    network = tiny.make_network(0)
    network.dropout = kind()
    run_fit(tiny, recipe(), network=network, validate=False)
    assert network.dropout.training_share == 29 / 30  # three epochs of ten steps
    if kind is WatchedPath:
        assert network.dropout.shares[-30:] == [step / 30 for step in range(30)]
    else:
        assert network.dropout.share == 0.5


def test_the_averaged_weights_are_those_of_every_step(tiny):
    """Against the average written out by hand, from the weights that each step saw, and the last ones."""
    seen = []

    class Watched(nn.Dropout):
        def forward(self, x):
            if self.training:
                seen.append(network.fc.weight.detach().clone())
            return super().forward(x)

    network = tiny.make_network(0)
    network.dropout = Watched(0.0)
    run_fit(tiny, recipe("ema=0.9"), network=network, validate=False)
    steps = seen[-30:]  # three epochs of ten; before them, what memory a batch takes was measured
    plain = tiny.make_network(0, dropout=0.0)
    run_fit(tiny, recipe(), network=plain, validate=False)
    average = steps[0]
    for number, after in enumerate([*steps[1:], plain.fc.weight.detach()], start=1):
        decay = min(0.9, (1 + number) / (10 + number))
        average = decay * average + (1 - decay) * after
    torch.testing.assert_close(network.fc.weight.detach(), average, rtol=1e-5, atol=1e-7)
    assert not torch.equal(average, plain.fc.weight)


def test_same_seed_same_weights_and_another_seed_others(tiny):
    first, _ = run_fit(tiny, recipe())
    second, _ = run_fit(tiny, recipe())
    third, _ = run_fit(tiny, recipe(seed=1))
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(third))


def test_equals_a_bare_loop(tiny):
    """Written out by hand in plain PyTorch: SGD with momentum, a step a batch."""
    ours, _ = run_fit(tiny, recipe("channels_last=false"), network=tiny.make_network(dropout=0.0), validate=False)
    network = tiny.make_network(dropout=0.0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(3):
        for batch in tiny.TinyLoader().batches(epoch):
            optimizer.zero_grad()
            functional.cross_entropy(network(tiny.ready(batch).images), batch.targets).backward()
            optimizer.step()
    assert torch.equal(weights(ours), weights(network))


class Plain(nn.Module):
    """Without BatchNorm, whose statistics differ between one large batch and several small ones."""

    def __init__(self, activation=None):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), activation or nn.Tanh(), nn.Linear(8, 3))

    def forward(self, images):
        return self.layers(images)


@pytest.mark.parametrize("count", [60, 54])  # 54: the last group of an epoch is shorter than the others
def test_accumulated_batches_equal_the_large_one(tiny, count):
    results = []
    for batch_size, accumulate in ((12, 1), (4, 3)):
        torch.manual_seed(3)
        network = Plain()
        chosen = recipe(batch_size=batch_size, accumulate=accumulate, reference_batch_size=24)
        loader = WithRest(tiny.TinyLoader(count, 1, noise=False), batch_size)
        run_fit(tiny, chosen, network=network, loader=loader, validate=False)
        results.append(weights(network))
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-6)


class WithRest:
    """Batches from a loader of single images, the last of an epoch as short as it comes."""

    def __init__(self, singles, batch_size):
        self.singles, self.batch_size = singles, batch_size

    def __len__(self):
        return math.ceil(len(self.singles) / self.batch_size)

    def batches(self, epoch, start=0):
        images = list(self.singles.batches(epoch))
        for first in range(start * self.batch_size, len(images), self.batch_size):
            part = images[first : first + self.batch_size]
            yield type(part[0])(
                torch.cat([b.images for b in part]),
                torch.cat([b.targets for b in part]),
                [b.placements[0] for b in part],
                [b.ids[0] for b in part],
            )


def test_clip_norm_bounds_the_step(tiny):
    chosen = recipe("clip_norm=0.01", "optimizer.momentum=0", "optimizer.lr=1", epochs=1)
    before = tiny.make_network()
    network = tiny.make_network()
    run_fit(tiny, chosen, network=network, loader=tiny.TinyLoader(6), validate=False)
    moved = torch.cat([(a - b).flatten() for a, b in zip(network.parameters(), before.parameters(), strict=True)])
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)


def test_rate_is_scaled_to_the_images_of_a_step(tiny):
    _, fitted = run_fit(tiny, recipe(reference_batch_size=24, accumulate=2, epochs=1))
    assert fitted.history[0]["lr"] == pytest.approx(0.05 * 12 / 24)


def test_warmup_and_cosine_in_the_history(tiny):
    _, fitted = run_fit(tiny, recipe("schedule.name=cosine", "schedule.warmup_epochs=1", epochs=2))
    assert [row["lr"] for row in fitted.history] == pytest.approx(
        [0.05, 0.05 * 0.5 * (1 + math.cos(math.pi * 9 / 10))]  # step 9: the warm-up's last; step 19: 9 of 10 after it
    )


def test_plateau_lowers_the_rate_when_the_score_stays(tiny):
    validation = Validation(lambda network: {"accuracy": 0.5}, "accuracy")
    chosen = recipe("schedule.name=plateau", "schedule.patience=1", "schedule.gamma=0.5", epochs=6)
    network = tiny.make_network()
    update = task_update(network, tiny.TinyTask())
    loader = tiny.TinyLoader(12)
    fitted = fit(network, [update], loader, chosen, to_device=tiny.ready, validation=validation)
    # Best in epoch 1; epochs 2 and 3 are no better, which is more than one: halved from epoch 4 on, and again.
    assert [row["lr"] for row in fitted.history] == pytest.approx([0.05, 0.05, 0.05, 0.025, 0.025, 0.0125])


def test_early_stopping_waits_for_its_patience(tiny):
    scores = iter([0.1, 0.5, 0.4, 0.5, 0.3, 0.9])
    network = tiny.make_network()
    chosen = recipe("early_stopping=3", epochs=6)
    update = task_update(network, tiny.TinyTask())
    validation = Validation(lambda network: {"accuracy": next(scores)}, "accuracy")
    fitted = fit(network, [update], tiny.TinyLoader(12), chosen, to_device=tiny.ready, validation=validation)
    assert (fitted.best_epoch, fitted.best_score, len(fitted.history)) == (2, 0.5, 5)
    assert fitted.stopped_early


def test_early_stopping_without_validation_is_an_error(tiny):
    with pytest.raises(RecipeError, match="early stopping needs a validation split"):
        run_fit(tiny, recipe("early_stopping=3"), validate=False)


def test_evaluate_every_skips_epochs_but_not_the_last(tiny):
    _, fitted = run_fit(tiny, recipe("evaluate_every=2", epochs=5))
    assert ["val.accuracy" in row for row in fitted.history] == [False, True, False, True, True]


def test_a_score_of_none_is_never_the_best(tiny):
    network = tiny.make_network()
    update = task_update(network, tiny.TinyTask())
    validation = Validation(lambda network: {"map50": None}, "map50")
    fitted = fit(network, [update], tiny.TinyLoader(12), recipe(), to_device=tiny.ready, validation=validation)
    assert fitted.best_epoch is None


def test_average_is_judged_and_kept(tiny, tmp_path):
    run = RunFolder.create(tmp_path, "tiny", recipe())
    network, _ = run_fit(tiny, recipe("ema=0.99"), run=run, validate=False)
    last = Checkpoints(run.path).load()
    assert last is not None
    assert torch.equal(network.fc.weight, last.tensors["average/fc.weight"])
    assert not torch.equal(network.fc.weight, last.tensors["model/fc.weight"])


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_recipe_says_which_weights_are_kept(tiny, tmp_path, keep):
    chosen = recipe(f"keep={keep}", epochs=3)
    run = RunFolder.create(tmp_path, "tiny", chosen)
    scores = iter([0.9, 0.1, 0.2])
    network = tiny.make_network()
    validation = Validation(lambda network: {"accuracy": next(scores)}, "accuracy")
    update = task_update(network, tiny.TinyTask())
    fit(network, [update], tiny.TinyLoader(12), chosen, to_device=tiny.ready, run=run, validation=validation)
    best, last = Checkpoints(run.path).load_best(), Checkpoints(run.path).load()
    assert best is not None
    assert last is not None
    assert not torch.equal(best.tensors["model/fc.weight"], last.tensors["model/fc.weight"])
    assert torch.equal(network.fc.weight, (best if keep == "best" else last).tensors["model/fc.weight"])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_learns_too(tiny, precision):
    network, fitted = run_fit(tiny, recipe(f"precision={precision}"))
    assert fitted.best_score == 1.0
    assert network.fc.weight.dtype == torch.float32


class Spoiled(nn.Module):
    """Losses that go wrong at some steps, counted over the life of the module."""

    def __init__(self, losses, bad):
        super().__init__()
        self.losses, self.bad, self.calls = losses, bad, 0

    def forward(self, batch):
        terms = self.losses(batch)
        if self.training and len(batch) > 1:
            self.calls += 1
            if self.calls in self.bad:
                terms = {name: value * float("nan") for name, value in terms.items()}
        return terms


def spoiled_fit(tiny, chosen, bad, run, grad=False):
    network = tiny.make_network()
    update = task_update(network, tiny.TinyTask())
    losses = Spoiled(update.losses, bad)
    return network, lambda: fit(
        network,
        [Update(losses, [losses])],
        tiny.TinyLoader(),
        chosen,
        to_device=tiny.ready,
        run=run,
        validation=tiny.accuracy(),
    )


def test_a_loss_that_is_not_finite_stops_at_once_and_names_the_files(tiny, tmp_path):
    run = RunFolder.create(tmp_path, "tiny", recipe())
    network, go = spoiled_fit(tiny, recipe(), {14}, run)
    with pytest.raises(DivergedError) as caught:
        go()
    assert caught.value.exit_code == 3
    message = str(caught.value)
    assert "step 14" in message
    assert "cross_entropy = nan" in message
    fourth = list(tiny.TinyLoader().batches(1))[3]
    assert all(name in message for name in fourth.ids)
    assert bool(torch.isfinite(weights(network)).all())
    last = Checkpoints(run.path).load()
    assert last is not None
    assert last.state["position"]["step"] == 10
    assert all(bool(torch.isfinite(v).all()) for v in last.tensors.values() if v.is_floating_point())


def test_too_high_a_rate_is_named_as_the_cause(tiny):
    with pytest.raises(DivergedError, match="learning rate is too high"):
        run_fit(tiny, recipe("optimizer.lr=100", epochs=5), network=Plain(nn.Identity()), validate=False)


def test_recover_goes_back_halves_the_rate_and_leaves_the_step_out(tiny, tmp_path):
    run = RunFolder.create(tmp_path, "tiny", recipe())
    _, go = spoiled_fit(tiny, recipe("on_nan=recover"), {14}, run)
    fitted = go()
    assert fitted.steps == 30
    assert [row["lr"] for row in fitted.history] == pytest.approx([0.05, 0.025, 0.025])
    last = Checkpoints(run.path).load()
    assert last is not None
    assert last.state["position"]["skipped"] == [[1, 3]]


def test_recover_gives_up_in_the_end(tiny, tmp_path):
    run = RunFolder.create(tmp_path, "tiny", recipe())
    _, go = spoiled_fit(tiny, recipe("on_nan=recover"), set(range(5, 1000)), run)
    with pytest.raises(DivergedError):
        go()


def test_a_step_that_the_scaler_skips_is_no_divergence(tiny):
    """In float16 the first scale of 65536 makes gradients overflow; the scaler skips such steps and goes on."""

    class Loud(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, batch):
            return {"loss": 300 * functional.cross_entropy(self.network(batch.images), batch.targets)}

    network = tiny.make_network()
    update = Update(Loud(network), [network], torch.optim.SGD(network.parameters(), lr=1e-4))
    fitted = fit(network, [update], tiny.TinyLoader(), recipe("precision=float16"), to_device=tiny.ready)
    assert fitted.steps == 30
    assert bool(torch.isfinite(weights(network)).all())


def test_two_updates_train_only_their_own(tiny):
    """As a GAN does: both losses run through both modules, each optimiser changes one of them."""
    first, second = nn.Linear(192, 4), nn.Linear(4, 3)
    both = nn.ModuleList([first, second])

    class Loss(nn.Module):
        def __init__(self, sign):
            super().__init__()
            self.both, self.sign = both, sign

        def forward(self, batch):
            out = self.both[1](self.both[0](batch.images.flatten(1)))
            return {"loss": self.sign * functional.cross_entropy(out, batch.targets)}

    ascending, descending = Loss(-1), Loss(1)
    up = torch.optim.SGD(first.parameters(), lr=0.0)
    down = torch.optim.SGD(second.parameters(), lr=0.1)
    before = first.weight.clone(), second.weight.clone()
    updates = [Update(ascending, [first], up, "up"), Update(descending, [second], down, "down")]
    fitted = fit(both, updates, tiny.TinyLoader(12), recipe(epochs=1), to_device=tiny.ready)
    assert torch.equal(first.weight, before[0])
    assert not torch.equal(second.weight, before[1])
    assert set(fitted.history[0]) >= {"loss.up.loss", "loss.down.loss"}
    assert first.weight.grad is not None  # its own update gave it one
    assert second.weight.requires_grad


class Watched(nn.Module):
    """Notes in which mode it is each time that it is asked."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(192, 8), nn.BatchNorm1d(8)
        self.modes = []

    def forward(self, x):
        self.modes.append(self.training)
        return self.norm(self.linear(x))


def test_a_frozen_teacher_keeps_its_mode_and_its_statistics(tiny):
    """In every epoch, though each validation puts the whole network into eval mode."""
    pair = nn.ModuleDict({"student": Watched(), "teacher": Watched().requires_grad_(False).eval()})

    class Distillation(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = pair

        def forward(self, batch):
            pixels = batch.images.flatten(1)
            return {"loss": (pair["student"](pixels) - pair["teacher"](pixels)).square().mean()}

    before = {name: value.clone() for name, value in pair.state_dict().items()}
    validation = Validation(lambda network: {"accuracy": 0.5}, "accuracy")
    updates = [Update(Distillation(), [pair["student"]])]
    fit(pair, updates, tiny.TinyLoader(12), recipe(epochs=3), to_device=tiny.ready, validation=validation)
    changed = {
        name.partition(".")[0] for name, value in pair.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"student"}
    assert not any(pair["teacher"].modes)
    assert pair["student"].modes == [False, *[True] * 6]  # first the estimate of memory


def test_what_another_update_trains_is_in_the_mode_it_was_handed_over_in(tiny):
    """A GAN's critic is in training mode in the generator's update, as it is built; what rests stays in eval mode."""
    pair = nn.ModuleDict({"built": Watched(), "resting": Watched().eval()})

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = pair

        def forward(self, batch):
            pixels = batch.images.flatten(1)
            return {"loss": pair["built"](pixels).square().mean() + pair["resting"](pixels).square().mean()}

    updates = [Update(Both(), [pair["built"]], name="a"), Update(Both(), [pair["resting"]], name="b")]
    fit(pair, updates, tiny.TinyLoader(12), recipe(epochs=1), to_device=tiny.ready)
    assert pair["built"].modes == [False, False, True, True, True, True]
    assert pair["resting"].modes == [False, False, False, True, False, True]


def test_an_update_may_have_a_rate_of_its_own_and_needs_a_name_of_its_own(tiny):
    pair = nn.ModuleList([nn.Linear(192, 3), nn.Linear(192, 3)])

    class Loss(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, batch):
            return {"loss": functional.cross_entropy(self.module(batch.images.flatten(1)), batch.targets)}

    pair[1].load_state_dict(pair[0].state_dict())
    before = pair[0].weight.detach().clone()
    plain = recipe("optimizer.name=sgd", "optimizer.momentum=0", "optimizer.weight_decay=0", epochs=1)
    updates = [Update(Loss(pair[0]), [pair[0]], name="a"), Update(Loss(pair[1]), [pair[1]], name="b", lr=0.5)]
    fit(pair, updates, tiny.TinyLoader(6), plain, to_device=tiny.ready)  # one step
    torch.testing.assert_close(pair[1].weight - before, 0.5 * (pair[0].weight - before))
    with pytest.raises(UsageError, match="name of its own"):
        fit(pair, [updates[0], updates[0]], tiny.TinyLoader(6), plain, to_device=tiny.ready)


def test_an_epoch_without_a_batch_is_an_error(tiny):
    with pytest.raises(RecipeError, match="too few images for one batch"):
        run_fit(tiny, recipe(), loader=tiny.TinyLoader(3, 6))
