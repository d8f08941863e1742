"""Work that calls come before."""

import os
import sys
from threading import get_native_id

import pytest

from retrieval_server.threads import LEAST_URGENT, in_background


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts niceness by thread")
def test_what_is_done_in_the_background_is_the_least_urgent_and_the_caller_stays_as_urgent_as_before():
    before = os.getpriority(os.PRIO_PROCESS, get_native_id())
    assert in_background(lambda: os.getpriority(os.PRIO_PROCESS, get_native_id())) == LEAST_URGENT
    assert os.getpriority(os.PRIO_PROCESS, get_native_id()) == before


def test_what_fails_in_the_background_fails_for_the_caller():
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        in_background(broken)
