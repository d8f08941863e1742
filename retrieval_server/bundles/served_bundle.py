"""A bundle as a request sees it, and the slot that holds the one being served."""

from copy import copy
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Self

from index import Bundle, BundleView, ItemIndex, ItemSearch, LiveBundle, LiveIndex, LiveView
from retrieval_server.api.errors import NotReady


@dataclass(frozen=True, kw_only=True)
class ServedBundle(BundleView):
    """A bundle as the stages of a request read it. A request takes one at its start and keeps it to its end.

    Attributes:
        lighter_index: finds nearly as good rows for about half the work; None where there is nothing to save.
        live: what takes changes of the items; this is its view of one moment. None where they do not change.
        edition: number that no other view in this process has: what was computed for it is good for it alone.
    """

    lighter_index: ItemSearch | None
    live: LiveBundle | None = None
    edition: int = field(default_factory=count().__next__)

    @classmethod
    def of(cls, source: Bundle | LiveBundle) -> Self:
        """The serving view of a loaded bundle, or of one and the changes since, as it is now."""
        live = source if isinstance(source, LiveBundle) else None
        view: Bundle | LiveView = source.view if isinstance(source, LiveBundle) else source
        return cls(**view.as_view(), lighter_index=lighter(view.index), live=live)


def lighter(index: ItemIndex | LiveIndex) -> ItemIndex | LiveIndex | None:
    """The same index, visiting half as many lists and re-scoring half as many candidates."""
    if isinstance(index, LiveIndex):
        main = lighter(index.main)
        return replace(index, main=main) if isinstance(main, ItemIndex) else None
    parameters = index.parameters
    if parameters.nprobe < 2:
        return None
    copied = copy(index)  # shares everything but the parameters
    copied.parameters = replace(parameters, nprobe=parameters.nprobe // 2, rescore=max(1.0, parameters.rescore / 2))
    return copied


class BundleSlot:
    """Holds the bundle that new requests get. Putting another in is one reference assignment."""

    def __init__(self) -> None:
        self._bundle: ServedBundle | None = None

    def put(self, bundle: ServedBundle) -> None:
        """Give this bundle to every request that starts from now on."""
        self._bundle = bundle

    def peek(self) -> ServedBundle | None:
        """The bundle that a request would get now, None for none yet."""
        return self._bundle

    def take(self) -> ServedBundle:
        """The bundle for one request, from start to end.

        Raises:
            NotReady: nothing has been put in yet.
        """
        bundle = self._bundle
        if bundle is None:
            raise NotReady
        return bundle
