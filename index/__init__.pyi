from .bundle.bundle import Bundle as Bundle
from .bundle.item_table import UnfitItems as UnfitItems
from .bundle.manifest import BundleError as BundleError, Manifest as Manifest
from .bundle.parts import ItemSearch as ItemSearch, Scoring as Scoring, UserEncoding as UserEncoding
from .bundle.publication import current_bundle as current_bundle
from .bundle.view import BundleView as BundleView
from .live.live_bundle import LiveBundle as LiveBundle
from .live.live_index import LiveIndex as LiveIndex
from .live.live_view import LiveView as LiveView
from .search.effort import SearchParameters as SearchParameters, Selection as Selection
from .search.exact import Hits as Hits, exact_scores as exact_scores
from .search.filters import Filter as Filter, UnfitColumn as UnfitColumn
from .search.item_index import ItemIndex as ItemIndex
