"""`python -m towers.train_funnel`: recall channels beside a run's towers, and in what order they answer."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from data_prep.command import command
from data_prep.errors import GateFailed
from data_prep.files import lock
from towers.candidates.config import DERIVED, FunnelConfig
from towers.candidates.train_queries import QueryFunnelResult, train_query_funnel
from towers.candidates.train_users import FunnelResult, train_user_funnel
from towers.candidates.trained_run import TrainedRun
from towers.model.selection import selection_of
from towers.model.trained_towers import dataset_of

log = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True)
class FunnelsResult:
    """What the command came to.

    Attributes:
        users: the funnel of those who ask for nothing; None where there was nothing to learn it from.
        queries: the funnel of those who ask; None likewise.
        left_out: why one of them is not there, "users" or "queries" -> reason.
    """

    users: FunnelResult | None
    queries: QueryFunnelResult | None
    left_out: dict[str, str]


def train_funnel(config: FunnelConfig) -> FunnelsResult:
    """Train both funnels of a run, or the one that there is something to learn for.

    Where the run was refit on the validation split, all is chosen and learnt with the run within that it was chosen by;
    then the channels are fitted to what the refit towers saw, as the blocks are.

    Raises:
        UsageError: run and data do not belong together.
        GateFailed: there is nothing to learn from, for either.
        Locked: another process trains this run's funnels.
    """
    left_out: dict[str, str] = {}

    def attempted(name: str, train: Callable[[FunnelConfig, TrainedRun, TrainedRun], Result]) -> Result | None:
        try:
            return train(config, shop, served)
        except GateFailed as reason:
            log.warning("no funnel for %s: %s", name, reason)
            left_out[name] = str(reason)
            return None

    with lock(config.run / ".funnel.lock", f"train the funnel of {config.run}"):
        torch.set_num_threads(config.threads)
        learner, dataset = selection_of(config.run), dataset_of(config.run, config.data)
        shop = TrainedRun.of(learner, dataset)
        served = shop if learner == config.run else TrainedRun.of(config.run, dataset)
        result = FunnelsResult(
            attempted("users", train_user_funnel), attempted("queries", train_query_funnel), left_out
        )
    if result.users is None and result.queries is None:
        raise GateFailed("; ".join(left_out.values()))
    return result


def print_users(result: FunnelResult, certainty: float) -> None:
    """What was worth it for those who ask for nothing."""
    print(f"users: channels kept beside the towers: {', '.join(result.kept) or 'none'}")
    if result.by_item:
        print("the run was refit: what reads facts of items is judged on items, too, that it did not learn from")
    if result.fused is not None:
        print(f"fused beside recall: {result.fused.told()}")
    print(f"ranked beside {'fused' if result.kept else 'recall'}: {result.ranked.told()}")
    if not result.ranked.sure(certainty):
        print(f"the ranker does not gain {certainty:g} standard errors, so it is left out")
    print(f"{result.missed:.1%} of the relevant items are in nobody's pool; written to {result.folder}")


def print_queries(result: QueryFunnelResult) -> None:
    """What was worth it for those who ask."""
    kept = ", ".join(result.kept) or "none"
    print(f"queries, by {result.queries:,} {result.source} ones: channels kept beside the towers: {kept}")
    if result.fused is not None:
        print(f"fused beside the towers: {result.fused.told('queries')}")
    print(f"{result.missed:.1%} of the relevant items are in no query's pool; written to {result.folder}")
    if result.source == DERIVED and result.kept:
        print(
            "these queries are words of the items themselves and say little of how people ask, so the channels' "
            "weights are those of fusion@queries.derived_fusion; judged or logged queries would settle them"
        )


@command(FunnelConfig, "funnel")
def main(config: FunnelConfig) -> FunnelsResult:
    """Train, and say what was worth it."""
    result = train_funnel(config)
    if result.users is not None:
        print_users(result.users, config.certainty)
    if result.queries is not None:
        print_queries(result.queries)
    return result


if __name__ == "__main__":
    main()
