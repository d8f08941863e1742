"""Distributed training: the exchange between processes that share a batch, and how the further ones are started.

Each process has a share of each batch. The loss is the mean over all rows of all processes, whatever the shares, and
in-batch candidates come from all of them: training with n processes is training with one.
"""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import torch
from torch import Tensor, distributed as dist

from data_prep.errors import CommandError, GateFailed

log = logging.getLogger(__name__)


def world_size() -> int:
    """Processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


class _Gather(torch.autograd.Function):
    """All processes' rows one after the other; backward, the gradients of all reach the process a row came from."""

    @staticmethod
    def forward(context: Any, rows: Tensor, sizes: list[int]) -> Tensor:
        most = max(sizes)
        padded = rows.new_zeros(most, *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        context.sizes = sizes
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total.split(context.sizes)[dist.get_rank()], None


def gather(rows: Tensor, sizes: list[int]) -> Tensor:
    """Rows of all processes, in the order of their ranks, with gradient.

    Args:
        rows: this process's, [n, …].
        sizes: each process's n, from `sizes_of`.

    Returns:
        [sum of sizes, …], the same in all processes.
    """
    if len(sizes) == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows, sizes)  # type: ignore[no-untyped-call]
    return gathered


def sizes_of(rows: Tensor) -> list[int]:
    """Number of rows that each process has."""
    if world_size() == 1:
        return [len(rows)]
    size = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.empty_like(size) for _ in range(world_size())]
    dist.all_gather(sizes, size)
    return [int(each) for each in sizes]


def total(value: Tensor) -> Tensor:
    """Sum over the processes, without gradient."""
    value = value.detach().clone()
    if world_size() > 1:
        dist.all_reduce(value)
    return value


@contextmanager
def helped_by(number: int, work: Callable[..., object], *arguments: Any) -> Iterator[None]:
    """Run `work(*arguments)` in `number` - 1 further processes while the block runs as rank 0.

    Lightning finds the others by the environment variables set here, and starts none itself: its own way, running the
    command line again, would repeat a whole sweep, or a test session.

    The block begins when every process has called `ready`, which it must do once, before it first trains.

    Args:
        number: processes, this one included.
        work: called in the others with `ready` and the arguments; must be importable, as must the main module.
        arguments: must survive pickling.

    Raises:
        GateFailed: another process ended before its time.
    """
    if number == 1:
        yield
        return
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(number)}
    context = multiprocessing.get_context("spawn")
    processes: dict[Connection, SpawnProcess] = {}
    for rank in range(1, number):
        ours, theirs = context.Pipe()
        environment = rendezvous | {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
        process = context.Process(target=_run, args=(theirs, environment, work, arguments), daemon=True)
        process.start()
        theirs.close()
        processes[ours] = process
    try:
        _await(processes)
        with _environment(rendezvous | {"LOCAL_RANK": "0", "NODE_RANK": "0"}):
            yield
        for process in processes.values():
            process.join()
    except RuntimeError as error:  # Lightning's error for a broken connection to another process
        _check(processes, error)
        raise
    finally:
        for process in processes.values():
            process.kill()
        if dist.is_initialized():
            dist.destroy_process_group()


def _await(processes: dict[Connection, SpawnProcess]) -> None:
    waiting = set(processes)
    while waiting:
        for connection in wait(list(waiting)):
            assert isinstance(connection, Connection)
            try:
                connection.recv()
            except EOFError as error:
                processes[connection].join()
                _check(processes, error)
            waiting.discard(connection)


def _check(processes: dict[Connection, SpawnProcess], error: BaseException) -> None:
    """Blame a process that died for an error."""
    for rank, process in enumerate(processes.values(), start=1):
        process.join(timeout=30)  # it may take its time to say what was wrong
        if process.exitcode:
            raise GateFailed(
                f"training process {rank} of {len(processes) + 1} ended with {process.exitcode}; its account is above; "
                "resume=true goes on from the last epoch"
            ) from error


def _run(connection: Connection, environment: dict[str, str], work: Callable[..., object], arguments: Any) -> None:
    """The life of another process, from its start to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; rank 0 decides what becomes of it
    os.environ.update(environment)
    try:
        work(lambda: connection.send(None), *arguments)
    except CommandError as error:  # rank 0 meets the same one and reports it
        sys.exit(int(error.exit_code))
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)  # Lightning has cleared some of them up itself
            else:
                os.environ[name] = value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
