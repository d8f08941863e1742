"""Processes of tests: signals as in the foreground, and none left behind."""

import signal
import subprocess

from tests import processes

WAIT = """
import signal, sys
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
sys.stdin.read()
"""


def test_a_process_hears_ctrl_c_although_the_test_run_ignores_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with processes.started(processes.python("-c", WAIT), **pipes) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "True\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(60) in (130, -signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_end_of_its_block_ends_a_process_and_what_it_started() -> None:
    with processes.started(["sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert {process.pid, child} <= processes.left_behind(patience=0).keys()
    assert not {process.pid, child} & processes.left_behind().keys()


def test_a_process_whose_parent_is_gone_is_found_by_its_mark() -> None:
    leave = "setsid sh -c 'echo $$; exec sleep 1000' & wait"
    with processes.started(["sh", "-c", leave], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        orphan = int(process.stdout.readline())
    try:
        assert orphan in processes.left_behind(patience=0)
    finally:
        processes.kill({orphan: ""})
