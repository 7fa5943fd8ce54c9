"""Devices, generators, memory: what is there, and what is said when it is not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.engine import memory
from visus.engine.memory import MemoryNeed, exhaustion_explained, free_memory, measure_need, require_memory
from visus.engine.recipe import Recipe
from visus.engine.runtime import (
    Runtime,
    available_devices,
    choose_device,
    generator_states,
    open_runtime,
    seed_generators,
    set_generator_states,
)
from visus.errors import MemoryExhaustedError, RecipeError, UsageError


def test_an_unknown_device_names_those_that_are_there():
    with pytest.raises(UsageError, match="expected: auto or cpu") as caught:
        choose_device("tpu")
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="there is no device cuda:99"):
        choose_device("cuda:99")


def test_every_device_that_is_there_can_be_chosen():
    assert "cpu" in available_devices()
    for name in available_devices():
        assert choose_device(name).type == name.partition(":")[0]


def test_auto_takes_an_accelerator_where_there_is_one(monkeypatch):
    monkeypatch.setattr("visus.engine.runtime.available_devices", lambda: ["cpu", "cuda", "cuda:0", "cuda:1"])
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("auto", local_rank=1) == torch.device("cuda:1")
    monkeypatch.setattr("visus.engine.runtime.available_devices", lambda: ["cpu", "mps"])
    assert choose_device("auto") == torch.device("mps")
    monkeypatch.setattr("visus.engine.runtime.available_devices", lambda: ["cpu"])
    assert choose_device("auto") == torch.device("cpu")


def test_a_runtime_leaves_pytorch_as_it_was():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with open_runtime("cpu", deterministic=True, threads=1) as runtime:
        assert runtime == Runtime(torch.device("cpu"))
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_alone_everything_is_agreed():
    runtime = Runtime()
    assert runtime.agree(0, 3) == (0, 3)
    assert runtime.from_first({"a": 1}) == {"a": 1}
    assert [t.tolist() for t in runtime.gather(torch.ones(2))] == [[1, 1]]


def test_each_seed_and_process_has_its_own_numbers():
    drawn = set()
    for seed in (0, 1, 2, 10**18):
        for rank in range(4):
            seed_generators(seed, rank)
            drawn.add(tuple(torch.rand(3).tolist()))
    assert len(drawn) == 16


def test_generators_go_back():
    seed_generators(0)
    states = generator_states(torch.device("cpu"))
    first = torch.rand(5)
    set_generator_states(states, torch.device("cpu"))
    assert torch.equal(torch.rand(5), first)


class Chain(nn.Module):
    """Ten ReLUs after one another keep ten activations of the images' size."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.norm = nn.BatchNorm2d(3)

    def forward(self, batch):
        value = self.norm(batch.images) * self.scale
        for _ in range(10):
            value = torch.relu(value + 1)
        return {"loss": value.sum()}


def make_batch(tiny, count=8, side=32):
    batch = next(tiny.TinyLoader().batches(0))
    return type(batch)(torch.rand(count, 3, side, side), torch.zeros(count), batch.placements, batch.ids)


def test_need_is_what_the_backward_pass_keeps(tiny):
    network, batch = Chain(), make_batch(tiny)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    seed_generators(0)
    expected_draw = torch.rand(1)
    seed_generators(0)
    network.train()
    need = measure_need(network, batch, network, Recipe())
    image = 3 * 32 * 32 * 4
    # 10 results of ReLU, the input of the product and of the norm (with small change), the input, 2 for gradients.
    assert 12 * image <= need.per_image <= 17 * image
    assert need.fixed == 2 * (1 + 3 + 3) * 4 + (64 << 20)
    assert network.training
    assert network.norm.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.rand(1), expected_draw)


