"""The command line of `python -m retrieval_server.client`: a subcommand a call, and the options that calls share."""

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

from retrieval_server.client.channel import DEFAULT_ADDRESS, DEFAULT_TIMEOUT

TOKEN = "RETRIEVAL_TOKEN"
EPILOG = f"""\
a bearer token is taken from the environment variable {TOKEN}

exit codes: 0 answered (health: serving); 1 not answered (health: not serving); 2 usage, or the server refused the
request as wrong; 130 interrupted
"""


def command_line() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m retrieval_server.client",
        description="Ask a running retrieval server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    calls = parser.add_subparsers(dest="call", required=True)
    connection = _connection()
    _add_shopper_calls(calls, connection)
    _add_operator_calls(calls, connection)
    return parser


def _add_shopper_calls(calls: Any, connection: argparse.ArgumentParser) -> None:
    answer, requester, items, recalled = _answer(), _requester(), _items(), _recalled()
    recall = [requester, items, recalled, answer, connection]
    calls.add_parser("recall", parents=recall, help="the best items of the whole catalogue")
    rerank = calls.add_parser("rerank", parents=[requester, answer, connection], help="given items, in order")
    rerank.add_argument("--candidates", type=_ids, required=True, metavar="A,B,…", help="the items to order")
    recommend = calls.add_parser("recommend", parents=recall, help="recall, then rerank")
    recommend.add_argument(
        "--candidates", type=int, default=0, metavar="N", help="how many to rerank (the server's default)"
    )
    similar = calls.add_parser("similar", parents=[items, answer, connection], help="the items most like given ones")
    similar.add_argument("--items", type=_ids, required=True, metavar="A,B,…", help="the given items")


def _add_operator_calls(calls: Any, connection: argparse.ArgumentParser) -> None:
    parents = [connection]
    calls.add_parser("status", parents=parents, help="the version being served")
    swap = calls.add_parser("swap", parents=parents, help="serve another version")
    swap.add_argument("version", nargs="?", default="", help="its name (the server's `bundle` option, as it is now)")
    calls.add_parser("rollback", parents=parents, help="serve the version before the last swap")
    upsert = calls.add_parser("upsert", parents=parents, help="put items in, replacing those of the same ids")
    upsert.add_argument(
        "file", type=_item_lines, help="JSON objects, an item a line: item_id, text, other columns; - for stdin"
    )
    delete = calls.add_parser("delete", parents=parents, help="take items out")
    delete.add_argument("--items", type=_ids, required=True, metavar="A,B,…", help="their ids")
    health = calls.add_parser("health", parents=parents, help="whether the server is ready")
    health.add_argument("--service", default="", help="full name of a service (the whole server)")
    health.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait until it is, so long at most")


def _connection() -> argparse.ArgumentParser:
    """Options of every call: the server's address, and TLS."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--address", default=DEFAULT_ADDRESS, help="host:port of the server (%(default)s)")
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, help="seconds a call may take (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.add_argument("--tls", action="store_true", help="encrypt, and trust the authorities that this system trusts")
    parser.add_argument("--authority", type=Path, metavar="PEM", help="encrypt, and trust this authority")
    parser.add_argument("--certificate", type=Path, metavar="PEM", help="the client's own, for mutual TLS")
    parser.add_argument("--key", type=Path, metavar="PEM", help="its private key")
    return parser


def _answer() -> argparse.ArgumentParser:
    """Options of an answer about itself."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--timings", action="store_true", help="show the time of each stage")
    parser.add_argument("--budget-ms", type=int, default=0, help="milliseconds the answer may take (the server's own)")
    return parser


def _requester() -> argparse.ArgumentParser:
    """Options for the requester."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--user-id", default="", help="a user the bundle may know")
    parser.add_argument(
        "--history",
        type=_ids,
        default=(),
        metavar="A,B,…",
        help="item ids, oldest first; as in CSV, an id that holds a comma is put in double quotes",
    )
    parser.add_argument("--query", default="", help="search text")
    return parser


def _items() -> argparse.ArgumentParser:
    """Options for the items that may come back."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-k", type=int, default=10, help="how many items (%(default)s)")
    parser.add_argument("--exclude", type=_ids, default=(), metavar="A,B,…", help="items that may not come back")
    conditions = parser.add_argument_group("conditions on the items, all of which must hold")
    conditions.add_argument("--category", dest="categories", type=_ids, metavar="A,B,…", help="one of these")
    conditions.add_argument("--brand", dest="brands", type=_ids, metavar="A,B,…", help="one of these")
    conditions.add_argument("--min-price", type=float, metavar="P", help="that much or more")
    conditions.add_argument("--max-price", type=float, metavar="P", help="that much or less")
    conditions.add_argument("--in-stock", action=argparse.BooleanOptionalAction, help="in stock, or not")
    conditions.add_argument("--allow", type=_ids, metavar="A,B,…", help="the only items that may come back")
    conditions.add_argument("--deny", type=_ids, metavar="A,B,…", help="items that may not")
    return parser


def _recalled() -> argparse.ArgumentParser:
    """Options of Recall and Recommend alone: seen items, explanation, diversity."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--include-seen", action="store_true", help="items of the history may come back")
    parser.add_argument("--explain", action="store_true", help="show each item's place in each recall channel")
    diversity = parser.add_argument_group("diversity; each of these asks for it, the rest is the server's")
    diversity.add_argument("--diverse", action="store_true", help="all of it the server's way")
    diversity.add_argument("--method", metavar="M", help="mmr or dpp")
    diversity.add_argument("--strength", type=float, metavar="S", help="0 for relevance alone to 1 for novelty alone")
    diversity.add_argument(
        "--max-per-category", type=int, metavar="N", help="items of one category while there are others"
    )
    diversity.add_argument(
        "--collapse-duplicates", action=argparse.BooleanOptionalAction, help="of near-duplicates only the best"
    )
    return parser


def _ids(text: str) -> list[str]:
    """Split "a,b" as a line of CSV, so that an id with a comma can be quoted."""
    return next(csv.reader([text], skipinitialspace=True), [])


def _item_lines(name: str) -> list[dict[str, Any]]:
    """Read a file of JSON lines, an item each."""
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
