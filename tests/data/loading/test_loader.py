"""Batches come in an order that depends on nothing but (seed, epoch, rank, world, start)."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from visus.data.augmentation.prepared import Prepared
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.data.loading.loader import Loader
from visus.data.pixels.images import ArrayImage, FileImage
from visus.errors import DataError, MemoryExhaustedError, UsageError, VisusError
from visus.structures import Batch, Label, Placement, Preprocessing, Sample
from visus.tasks.classification import Classification

NAMES = ("a", "b")
PIXEL = np.zeros((1, 1), np.uint8)


def samples(count: int) -> list[Sample]:
    return [Sample(str(i), ArrayImage(PIXEL)) for i in range(count)]


def quick(sample: Sample, index: int, epoch: int) -> Prepared:
    """No pixels at all: index and epoch are the image."""
    assert sample.id == str(index)
    image = np.asarray([index, epoch]).reshape(2, 1, 1)
    return Prepared(image, None, Placement.identity((1, 1)), sample.id)


def stack(prepared: Sequence[Prepared]) -> Batch:
    return Batch(
        torch.stack([torch.from_numpy(item.image) for item in prepared]),
        [item.target for item in prepared],
        [item.placement for item in prepared],
        [item.id for item in prepared],
    )


def loader(count: int, **options: object) -> Loader:
    return Loader(samples(count), quick, stack, **{"batch_size": 4, "shuffle": True, "seed": 0, **options})


def order(made: Loader, epoch: int = 0, start: int = 0) -> list[list[int]]:
    return [[int(i) for i in batch.ids] for batch in made.batches(epoch, start)]


counts, sizes, worlds, seeds = st.integers(0, 70), st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**40)


class TestOrder:
    @given(counts, sizes, worlds, seeds, st.integers(0, 5))
    def test_shuffled_every_sample_comes_once_an_epoch(self, count, size, world, seed, epoch) -> None:
        assume(count >= world or count == 0)
        ranks = [loader(count, batch_size=size, world=world, rank=rank, seed=seed) for rank in range(world)]
        orders = [order(made, epoch) for made in ranks]
        seen = [index for rank in orders for batch in rank for index in batch]
        assert len(seen) == len(set(seen))
        left_out = count % world if size == 1 and count > world else 0
        assert len(seen) == count - left_out
        # All take as many steps; a step is whole, but for the last, and nowhere empty.
        assert len({len(rank) for rank in orders}) == 1
        for made, rank in zip(ranks, orders, strict=True):
            assert len(made) == len(rank)
            assert all(len(batch) == size for batch in rank[:-1])
            assert all(1 <= len(batch) <= size + 2 for batch in rank[-1:])
            if size > 1 and count >= 2 * world:
                assert all(len(batch) >= 2 for batch in rank)  # BatchNorm learns nothing from one value

    @given(counts, sizes, worlds, seeds)
    def test_unshuffled_samples_come_once_and_in_order(self, count, size, world, seed) -> None:
        seen = []
        for rank in range(world):
            own = [i for b in order(loader(count, shuffle=False, batch_size=size, world=world, rank=rank)) for i in b]
            assert own == sorted(own)
            seen += own
        assert sorted(seen) == list(range(count))

    def test_unshuffled_is_the_order_of_the_data(self) -> None:
        assert order(loader(6, shuffle=False)) == [[0, 1, 2, 3], [4, 5]]

    @given(counts, sizes, worlds, st.data())
    def test_a_start_gives_the_tail(self, count, size, world, data) -> None:
        assume(count >= world or count == 0)
        made = loader(count, batch_size=size, world=world, rank=world - 1)
        start = data.draw(st.integers(0, len(made)))
        assert order(made, 2, start) == order(made, 2)[start:]

    def test_an_epoch_does_not_go_on_behind_its_end(self) -> None:
        with pytest.raises(UsageError, match=r"0\.\.2"):
            order(loader(8), 0, 3)

    @given(st.integers(12, 60), seeds)
    def test_epochs_and_seeds_give_other_orders_and_the_same_ones_again(self, count, seed) -> None:
        first = order(loader(count, seed=seed), 3)
        assert order(loader(count, seed=seed), 3) == first
        assert order(loader(count, seed=seed), 4) != first
        assert order(loader(count, seed=seed + 1), 3) != first

    @given(st.integers(1, 70), sizes, worlds)
    def test_incomplete_steps_can_be_left_out(self, count, size, world) -> None:
        assume(count >= world)
        made = loader(count, batch_size=size, world=world, drop_last=True)
        assert {len(batch) for batch in order(made)} <= {size}
        assert len(made) == count // (size * world)

    def test_the_place_of_a_sample_is_spread_evenly(self) -> None:
        places = np.zeros((10, 10))
        for epoch in range(300):
            for place, index in enumerate(i for batch in order(loader(10), epoch) for i in batch):
                places[index, place] += 1
        assert places.min() > 10
        assert places.max() < 55

    def test_a_single_last_image_joins_the_batch_before(self) -> None:
        # BatchNorm learns nothing from one value.
        assert [len(batch) for batch in order(loader(9))] == [4, 5]
        assert [len(batch) for batch in order(loader(1))] == [1]

    def test_batches_of_one_stay_batches_of_one(self) -> None:
        # Their images may be of any size.
        assert [len(batch) for batch in order(loader(3, batch_size=1))] == [1, 1, 1]

    def test_fewer_samples_than_processes_are_too_few_to_train(self) -> None:
        with pytest.raises(DataError, match="at least 5"):
            loader(2, world=5)
        assert order(loader(2, world=5, rank=4, shuffle=False)) == [[1]]

    def test_no_sample_at_all_is_no_batch(self) -> None:
        assert order(loader(0)) == []
        assert len(loader(0)) == 0


def noisy(count: int) -> list[Sample]:
    random = np.random.default_rng(0)
    return [
        Sample(
            str(i),
            ArrayImage(random.integers(0, 256, (20, 24, 3), dtype=np.uint8)),
            {"classification": Label(NAMES, i % 2)},
        )
        for i in range(count)
    ]


AUGMENTED = Preparer(
    "classification",
    Preprocessing(size=(16, 16)),
    Augmentation(crop_area=(0.3, 1), mirror=0.5, rotation=10, brightness=0.2, hue=0.1),
    7,
)


class TestWorkers:
    def test_batches_are_the_same_for_any_number(self) -> None:
        made = [
            Loader(noisy(14), AUGMENTED, stack, batch_size=4, shuffle=True, seed=3, workers=workers)
            for workers in (0, 1, 2)
        ]
        for epoch, start in ((0, 0), (1, 2), (1, 0)):
            passes = [list(each.batches(epoch, start)) for each in made]
            assert len(passes[0]) == len(made[0]) - start
            for other in passes[1:]:
                for ours, theirs in zip(passes[0], other, strict=True):
                    assert ours.ids == theirs.ids
                    assert ours.placements == theirs.placements
                    assert torch.equal(ours.images, theirs.images)
                    assert [t.index for t in ours.targets] == [t.index for t in theirs.targets]

    def test_an_epoch_may_be_left_in_the_middle(self) -> None:
        made = loader(40, workers=2)
        passing = made.batches(0)
        next(passing)
        next(passing)
        passing.close()
        assert order(made, 1) == order(loader(40), 1)
        del passing
        assert order(made, 2, 3) == order(loader(40), 2, 3)

    @pytest.mark.parametrize("workers", [0, 1, 2])
    def test_a_damaged_file_is_named(self, workers: int, tmp_path: Path) -> None:
        for i in range(6):
            Image.fromarray(np.full((20, 20, 3), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
        (tmp_path / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
        files = [Sample(str(i), FileImage(tmp_path / f"{i}.png")) for i in range(6)]
        prepare = Preparer("classification", Preprocessing(size=(8, 8)), None, 0)
        made = Loader(files, prepare, stack, batch_size=2, shuffle=False, seed=0, workers=workers)
        with pytest.raises(DataError, match=r"3\.png") as caught:
            list(made.batches(0))
        assert caught.value.remedy
        assert type(caught.value) is DataError
        # The file repaired, the same loader goes on.
        Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "3.png")
        assert len(list(made.batches(0))) == 3

    @pytest.mark.parametrize("workers", [0, 2])
    def test_what_collate_refuses_comes_out_whole(self, workers: int) -> None:
        def refuse(prepared: Sequence[Prepared]) -> Batch:
            raise DataError("two sizes", expected="one", got="two", remedy="set size")

        made = Loader(samples(4), quick, refuse, batch_size=2, shuffle=False, seed=0, workers=workers)
        with pytest.raises(VisusError, match="two sizes") as caught:
            list(made.batches(0))
        assert (caught.value.expected, caught.value.got, caught.value.remedy) == ("one", "two", "set size")

    @pytest.mark.parametrize("workers", [0, 2])
    def test_our_own_bugs_are_shown_where_they_are(self, workers: int) -> None:
        def wrong(sample: Sample, index: int, epoch: int) -> Prepared:
            raise ZeroDivisionError("ours")

        made = Loader(samples(4), wrong, stack, batch_size=2, shuffle=False, seed=0, workers=workers)
        with pytest.raises((ZeroDivisionError, RuntimeError)) as caught:
            list(made.batches(0))
        assert not isinstance(caught.value, VisusError)
        assert "ours" in str(caught.value)
        if workers:
            assert "in wrong" in str(caught.value)  # the traceback came along

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize(
        ("end", "kind"),
        [(lambda: os.kill(os.getpid(), signal.SIGKILL), MemoryExhaustedError), (lambda: os._exit(3), DataError)],
        ids=["killed", "crashed"],
    )
    def test_a_process_that_dies_is_an_error_that_names_its_batch(self, end, kind: type[VisusError]) -> None:
        def deadly(sample: Sample, index: int, epoch: int) -> Prepared:
            if index == 5 and epoch == 0:
                end()
            return quick(sample, index, epoch)

        made = Loader(samples(20), deadly, stack, batch_size=2, shuffle=False, seed=0, workers=1)
        with pytest.raises(kind, match="4, 5") as caught:
            list(made.batches(0))
        assert "--workers" in caught.value.remedy
        # The next epoch starts other processes.
        assert len(list(made.batches(1))) == 10

    @pytest.mark.timeout(60)
    def test_signals_to_the_whole_group_leave_readers_alone(self) -> None:
        def busy(sample: Sample, index: int, epoch: int) -> Prepared:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            return quick(sample, index, epoch)

        made = Loader(samples(6), busy, stack, batch_size=2, shuffle=False, seed=0, workers=1)
        assert len(list(made.batches(0))) == 3

    @pytest.mark.timeout(60)
    def test_readers_end_with_the_loader(self) -> None:
        made = loader(4, workers=2)
        list(made.batches(0))
        before = {child.pid for child in multiprocessing.active_children()}
        made.close()
        after = {child.pid for child in multiprocessing.active_children()}
        assert len(before - after) == 2

    @pytest.mark.slow
    @pytest.mark.timeout(120)
    def test_readers_can_be_started_without_forking(self) -> None:
        options = {"batch_size": 4, "shuffle": True, "seed": 3}
        collate = Classification(NAMES).collate
        spawned = Loader(noisy(6), AUGMENTED, collate, workers=1, start_method="spawn", **options)
        plain = Loader(noisy(6), AUGMENTED, collate, **options)
        for ours, theirs in zip(spawned.batches(0), plain.batches(0), strict=True):
            assert torch.equal(ours.images, theirs.images)
            assert torch.equal(ours.targets, theirs.targets)
        spawned.close()

    def test_readers_use_one_thread_each(self) -> None:
        def threads(sample: Sample, index: int, epoch: int) -> Prepared:
            image = np.asarray([torch.get_num_threads()]).reshape(1, 1, 1)
            return Prepared(image, None, Placement.identity((1, 1)), sample.id)

        made = Loader(samples(2), threads, stack, batch_size=2, shuffle=False, seed=0, workers=1)
        assert next(iter(made.batches(0))).images.flatten().tolist() == [1, 1]


class TestSidesOfSteps:
    """One of the sides for every ten steps, as YOLO v2 is trained: a pure function of seed and step."""

    SIDES = (16, 24, 32, 40)

    def loader(self, seed: int = 0, **options: int) -> Loader:
        augmentation = Augmentation(sides=self.SIDES, sides_every=10, mirror=0.5)
        prepare = Preparer("classification", Preprocessing(size=(16, 16)), augmentation, seed)
        return Loader(noisy(28), prepare, stack, batch_size=1, shuffle=True, seed=seed, **options)

    def sides(self, loader: Loader, epochs: int = 3) -> list[int]:
        return [batch.images.shape[-1] for epoch in range(epochs) for batch in loader.batches(epoch)]

    def test_they_change_every_ten_steps_across_epochs(self) -> None:
        found = self.sides(self.loader(), 10)
        periods = [found[start : start + 10] for start in range(0, 280, 10)]
        assert all(len(set(period)) == 1 for period in periods)
        assert {period[0] for period in periods} == set(self.SIDES)
        assert self.sides(self.loader(1), 10) != found

    def test_a_training_that_goes_on_has_the_same_ones(self) -> None:
        found = self.sides(self.loader())
        rest = [batch.images.shape[-1] for batch in self.loader(workers=1).batches(1, 13)]
        assert rest == found[28 + 13 : 56]

    def test_batches_that_make_one_step_have_one_size(self) -> None:
        found = self.sides(self.loader(accumulate=3))
        steps = [
            found[28 * epoch + start : 28 * epoch + min(start + 3, 28)]
            for epoch in range(3)
            for start in range(0, 28, 3)
        ]
        alone = self.sides(self.loader(), 3)
        assert all(len(set(step)) == 1 for step in steps)
        assert [step[0] for step in steps] == alone[:30]
