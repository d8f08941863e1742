"""What importing a room brings with it: a command that is wrong should be refused within a second."""

import subprocess
import sys

import pytest

ROOMS = ["events", "text", "metrics", "baselines", "blocks", "diversity"]


@pytest.mark.parametrize("room", ROOMS)
def test_importing_a_room_that_trains_nothing_does_not_import_lightning(room: str):
    code = f"import sys, towers.{room} as room; [getattr(room, name) for name in room.__all__]; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(run.stdout.split())
    assert not modules & {"pytorch_lightning", "lightning"}
