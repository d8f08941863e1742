"""Any subset of the schemes in one loss, with one correction."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from data_prep.config import require
from data_prep.errors import UsageError
from towers.losses.counts import Counts
from towers.losses.hard_negatives import Hard
from towers.losses.source import Encoded, NegativeSource, Setting


@dataclass(frozen=True)
class Candidates:
    """Candidate items shared by all rows of a batch.

    Attributes:
        rows: catalogue rows, [C], repeats allowed.
        vectors: [C, dim].
        log_q: log of the expected number of copies of each, times the correction's strength, [C].
    """

    rows: Tensor
    vectors: Tensor
    log_q: Tensor


class Negatives(nn.Module):
    """Candidates from all schemes together.

    Each candidate is corrected by the number of copies of it that *all* schemes together were expected to offer,
    whichever of them did: the balance heuristic, which estimates the sum over the catalogue without bias and with
    nearly the least variance (Veach & Guibas, "Optimally Combining Sampling Techniques for Monte Carlo Rendering",
    1995). Correcting each by its own scheme's probability would count an item offered by two schemes twice.

    Args:
        sources: the schemes, by name.
        correction: strength of the correction. 1 is unbiased; at 0 frequent candidates weigh as often as they come, so
            that popular items are held down: coverage for accuracy.
        counts: a class of `towers.losses.counts`, but for the counts.
        target_counts: how often each item is a target in an epoch, [N].
        seed: of what is drawn.

    Raises:
        UsageError: the schemes do not go together.
    """

    trained: Tensor

    def __init__(
        self,
        sources: Mapping[str, NegativeSource | Hard],
        correction: float,
        counts: "partial[Counts]",
        target_counts: Tensor,
        seed: int,
    ) -> None:
        super().__init__()
        require("negatives.correction", correction, 0, 1)
        check_sources(sources)
        self.sources = [source for source in sources.values() if isinstance(source, NegativeSource)]
        self.hard = next((source for source in sources.values() if isinstance(source, Hard)), None)
        self.correction = correction
        self.counts = counts(target_counts=target_counts)
        self.register_buffer("trained", target_counts.nonzero().squeeze(1), persistent=False)
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)
        self._sizes: list[int] = []  # rows that each source sampled for the batch at hand

    def start_epoch(self, epoch: int) -> None:
        """Make what follows depend on the epoch alone, whatever came before."""
        self.generator.manual_seed(self.seed * 100_003 + epoch)
        for source in self.sources:
            source.start_epoch()
        if self.hard is not None:
            self.hard.start_epoch()

    @property
    def setting(self) -> Setting:
        """The training as the schemes know it."""
        return Setting(self.trained, self.counts, self.generator)

    def sample(self) -> Tensor:
        """Rows that must be encoded for the next batch's candidates, [n]."""
        parts = [source.sample(self.setting) for source in self.sources]
        self._sizes = [len(part) for part in parts]
        return torch.cat(parts) if parts else self.trained[:0]

    def candidates(self, positives: Encoded, sampled: Encoded) -> Candidates:
        """The candidates of a batch.

        Args:
            positives: positives of the batch, of all processes, [P].
            sampled: the rows of `sample`, encoded, [n].
        """
        self.counts.observe(positives.rows)
        offers, start = [], 0
        for source, size in zip(self.sources, self._sizes, strict=True):
            part = slice(start, start + size)
            offers.append(source.offer(positives, Encoded(sampled.rows[part], sampled.vectors[part])))
            start += size
        offers = offers or [sampled]
        rows = offers[0].rows if len(offers) == 1 else torch.cat([offer.rows for offer in offers])
        vectors = offers[0].vectors if len(offers) == 1 else torch.cat([offer.vectors for offer in offers])
        log_q = self.correction * self.expected(rows, len(positives.rows)).log()
        with torch.no_grad():
            for source in self.sources:
                source.after(positives)
        return Candidates(rows, vectors, log_q)

    def expected(self, rows: Tensor, positives: int) -> Tensor:
        """Copies of any rows expected among the candidates of a batch of P positives, [C] -> [C]."""
        total = torch.zeros(len(rows), device=rows.device)
        for source in self.sources:
            total = total + source.expected(rows, positives, self.setting)
        return total.clamp(min=torch.finfo(total.dtype).tiny)


def check_sources(sources: Mapping[str, NegativeSource | Hard]) -> None:
    """Refuse schemes that do not go together.

    Raises:
        UsageError: none, the whole catalogue and others, two of the hard kind, or only a memory that starts empty.
    """
    shared = {name: source for name, source in sources.items() if isinstance(source, NegativeSource)}
    complete = [name for name, source in shared.items() if source.complete]
    if not sources:
        raise UsageError("negatives: none given; negatives=uniform, or several: negatives=[in_batch,uniform]")
    if complete and len(sources) > 1:
        rest = ", ".join(name for name in sources if name != complete[0])
        raise UsageError(
            f"negatives: {complete[0]} offers every item already, {rest} adds nothing; "
            f"negatives={complete[0]} alone, or the others without it"
        )
    if len(sources) - len(shared) > 1:
        raise UsageError("negatives: one scheme of hard negatives at a time; raise its number instead")
    if not any(source.alone for source in shared.values()) and len(shared) == len(sources):
        raise UsageError(
            f"negatives: {', '.join(shared)} has nothing to offer to an epoch's first batches; "
            "add another: negatives=[in_batch,cross_batch]"
        )