class PairLoss(nn.Module):
    """The distance of the first two images' maps; one image makes no pair."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.sizes: list[int] = []

    def forward(self, batch):
        self.sizes.append(len(batch))
        first, second, *_ = self.network(batch.images)
        return {"distance": (first - second).square().mean()}


def test_a_loss_over_pairs_is_measured_with_two_images(tiny):
    losses = PairLoss(tiny.make_network(dropout=0.0))
    batch = tiny.ready(next(tiny.TinyLoader().batches(0)))
    one = measure_need(tiny_losses(tiny, losses.network), batch, losses, Recipe())
    need = measure_need(losses, batch, losses, Recipe(), smallest_batch=2)
    assert losses.sizes == [2]
    assert need.fixed == one.fixed
    assert one.per_image * 0.9 < need.per_image < one.per_image * 1.1  # of one image, though two were measured
    with pytest.raises(ValueError, match="unpack"):
        measure_need(losses, batch, losses, Recipe())


def tiny_losses(tiny, network):
    return lambda batch: tiny.TinyTask().losses(network, batch)


def test_a_loss_over_pairs_trains_and_refuses_batches_of_one(tiny):
    from visus.engine.fit import fit
    from visus.tasks.update import Update

    network = tiny.make_network()
    losses = PairLoss(network)
    update = Update(losses, [network], smallest_batch=2)
    assert fit(network, [update], tiny.TinyLoader(12), Recipe(epochs=1, batch_size=6), to_device=tiny.ready).steps == 2
    assert losses.sizes == [2, 6, 6]  # the first for its memory
    with pytest.raises(RecipeError, match="too small for the loss") as caught:
        fit(network, [update], tiny.TinyLoader(12, 1), Recipe(epochs=1, batch_size=1), to_device=tiny.ready)
    assert "at least 2 images" in str(caught.value)


def test_a_batch_that_does_not_fit_names_one_that_does():
    need = MemoryNeed(fixed=100, per_image=10)
    require_memory(need, 80, Recipe(batch_size=80), 1000)  # 900 bytes of 1000
    require_memory(need, 80, Recipe(batch_size=80), None)
    with pytest.raises(MemoryExhaustedError) as caught:
        require_memory(need, 100, Recipe(batch_size=100), 1000)
    assert caught.value.exit_code == 6
    assert "--set batch_size=80 fits" in caught.value.remedy
    assert "--set batch_size=50 --set accumulate=2" in caught.value.remedy


def test_not_even_one_image_fits():
    with pytest.raises(MemoryExhaustedError, match="not even one image"):
        require_memory(MemoryNeed(fixed=2000, per_image=10), 4, Recipe(), 1000)


def test_a_training_too_large_for_this_machine_stops_before_its_first_step(tiny, monkeypatch):
    from visus.engine.fit import fit
    from visus.tasks.update import task_update

    network, recipe = tiny.make_network(), Recipe(batch_size=60)
    update = task_update(network, tiny.TinyTask())
    need = measure_need(update.losses, tiny.ready(next(tiny.TinyLoader().batches(0))), update.losses, recipe)
    monkeypatch.setattr("visus.engine.session.free_memory", lambda: int(need.total(20) / 0.9) + 100)
    before = network.fc.weight.clone()
    with pytest.raises(MemoryExhaustedError, match="--set batch_size=20 fits"):
        fit(network, [update], tiny.TinyLoader(60, 60), recipe, to_device=tiny.ready)
    assert torch.equal(network.fc.weight, before)


def test_free_memory_is_plausible_and_obeys_a_container(monkeypatch):
    free = free_memory()
    assert free is None or free > 10_000_000
    files = {
        "/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    1000000 kB\n",
        "/sys/fs/cgroup/memory.max": "500000000",
        "/sys/fs/cgroup/memory.current": "200000000",
    }

    class Fake:
        def __init__(self, path):
            self.path = path

        def read_text(self, **_):
            if self.path not in files:
                raise FileNotFoundError
            return files[self.path]

    monkeypatch.setattr(memory, "Path", Fake)
    assert free_memory() == 300_000_000
    files["/sys/fs/cgroup/memory.max"] = "max"
    assert free_memory() == 1_024_000_000


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), MemoryExhaustedError, "batch_size=16 fits"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), MemoryExhaustedError, "batch_size=16"),
        (RuntimeError("scatter does not have a deterministic implementation, but"), UsageError, "scatter"),
        (RuntimeError("something else"), RuntimeError, "something else"),
    ],
)
def test_what_pytorch_raises_is_explained(error, kind, says):
    with pytest.raises(kind, match=says), exhaustion_explained(Recipe(batch_size=32)):
        raise error
