"""Killed at any moment and resumed: the weights of a training that was never killed, to the last bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from visus.engine.checkpoint import Checkpoints, Snapshot
from visus.engine.launch import GROUP_FILE, launch
from visus.engine.recipe import Recipe

SCRIPT = Path(__file__).with_name("tiny_training.py")
CHANGES = ("optimizer.lr=0.05", "schedule.name=cosine", "schedule.warmup_epochs=1", "clip_norm=1.0")
STEPS = 30  # 3 epochs of 60 images in batches of 6
PATIENCE = 240  # seconds; a busy machine may take a minute to import torch


class Forked:
    """A training in a process of its own, forked from one that has torch imported already."""

    def __init__(self, ask, folder, changes, environment):
        self.ask, self.returncode = ask, None
        self.errors = folder / f"stderr-{environment.get('RANK', 0)}"
        self.pid = ask("start", [str(folder), *CHANGES, *changes], environment, str(self.errors))

    def poll(self):
        if self.returncode is None:
            self.returncode = self.ask("poll", self.pid)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def wait(self):
        deadline = time.monotonic() + PATIENCE
        while self.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        return self.returncode


@pytest.fixture(scope="module")
def forked():
    """``forked(folder, "field=value", seconds=0.01)`` starts a training there; with ``rank``, as one of a group."""
    server = subprocess.Popen(
        [sys.executable, str(SCRIPT), "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    def ask(*request):
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    def begin(folder, *changes, seconds=0.0, **environment):
        folder.mkdir(exist_ok=True)
        return Forked(ask, folder, changes, {"TINY_SECONDS": str(seconds), **environment})

    yield begin
    server.stdin.close()
    server.wait()


def finish(forked, folder, *changes, **environment):
    process = forked(folder, *changes, **environment)
    assert process.wait() == 0, process.errors.read_text()


def fork_group(forked, folder, world, *changes, only_last=None, **more):
    """A group of forked trainings: no supervisor, and torch is not imported again for each."""
    folder.mkdir(exist_ok=True)
    store = folder / "store"
    store.unlink(missing_ok=True)
    shared = {"WORLD_SIZE": str(world), GROUP_FILE: str(store), "GLOO_SOCKET_IFNAME": "lo"}
    own = [{}] * (world - 1) + [only_last or {}]
    return [forked(folder, *changes, RANK=str(rank), **shared, **own[rank], **more) for rank in range(world)]


def finish_group(forked, folder, world, *changes, **more):
    for process in fork_group(forked, folder, world, *changes, **more):
        assert process.wait() == 0, process.errors.read_text()


def start_group(folder, world, *changes, seconds=0.0):
    """The real thing: our supervisor with processes of its own."""
    command = [sys.executable, str(SCRIPT), str(folder), *CHANGES, *changes]
    code = f"import sys; from visus.engine.launch import launch; sys.exit(launch({command!r}, {world}))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TINY_SECONDS": str(seconds)}
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)


def steps_done(folder, rank=0):
    file = folder / f"steps{rank}"
    return file.stat().st_size if file.exists() else 0


def wait_for_step(folder, step, process, rank=0):
    deadline = time.monotonic() + PATIENCE
    while steps_done(folder, rank) < step:
        assert process.poll() is None, (
            process.errors.read_text() if isinstance(process, Forked) else process.stderr.read()
        )
        assert time.monotonic() < deadline
        time.sleep(0.002)


def final_state(folder):
    snapshot = Checkpoints(folder).load()
    assert snapshot is not None
    position = dict(snapshot.state["position"])
    history = [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in position["history"]
    ]
    return snapshot, {**position, "history": history}


def assert_same_end(folder, reference):
    (ours, position), (theirs, expected) = final_state(folder), final_state(reference)
    for key, value in expected.items():
        assert position[key] == value, key
    assert ours.tensors.keys() == theirs.tensors.keys()
    for name, value in theirs.tensors.items():
        assert torch.equal(ours.tensors[name], value), name


def last_position(folder):
    snapshot = Checkpoints(folder).load()
    assert snapshot is not None
    return snapshot.state["position"]


@pytest.fixture(scope="module")
def memory_disk(tmp_path_factory):
    """A folder whose fsync costs nothing, where there is one: kills are no power cuts."""
    place = Path("/dev/shm")
    if not (place.is_dir() and os.access(place, os.W_OK)):
        yield tmp_path_factory.mktemp("runs")
        return
    with tempfile.TemporaryDirectory(prefix="visus-resume-", dir=place) as folder:
        yield Path(folder)


@pytest.fixture
def folder(memory_disk):
    return Path(tempfile.mkdtemp(dir=memory_disk))


@pytest.fixture(scope="module")
def reference(memory_disk, forked):
    folder = memory_disk / "reference"
    finish(forked, folder)
    assert steps_done(folder) == STEPS
    return folder


@pytest.mark.parametrize("step", [1, 8, 14, 29])
def test_killed_in_mid_epoch(folder, forked, reference, step):
    process = forked(folder, seconds=0.01)
    wait_for_step(folder, step, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    before = steps_done(folder)
    finish(forked, folder)
    assert_same_end(folder, reference)
    # Without a checkpoint in mid-epoch, no more is done again than what the epoch had done.
    assert steps_done(folder) - STEPS <= before - (before - 1) // 10 * 10


@pytest.mark.parametrize("kind", ["gan", "captioner"])
def test_targets_of_any_kind_and_several_updates(folder, forked, kind):
    """Batches of 6, 6, ... and 4 images, three of them a step, so that the last step of an epoch is a short one."""
    changes = ("accumulate=3", "checkpoint_seconds=0", "epochs=4")
    whole, killed = folder / "whole", folder / "killed"
    finish(forked, whole, *changes, TINY_KIND=kind, TINY_COUNT="58")
    process = forked(killed, *changes, seconds=0.01, TINY_KIND=kind, TINY_COUNT="58")
    wait_for_step(killed, 17, process)
    process.kill()
    process.wait()
    assert 0 < last_position(killed)["step"] < last_position(whole)["step"]
    finish(forked, killed, *changes, TINY_KIND=kind, TINY_COUNT="58")
    assert_same_end(killed, whole)
    names = set(last_position(whole)["history"][0])
    assert kind == "captioner" or {"loss.critic.made", "loss.generator.made", "loss.generator.seen"} <= names


@pytest.mark.parametrize("kind", ["gan", "captioner"])
def test_targets_of_any_kind_in_two_processes(folder, forked, kind):
    finish_group(forked, folder / "group", 2, "epochs=2", TINY_KIND=kind)
    snapshot, position = final_state(folder / "group")
    assert position["step"] == 20
    assert all(bool(torch.isfinite(value).all()) for value in snapshot.tensors.values())


def test_a_checkpoint_of_the_first_version_resumes(folder, tiny):
    """It called updates turns."""
    recipe = Recipe(epochs=2, batch_size=6)
    ends = []
    for name in ("new", "old"):
        run = folder / name
        run.mkdir()
        tiny.train(run, recipe.with_changes({"epochs": 1}))
        store = Checkpoints(run)
        if name == "old":
            snapshot = store.load()
            state = {("turns" if key == "updates" else key): value for key, value in snapshot.state.items()}
            store.save(Snapshot(snapshot.tensors, state))
        tiny.train(run, recipe)
        ends.append(final_state(run))
    assert ends[0][1]["step"] == ends[1][1]["step"] == 20
    for name, value in ends[0][0].tensors.items():
        assert torch.equal(value, ends[1][0].tensors[name]), name


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_with_a_checkpoint_after_every_step(folder, forked, reference, seed):
    """The interval is one step, so that each kill costs at most one, whether it hits a step, a save or a validation."""
    chance, kills = random.Random(seed), 3
    for _ in range(kills):
        process = forked(folder, "checkpoint_seconds=0", seconds=0.005)
        goal = steps_done(folder) + chance.randrange(1, 10)
        while process.poll() is None and steps_done(folder) < goal:
            time.sleep(0.001)
        time.sleep(chance.random() * 0.01)
        process.kill()
        process.wait()
    finish(forked, folder, "checkpoint_seconds=0")
    assert_same_end(folder, reference)
    assert steps_done(folder) <= STEPS + kills


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_by_a_signal(folder, forked, reference, number, code):
    """The step is finished and saved; the exit code says what happened, and a line how to go on."""
    process = forked(folder, seconds=0.02)
    wait_for_step(folder, 13, process)
    process.send_signal(number)
    assert process.wait() == code
    errors = process.errors.read_text()
    assert f"visus train --resume {folder}" in errors
    assert "Traceback" not in errors
    before = steps_done(folder)
    assert last_position(folder)["step"] == before
    finish(forked, folder)
    assert steps_done(folder) == STEPS
    assert_same_end(folder, reference)
    assert f"step {before}" in (folder / "log.txt").read_text()


def test_loading_processes_make_no_difference(folder, forked, reference):
    process = forked(folder, seconds=0.01, TINY_WORKERS="2")
    wait_for_step(folder, 14, process)
    process.kill()
    process.wait()
    finish(forked, folder, TINY_WORKERS="1")
    assert_same_end(folder, reference)


def test_stopped_while_it_validates(folder, forked, reference):
    """The epoch's steps are saved; what the validation had done is done again."""
    process = forked(folder, TINY_VALIDATION="0.5")
    wait_for_step(folder, 10, process)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    position = last_position(folder)
    assert (position["epoch"], position["batch"], position["step"]) == (0, 10, 10)
    finish(forked, folder)
    assert steps_done(folder) == STEPS
    assert_same_end(folder, reference)


