"""`python -m retrieval_server.client`: calls of a running server, answered as a table or as JSON."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from data_prep.errors import ExitCode
from retrieval_server.client.arguments import TOKEN, command_line
from retrieval_server.client.channel import Security
from retrieval_server.client.errors import RetrievalError
from retrieval_server.client.requests import (
    AnswerOptions,
    DiversityOptions,
    FilterOptions,
    ItemOptions,
    RequesterFields,
    SimilarOptions,
    UnsendableItem,
)
from retrieval_server.client.retrieval_client import RetrievalClient
from retrieval_server.client.tables import Answer, show
from retrieval_server.runtime.escaping import escape

REFUSED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED}

OPERATIONS: dict[str, Callable[[RetrievalClient, argparse.Namespace], Message]] = {
    "status": lambda client, _: client.status(),
    "swap": lambda client, options: client.swap(options.version),
    "rollback": lambda client, _: client.rollback(),
    "upsert": lambda client, options: client.upsert_items(options.file),
    "delete": lambda client, options: client.delete_items(options.items),
}


def main(arguments: Sequence[str] | None = None) -> ExitCode:
    """Ask a server and print its answer.

    Args:
        arguments: the command line without the program's name; the process's own when None.

    Returns:
        the exit code.
    """
    options = command_line().parse_args(arguments)
    try:
        with RetrievalClient(options.address, options.timeout, security=_security(options)) as client:
            if options.call == "health":
                return _health(client, options)
            if options.call in OPERATIONS:
                return _print(OPERATIONS[options.call](client, options), options.json)
            return _print(_ask(client, options), options.json)
    except RetrievalError as error:
        print(f"error: {escape(str(error))}", file=sys.stderr)
        return ExitCode.USAGE if error.code in REFUSED else ExitCode.GATE_FAILED
    except UnsendableItem as error:
        print(f"error: {escape(str(error))}", file=sys.stderr)
        return ExitCode.USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED


def _security(options: argparse.Namespace) -> Security:
    """TLS as the options say; the token comes from the environment, as a command line is for all to see."""
    token = os.environ.get(TOKEN, "")
    return Security(options.tls, options.authority, options.certificate, options.key, token)


def _ask(client: RetrievalClient, options: argparse.Namespace) -> Answer:
    answer: AnswerOptions = {"with_titles": True, "with_timings": options.timings, "budget_ms": options.budget_ms}
    if options.call == "similar":
        similar: SimilarOptions = {
            "k": options.k,
            "exclude": options.exclude,
            "filter": _given(options, FilterOptions),
            **answer,
        }
        return client.similar_items(options.items, **similar)
    requester: RequesterFields = {"user_id": options.user_id, "history": options.history, "query": options.query}
    if options.call == "rerank":
        return client.rerank(options.candidates, **requester, **answer)
    items: ItemOptions = {
        "k": options.k,
        "include_seen": options.include_seen,
        "exclude": options.exclude,
        "filter": _given(options, FilterOptions),
    }
    diversity: DiversityOptions = _given(options, DiversityOptions)
    if options.diverse or diversity:
        items["diversity"] = diversity
    if options.call == "recommend":
        return client.recommend(**requester, **items, **answer, explain=options.explain, candidates=options.candidates)
    return client.recall(**requester, **items, **answer, explain=options.explain)


def _given(options: argparse.Namespace, kind: Any) -> Any:
    """Those fields of a dictionary type that the command line has values for."""
    given = {name: getattr(options, name) for name in kind.__annotations__}
    return {name: value for name, value in given.items() if value is not None}


def _print(answer: Message, as_json: bool) -> ExitCode:
    if as_json:
        print(
            MessageToJson(
                answer,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
                ensure_ascii=False,
            )
        )
    else:
        show(answer)
    return ExitCode.OK


def _health(client: RetrievalClient, options: argparse.Namespace) -> ExitCode:
    if options.wait:
        client.wait_until_serving(options.wait)
    serving = client.is_serving(options.service)
    word = "SERVING" if serving else "NOT_SERVING"
    print(json.dumps({"status": word}) if options.json else word)
    return ExitCode.OK if serving else ExitCode.GATE_FAILED


if __name__ == "__main__":
    sys.exit(main())
