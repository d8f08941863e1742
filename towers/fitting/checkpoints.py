"""Checkpoints of a training to go on from, and a note of the settings it was begun with."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from data_prep.errors import UsageError
from data_prep.files import read_json, write_json

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"


def whole_checkpoints(folder: Path) -> Iterator[Path]:
    """Checkpoints that can be read, newest first; a torn one is named and passed over."""
    for path in sorted(folder.glob("epoch-*.ckpt"), reverse=True):
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a torn zip file makes of it
            log.warning("%s cannot be read (%s): trying the checkpoint before it", path, error)
        else:
            yield path


def starting_checkpoint(folder: Path, resume: bool) -> Path | None:
    """The checkpoint to go on from, None to begin.

    Raises:
        UsageError: there are checkpoints and `resume` is not set.
    """
    if not resume and any(folder.glob("*.ckpt")):
        raise UsageError(f"{folder.parent} was begun and not finished; resume=true goes on, removing it begins anew")
    newest = next(whole_checkpoints(folder), None) if resume else None
    if newest:
        log.info("going on from %s", newest)
    return newest


def begin(folder: Path, description: Mapping[str, object], resume: bool) -> None:
    """Note the settings a training is begun with, or check that a resumed one goes on with the same.

    Args:
        folder: of the training; `begun.json` is kept there.
        description: fingerprints and settings that decide the weights, by name.
        resume: whether to go on with an earlier training.

    Raises:
        UsageError: it was begun with something else; the first difference is named.
    """
    path = folder / "begun.json"
    now = json.loads(json.dumps(description, default=str))
    if resume and path.is_file():
        before = read_json(path)
        for name in now:
            if before.get(name) != now[name]:
                name, then, today = _difference(name, before.get(name), now[name])
                raise UsageError(
                    f"{folder} was begun with {name}={then}, not {today}: resume with what it was begun with, or begin "
                    "anew elsewhere"
                )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, now)


def _difference(name: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    """The first setting in which two descriptions differ, its whole name, and what it was and is."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            if before.get(key) != now.get(key):
                return _difference(f"{name}.{key}", before.get(key), now.get(key))
    return name, before, now


def stopped_early(checkpoint: Mapping[str, Any], patience: int) -> bool:
    """Whether the training that wrote a checkpoint had nothing more to do."""
    states = [state for name, state in checkpoint["callbacks"].items() if name.startswith("EarlyStopping")]
    return any(state["wait_count"] >= patience for state in states)