def test_a_second_signal_ends_it_at_once(folder, forked):
    process = forked(folder, seconds=5.0)
    wait_for_step(folder, 1, process)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert time.monotonic() - began < 4
    assert last_position(folder)["step"] == 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("supervised", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_processes(folder, forked, supervised):
    """One of two is killed. Resumed (in the slow tests under our supervisor, which imports torch three times), stopped
    by Ctrl-C and resumed again, the group ends as if nobody had touched it."""
    whole, folder = folder / "whole", folder / "killed"
    finish_group(forked, whole, 2)
    group = fork_group(forked, folder, 2, "checkpoint_seconds=0", seconds=0.02)
    wait_for_step(folder, 8, group[1], rank=1)
    for process in reversed(group):  # the supervisor ends the others: see the next test
        process.kill()
        process.wait()
    before = [steps_done(folder, rank) for rank in range(2)]
    if supervised:
        process = start_group(folder, 2, "checkpoint_seconds=0", seconds=0.02)
        wait_for_step(folder, 20, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130, errors
    else:
        group = fork_group(forked, folder, 2, "checkpoint_seconds=0", seconds=0.02)
        wait_for_step(folder, 20, group[1], rank=1)
        for process in group:  # as a terminal does
            process.send_signal(signal.SIGINT)
        assert [process.wait() for process in group] == [130, 130], group[0].errors.read_text()
    done = last_position(folder)["step"]
    assert all(steps_done(folder, rank) - done <= 1 for rank in range(2)), (before, done)
    finish_group(forked, folder, 2, "checkpoint_seconds=0")
    assert_same_end(folder, whole)
    assert all(steps_done(folder, rank) <= STEPS + 1 for rank in range(2))


def test_when_one_of_a_group_is_killed_the_others_end():
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    code = f"import sys; from visus.engine.launch import launch; sys.exit(launch({command!r}, 2))"
    supervisor = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    ranks = wait_for_children(supervisor, 2)
    os.kill(ranks[1], signal.SIGKILL)
    _, errors = supervisor.communicate(timeout=PATIENCE)
    assert supervisor.returncode == 128 + signal.SIGKILL
    assert "process 1 of 2 was killed by signal 9" in errors
    assert not any(Path(f"/proc/{rank}").exists() for rank in ranks)


def test_one_of_two_processes_diverges_and_both_recover(folder, forked):
    finish_group(forked, folder, 2, "on_nan=recover", only_last={"TINY_NAN": "14"})
    position = last_position(folder)
    assert position["step"] == STEPS
    assert position["halvings"] == 1
    assert position["skipped"] == [[1, 3]]


def test_the_others_of_a_group_end_when_the_supervisor_is_killed(tmp_path):
    code = "import time; from visus.engine.launch import watch_parent; watch_parent(); time.sleep(60)"
    command = [sys.executable, "-c", code]
    supervisor = subprocess.Popen(
        [sys.executable, "-c", f"from visus.engine.launch import launch; launch({command!r}, 2)"]
    )
    ranks = wait_for_children(supervisor, 2)
    time.sleep(1.0)
    supervisor.kill()
    supervisor.wait()
    deadline = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{rank}").exists() for rank in ranks):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_launch_gives_the_first_failure():
    code = "import os, sys, time; sys.exit(4) if os.environ['RANK'] == '1' else time.sleep(60)"
    began = time.monotonic()
    assert launch([sys.executable, "-c", code], 3) == 4
    assert time.monotonic() - began < 20
    assert launch([sys.executable, "-c", "pass"], 2) == 0


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for_children(process, count):
    deadline = time.monotonic() + PATIENCE
    while len(found := children(process.pid)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_a_hundred_trainings_killed_again_and_again(folder, forked, reference, seed):
    """At random moments, in starting, stepping, validating and saving alike, with long and short intervals."""
    chance = random.Random(seed)
    interval = f"checkpoint_seconds={chance.choice([0, 0.02, 0.1, 60])}"
    for _ in range(4):
        process = forked(folder, interval, seconds=chance.choice([0, 0.01]))
        goal = steps_done(folder) + chance.randrange(1, 12)
        while process.poll() is None and steps_done(folder) < goal:
            time.sleep(0.0005)
        time.sleep(chance.random() * 0.02)
        process.kill()
        process.wait()
    finish(forked, folder, interval)
    assert_same_end(folder, reference)


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_groups_killed_at_random(folder, forked, world, seed):
    chance = random.Random(seed)
    whole, folder = folder / "whole", folder / "killed"
    finish_group(forked, whole, world)
    for _ in range(2):
        process = start_group(folder, world, "checkpoint_seconds=0.05", seconds=0.01)
        goal = steps_done(folder) + chance.randrange(1, 12)
        while process.poll() is None and steps_done(folder) < goal:
            time.sleep(0.001)
        if process.poll() is None:
            os.kill(chance.choice(children(process.pid)), signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
    finish_group(forked, folder, world, "checkpoint_seconds=0.05")
    assert_same_end(folder, whole)
