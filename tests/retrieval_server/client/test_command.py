"""`python -m retrieval_server.client`: tables, JSON, and exit codes one can script with."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.errors import ExitCode
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.client.__main__ import main
from retrieval_server.transport.server import RetrievalServer
from tests import processes
from tests.retrieval_server.shop import item

ROOT = Path(__file__).parents[3]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(server: RetrievalServer, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command against the shop's server: exit code, stdout, stderr."""

    def run_one(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--address", server.address])
        return code, *capsys.readouterr()

    return run_one


@pytest.mark.parametrize(
    "arguments",
    [
        ("recall", "--history", f"{item(1)},{item(2)}", "-k", "3"),
        ("recall", "--user-id", "ann", "--query", "milk", "-k", "3", "--include-seen"),
        ("rerank", "--query", "milk", "--candidates", f"{item(1)},{item(2)},{item(3)}"),
        ("recommend", "--query", "milk", "-k", "3", "--candidates", "20"),
    ],
)
def test_answers_come_as_a_table_and_as_json(run: Run, shop: ServedBundle, arguments: tuple[str, ...]) -> None:
    code, out, _ = run(*arguments, "--json")
    answer = json.loads(out)
    assert code == ExitCode.OK
    assert len(answer["item_ids"]) == len(answer["scores"]) == len(answer["titles"]) == 3
    assert answer["bundle_version"] == shop.version
    code, table, _ = run(*arguments)
    assert code == ExitCode.OK
    assert all(item_id in table for item_id in answer["item_ids"])
    assert shop.version in table


def test_the_table_says_what_was_made_of_the_request(run: Run) -> None:
    _, table, _ = run("recall", "--history", ",".join(["gone", *(item(row) for row in range(9))]))
    assert "not in the catalogue, 1 of the history: gone" in table
    assert "newest events were used" in table
    _, table, _ = run("recall", "--user-id", "nobody")
    assert "fallback: unknown_user" in table


@pytest.mark.parametrize("call", ["recall", "recommend"])
def test_an_answer_that_is_not_all_alike_is_asked_for_and_says_so(run: Run, call: str) -> None:
    asked = (call, "--history", item(1), "-k", "4")
    _, table, _ = run(*asked, "--diverse")
    assert "made diverse: mmr of strength" in table
    _, table, _ = run(
        *asked, "--method", "dpp", "--strength", "0.5", "--max-per-category", "1", "--collapse-duplicates"
    )
    assert "made diverse: dpp of strength 0.5, from 12 items" in table
    assert "at most 1 of a category" in table
    assert "duplicates" in table
    _, table, _ = run(*asked)
    assert "made diverse" not in table


def test_an_unknown_candidate_is_shown_as_such(run: Run) -> None:
    _, table, _ = run("rerank", "--query", "milk", "--candidates", f"gone,{item(1)}")
    assert "unknown" in next(line for line in table.splitlines() if "gone" in line)


def test_an_id_with_a_comma_can_be_quoted(run: Run) -> None:
    _, out, _ = run("recall", "--history", '"a,b",c', "--json")
    assert json.loads(out)["unknown_item_ids"] == ["a,b", "c"]


def test_control_characters_of_an_answer_do_not_reach_the_terminal(run: Run) -> None:
    _, table, _ = run("recall", "--history", "\x1b[2Jgone\u202e")
    assert "\x1b[2J" not in table
    assert "\u202e" not in table


def test_a_refused_request_exits_2_and_says_why(run: Run) -> None:
    code, out, error = run("recall", "--query", "milk", "-k", "0")
    assert (code, out) == (ExitCode.USAGE, "")
    assert error == "error: INVALID_ARGUMENT: k: is 0; ask for 1 to 100 (limits.k)\n"


def test_an_unreachable_server_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recall", "--query", "milk", "--address", "127.0.0.1:1"]) == ExitCode.GATE_FAILED
    assert capsys.readouterr().err.startswith("error: UNAVAILABLE")


def test_health_exits_0_when_serving(run: Run) -> None:
    assert run("health") == (ExitCode.OK, "SERVING\n", "")
    assert run("health", "--json", "--wait", "5") == (ExitCode.OK, '{"status": "SERVING"}\n', "")


def test_health_exits_1_when_not_serving(server_not_ready: RetrievalServer) -> None:
    assert main(["health", "--address", server_not_ready.address]) == ExitCode.GATE_FAILED


@pytest.mark.parametrize("arguments", [[], ["sell"], ["recall", "-k", "many"], ["rerank", "--query", "milk"]])
def test_a_wrong_command_line_exits_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == ExitCode.USAGE


def test_the_command_runs_as_a_module_and_loads_no_models(server: RetrievalServer) -> None:
    program = (
        "import runpy, sys\n"
        "try:\n    runpy.run_module('retrieval_server.client', run_name='__main__')\n"
        "except SystemExit as end:\n    code = end.code\n"
        "assert not {'torch', 'faiss', 'hydra'} & sys.modules.keys(), 'a client should stay light'\n"
        "sys.exit(code)"
    )
    arguments = [sys.executable, "-c", program, "recall", "--query", "milk", "--json", "--address", server.address]
    ended = processes.run(arguments, timeout=60)
    assert ended.returncode == ExitCode.OK, ended.stderr
    assert json.loads(ended.stdout)["item_ids"]
