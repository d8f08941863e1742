"""`python -m retrieval_server.client.tour`: answers of a running server, as titles beside the users' histories."""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from data_prep.columns import Columns
from data_prep.errors import CommandError, ExitCode
from index.bundle import CROSS_ENCODER, HISTORIES, ITEMS, Histories, current_bundle
from retrieval_server.client.channel import DEFAULT_ADDRESS
from retrieval_server.client.errors import RetrievalError
from retrieval_server.client.retrieval_client import RetrievalClient
from retrieval_server.runtime.escaping import escape

SHOWN = 8


def tour(client: RetrievalClient, bundle: Path, users: int, seed: int) -> None:
    """Ask for some of the bundle's users, and for a query without a user; print the answers.

    Args:
        client: connected to a server of this bundle.
        bundle: its folder, for the users' ids and the titles of their histories.
        users: how many users to ask for, drawn from those with the longest histories' half.
        seed: of the draw.
    """
    items = pd.read_parquet(bundle / ITEMS)
    titles = dict(zip(items[Columns.ITEM_ID], items[Columns.TITLE], strict=True))
    histories = Histories.load(bundle / HISTORIES)
    lengths = np.diff(histories.offsets)
    known = np.flatnonzero(lengths >= np.median(lengths))
    for number in np.random.default_rng(seed).choice(known, min(users, len(known)), replace=False):
        user_id = str(histories.user_ids[number])
        history = [str(items[Columns.TITLE].iloc[row]) for row in histories.at(int(number)).rows[::-1]]
        recalled = client.recall(user_id=user_id, k=SHOWN)
        recommended = client.recommend(user_id=user_id, k=SHOWN)
        columns = {
            "history, newest first": history,
            "Recall": [titles[i] for i in recalled.item_ids],
            "Recommend": [titles[i] for i in recommended.item_ids],
        }
        if (bundle / CROSS_ENCODER).is_dir():
            reranked = client.rerank(recalled.item_ids, user_id=user_id)
            columns["Rerank of Recall's"] = [titles[i] for i in reranked.item_ids]
        show(f"user {user_id}, bundle {recommended.bundle_version}", columns)
        query = favourite_category(items, histories.at(int(number)).rows)
        if query:
            both = client.recall(user_id=user_id, query=query, k=SHOWN)
            alone = client.recall(query=query, k=SHOWN)
            answers = {f"user {user_id}": both, "without a user": alone}
            show(f"query “{query}”", {who: [titles[i] for i in answer.item_ids] for who, answer in answers.items()})


def favourite_category(items: pd.DataFrame, rows: NDArray[np.int64]) -> str:
    """The most frequent category of a history, as somebody would type it; "" where items have none."""
    if Columns.CATEGORY not in items:
        return ""
    counts = Counter(str(c) for c in items[Columns.CATEGORY].iloc[rows].dropna())
    return counts.most_common(1)[0][0].split(">")[-1].strip().lower() if counts else ""


def show(title: str, columns: dict[str, list[str]]) -> None:
    """Print lists side by side."""
    console = Console()
    table = Table(title=escape(title), title_justify="left")
    for name in columns:
        table.add_column(escape(name), max_width=38, no_wrap=True, overflow="ellipsis")
    for line in range(SHOWN):
        table.add_row(*(escape(column[line]) if line < len(column) else "" for column in columns.values()))
    (console if console.is_terminal else Console(width=160)).print(table)


def main() -> int:
    """Parse the arguments and take the tour."""
    parser = argparse.ArgumentParser(prog="python -m retrieval_server.client.tour", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="folder of the bundle being served (artifacts/bundles/current)")
    parser.add_argument("--address", default=DEFAULT_ADDRESS, help="host:port of the server (%(default)s)")
    parser.add_argument("--users", type=int, default=2, help="how many users to ask for (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which users (%(default)s)")
    arguments = parser.parse_args()
    try:
        bundle = arguments.bundle or current_bundle(Path("artifacts/bundles"))
        with RetrievalClient(arguments.address) as client:
            tour(client, bundle, arguments.users, arguments.seed)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except RetrievalError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.GATE_FAILED
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
