"""`python -m towers.train_funnel`: recall channels beside a run's towers, their fusion, and a ranker of its head."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch

from data_prep.command import command
from data_prep.errors import GateFailed
from data_prep.files import lock
from towers.candidates.config import SYNTHETIC, FunnelConfig
from towers.candidates.funnel_record import USERS, FunnelResult
from towers.candidates.funnel_training import FunnelRecipe, query_recipe, train_one_funnel, user_recipe
from towers.candidates.trained_run import TrainedRun
from towers.model.run_record import RunRecord
from towers.model.selection import selection_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FunnelsResult:
    """The outcome of the command.

    Attributes:
        users: of the funnel that answers users; None where there was nothing to learn it from.
        queries: of the funnel that answers queries; None likewise.
        left_out: why one of them is not there, "users" or "queries" -> reason.
    """

    users: FunnelResult | None
    queries: FunnelResult | None
    left_out: dict[str, str]


def train_funnel(config: FunnelConfig) -> FunnelsResult:
    """Train both funnels of a run, or the one that has examples to learn from.

    Where the run was refit on the validation split, everything is chosen and learnt with the run within that chose its
    recipe; then the channels are fitted to what the refit towers saw, as the blocks are.

    Raises:
        UsageError: run and data do not belong together.
        GateFailed: there is nothing to learn from, for either.
        Locked: another process trains this run's funnels.
    """
    left_out: dict[str, str] = {}

    def attempt(name: str, recipe: Callable[[FunnelConfig, TrainedRun], FunnelRecipe]) -> FunnelResult | None:
        try:
            return train_one_funnel(config, recipe(config, run), run, served)
        except GateFailed as reason:
            log.warning("no funnel for %s: %s", name, reason)
            left_out[name] = str(reason)
            return None

    with lock(config.run / ".funnel.lock", f"train the funnel of {config.run}"):
        torch.set_num_threads(config.threads)
        selection, dataset = selection_of(config.run), RunRecord.read(config.run).open_data(config.data)
        run = TrainedRun.of(selection, dataset)
        served = run if selection == config.run else TrainedRun.of(config.run, dataset)
        result = FunnelsResult(attempt("users", user_recipe), attempt("queries", query_recipe), left_out)
    if result.users is None and result.queries is None:
        raise GateFailed("; ".join(left_out.values()))
    return result


def verdict(result: FunnelResult, certainty: float) -> str:
    """A funnel in a line: the channels and the ranker that were worth having."""
    kept = f"the towers and {', '.join(result.kept)}" if result.kept else "the towers alone"
    if result.ranked is None:
        return kept
    if result.ranked.exceeds(certainty):
        return f"{kept}, ranked"
    return f"{kept}; no ranker: it gains less than {certainty:g} standard error{'' if certainty == 1 else 's'}"


def report(result: FunnelResult, certainty: float) -> list[str]:
    """Lines about a funnel, the verdict first."""
    answers, examples = ("users", USERS) if result.source == USERS else ("queries", f"{result.source} queries")
    lines = [f"funnel for {answers}: {verdict(result, certainty)}; learnt from {result.examples:,} {examples}"]
    if result.fused is not None:
        lines.append(f"fused beside recall: {result.fused.describe(answers)}")
    if result.ranked is not None:
        lines.append(f"ranked beside {'fused' if result.kept else 'recall'}: {result.ranked.describe()}")
    if result.by_item and result.ranked is not None:
        lines.append("the run was refit: item features were evaluated on items, too, that nothing was learnt from")
    lines.append(f"not retrieved: {result.not_retrieved:.1%} of the relevant items; written to {result.folder}")
    if result.source == SYNTHETIC and result.kept:
        lines.append(
            "synthetic queries are words of the items themselves and say little of how people ask, so the channels' "
            "weights are those of fusion@queries.synthetic_fusion; judged or logged queries would settle them"
        )
    return lines


@command(FunnelConfig, "funnel")
def main(config: FunnelConfig) -> FunnelsResult:
    """Train, and say what was worth it."""
    result = train_funnel(config)
    for funnel in (result.users, result.queries):
        if funnel is not None:
            print("\n".join(report(funnel, config.certainty)))
    return result


if __name__ == "__main__":
    main()
