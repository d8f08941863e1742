"""`python -m retrieval_server.client`: ask a running server, see a table or JSON."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from data_prep.errors import ExitCode
from retrieval_server.client.channel import DEFAULT_ADDRESS, DEFAULT_TIMEOUT, Security
from retrieval_server.client.errors import RetrievalError
from retrieval_server.client.requests import Answering, Choosing, Diversifying, Filtering, Likening, Naming, UnfitItem
from retrieval_server.client.retrieval_client import RetrievalClient
from retrieval_server.client.tables import Answer, show
from retrieval_server.runtime.escaping import escape

TOKEN = "RETRIEVAL_TOKEN"
EPILOG = f"""\
a bearer token is taken from the environment variable {TOKEN}

exit codes: 0 answered (health: serving); 1 not answered (health: not serving); 2 usage, or the server refused the
request as wrong; 130 interrupted
"""
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
    options = _parser().parse_args(arguments)
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
    except UnfitItem as error:
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
    how: Answering = {"with_titles": True, "with_timings": options.timings, "budget_ms": options.budget_ms}
    if options.call == "similar":
        like: Likening = {"k": options.k, "exclude": options.exclude, "filter": _given(options, Filtering), **how}
        return client.similar_items(options.items, **like)
    who: Naming = {"user_id": options.user_id, "history": options.history, "query": options.query}
    if options.call == "rerank":
        return client.rerank(options.candidates, **who, **how)
    which: Choosing = {
        "k": options.k,
        "include_seen": options.include_seen,
        "exclude": options.exclude,
        "filter": _given(options, Filtering),
    }
    diversity: Diversifying = _given(options, Diversifying)
    if options.diverse or diversity:
        which["diversity"] = diversity
    if options.call == "recommend":
        return client.recommend(**who, **which, **how, explain=options.explain, candidates=options.candidates)
    return client.recall(**who, **which, **how, explain=options.explain)


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


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--address", default=DEFAULT_ADDRESS, help="host:port of the server (%(default)s)")
    common.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, help="seconds a call may take (%(default)s)")
    common.add_argument("--json", action="store_true", help="print the answer as JSON")

    common.add_argument("--tls", action="store_true", help="encrypt, and trust the authorities that this system trusts")
    common.add_argument("--authority", type=Path, metavar="PEM", help="encrypt, and trust this authority")
    common.add_argument("--certificate", type=Path, metavar="PEM", help="the client's own, for mutual TLS")
    common.add_argument("--key", type=Path, metavar="PEM", help="its private key")

    answer = argparse.ArgumentParser(add_help=False)
    answer.add_argument("--timings", action="store_true", help="show what each stage took")
    answer.add_argument("--budget-ms", type=int, default=0, help="milliseconds the answer may take (the server's own)")

    who = argparse.ArgumentParser(add_help=False)
    who.add_argument("--user-id", default="", help="someone the bundle may know")
    who.add_argument(
        "--history",
        type=_ids,
        default=(),
        metavar="A,B,…",
        help="item ids, oldest first; as in CSV, an id that holds a comma is put in double quotes",
    )
    who.add_argument("--query", default="", help="search text")

    many = argparse.ArgumentParser(add_help=False)
    many.add_argument("-k", type=int, default=10, help="how many items (%(default)s)")
    many.add_argument("--exclude", type=_ids, default=(), metavar="A,B,…", help="items that may not come back")
    conditions = many.add_argument_group("conditions on the items, all of which must hold")
    conditions.add_argument("--category", dest="categories", type=_ids, metavar="A,B,…", help="one of these")
    conditions.add_argument("--brand", dest="brands", type=_ids, metavar="A,B,…", help="one of these")
    conditions.add_argument("--min-price", type=float, metavar="P", help="that much or more")
    conditions.add_argument("--max-price", type=float, metavar="P", help="that much or less")
    conditions.add_argument("--in-stock", action=argparse.BooleanOptionalAction, help="in stock, or not")
    conditions.add_argument("--allow", type=_ids, metavar="A,B,…", help="the only items that may come back")
    conditions.add_argument("--deny", type=_ids, metavar="A,B,…", help="items that may not")
    seen = argparse.ArgumentParser(add_help=False)
    seen.add_argument("--include-seen", action="store_true", help="items of the history may come back")
    seen.add_argument("--explain", action="store_true", help="show each item's place in each recall channel")
    unlike = seen.add_argument_group(
        "items that are not all alike; each of these asks for them, the rest is the server's"
    )
    unlike.add_argument("--diverse", action="store_true", help="all the server's way")
    unlike.add_argument("--method", metavar="M", help="mmr, mmr_max or dpp")
    unlike.add_argument("--strength", type=float, metavar="S", help="0, as without, to 1, whatever the scores")
    unlike.add_argument(
        "--max-per-category", type=int, metavar="N", help="items of one category while there are others"
    )
    unlike.add_argument(
        "--collapse-duplicates", action=argparse.BooleanOptionalAction, help="of those all but the same only the best"
    )

    parser = argparse.ArgumentParser(
        prog="python -m retrieval_server.client",
        description="Ask a running retrieval server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    calls = parser.add_subparsers(dest="call", required=True)
    calls.add_parser("recall", parents=[who, many, seen, answer, common], help="the best items of the whole catalogue")
    rerank = calls.add_parser("rerank", parents=[who, answer, common], help="given items, in order")
    rerank.add_argument("--candidates", type=_ids, required=True, metavar="A,B,…", help="the items to order")
    recommend = calls.add_parser("recommend", parents=[who, many, seen, answer, common], help="recall, then rerank")
    recommend.add_argument(
        "--candidates", type=int, default=0, metavar="N", help="how many to rerank (the server's default)"
    )
    similar = calls.add_parser("similar", parents=[many, answer, common], help="the items most like given ones")
    similar.add_argument("--items", type=_ids, required=True, metavar="A,B,…", help="what to be like")
    calls.add_parser("status", parents=[common], help="what is being served")
    swap = calls.add_parser("swap", parents=[common], help="serve another version")
    swap.add_argument(
        "version", nargs="?", default="", help="its name (what the server was started with, as it is now)"
    )
    calls.add_parser("rollback", parents=[common], help="serve the version before the last swap")
    upsert = calls.add_parser("upsert", parents=[common], help="put items in, or in the place of what had their ids")
    upsert.add_argument(
        "file", type=_items, help="JSON objects, an item a line: item_id, text, other columns; - for stdin"
    )
    delete = calls.add_parser("delete", parents=[common], help="take items out")
    delete.add_argument("--items", type=_ids, required=True, metavar="A,B,…", help="their ids")
    health = calls.add_parser("health", parents=[common], help="whether the server is ready")
    health.add_argument("--service", default="", help="full name of a service (the whole server)")
    health.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait until it is, so long at most")
    return parser


def _ids(text: str) -> list[str]:
    """Split "a,b" as a line of CSV, so that an id with a comma can be quoted."""
    return next(csv.reader([text], skipinitialspace=True), [])


def _items(name: str) -> list[Any]:
    """Read a file of JSON lines."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be read: {error}") from error
    items = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            item = json.loads(line)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{name}, line {number} is not JSON: {error}") from error
        if not isinstance(item, dict):
            raise argparse.ArgumentTypeError(f"{name}, line {number} is not a JSON object")
        items.append(item)
    return items


if __name__ == "__main__":
    sys.exit(main())
