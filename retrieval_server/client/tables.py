"""An answer as a table on the terminal."""

from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retrieval_server.retrieval.v1.retrieval_pb2 import (
    Diversified,
    RecallResponse,
    RecommendResponse,
    RerankResponse,
    SimilarItemsResponse,
)
from retrieval_server.runtime.escaping import escape

Answer = RecallResponse | RerankResponse | RecommendResponse | SimilarItemsResponse

SHOWN_UNKNOWN = 10

LOWEST = -3.4e38
"""A score this low is that of an item which was not scored."""


def show(answer: Message) -> None:
    """Print an answer's items with titles and scores and its notes about itself; of another message its fields."""
    console = Console()
    if not isinstance(answer, Answer):
        for field in answer.DESCRIPTOR.fields:
            console.print(Text(f"{field.name:<17} {escape(str(getattr(answer, field.name)))}"))
        return
    table = Table(title=f"bundle {escape(answer.bundle_version)}", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("item", overflow="fold")
    table.add_column("title", overflow="fold")
    table.add_column("score", justify="right")
    channels = answer.channels if isinstance(answer, RecallResponse | RecommendResponse) else ()
    if channels:
        table.add_column("place in each channel", overflow="fold")
    unknown = set(answer.unknown_candidate_ids) if isinstance(answer, RerankResponse) else set()
    rows = zip(answer.item_ids, answer.titles, answer.scores, strict=True)
    for rank, (item_id, title, score) in enumerate(rows, start=1):
        # Text objects, because titles are data: no markup of theirs is interpreted.
        shown = "unknown" if item_id in unknown else "" if score <= LOWEST else f"{score:.4f}"
        places = ", ".join(
            f"{channel.name} {channel.places[rank - 1]}" for channel in channels if channel.places[rank - 1]
        )
        table.add_row(str(rank), Text(escape(item_id)), Text(escape(title)), shown, *([places] if channels else ()))
    console.print(table)
    for note in _notes(answer):
        console.print(Text(note))


def _notes(answer: Answer) -> list[str]:
    notes = []
    if answer.unknown_item_ids:
        shown = ", ".join(escape(item_id) for item_id in answer.unknown_item_ids[:SHOWN_UNKNOWN])
        more = "" if len(answer.unknown_item_ids) <= SHOWN_UNKNOWN else ", …"
        notes.append(f"not in the catalogue, {answer.unknown_item_count} of the history: {shown}{more}")
    if not isinstance(answer, SimilarItemsResponse) and answer.truncated:
        notes.append("the history was longer than the model reads: its newest events were used")
    if answer.fallback_reason:
        named = getattr(answer, "fallback", "")
        notes.append(f"fallback: {answer.fallback_reason}{f', answered by {named}' if named else ''}")
    if answer.degraded:
        reasons = zip(answer.degraded, answer.degraded_reasons, strict=True)
        notes.append("degraded: " + ", ".join(f"{stage} ({reason})" for stage, reason in reasons))
    if isinstance(answer, RecallResponse | RecommendResponse) and answer.HasField("diversified"):
        notes.append(_diversified(answer.diversified))
    if answer.timings:
        notes.append("took: " + ", ".join(f"{timing.stage} {timing.milliseconds:.1f} ms" for timing in answer.timings))
    return notes


def _diversified(how: Diversified) -> str:
    parts = [f"made diverse: {how.method} of strength {how.strength:g}, from {how.pool} items"]
    if how.max_per_category:
        parts.append(f"at most {how.max_per_category} of a category, but for {how.over_quota}")
    if how.collapse_duplicates:
        parts.append(f"{how.duplicates} of them duplicates")
    return "; ".join(parts)
