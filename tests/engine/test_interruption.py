"""Ctrl-C and SIGTERM: a wish that is noted, an error only where one may be raised, and the end the second time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from visus.engine.interruption import Interrupted, Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_wish_and_the_handlers_of_before_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert interruption.signal == 0
        os.kill(os.getpid(), number)
        assert interruption.signal == number
    assert signal.getsignal(number) is before


def test_work_that_leaves_no_trace_is_broken_off_and_only_that() -> None:
    begun = []
    with Interruption() as interruption:
        with pytest.raises(Interrupted), interruption.at_once():
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted), interruption.at_once():
            begun.append("after the wish to stop")
    assert begun == []
    with Interruption() as fresh:
        with fresh.at_once():
            pass
        os.kill(os.getpid(), signal.SIGTERM)  # no longer at once: noted alone
        assert fresh.signal == signal.SIGTERM


def test_no_except_exception_holds_it_up() -> None:
    assert not issubclass(Interrupted, Exception)


def test_the_second_signal_ends_the_process() -> None:
    program = (
        "import os, signal\nfrom visus.engine.interruption import Interruption\n"
        "with Interruption():\n    os.kill(os.getpid(), signal.SIGINT)\n    print('once', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n    print('twice')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "once\n")


def test_a_forked_process_does_not_take_the_wish_for_its_own() -> None:
    with Interruption():
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGINT)  # meant for the whole group: the child goes on
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGTERM


def test_another_thread_changes_no_handler() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with Interruption():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
