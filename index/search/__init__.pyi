from .effort import SearchParameters as SearchParameters, Selection as Selection
from .exact import Hits as Hits, exact_scores as exact_scores, exact_search as exact_search
from .factory import Plan as Plan, fill as fill, train_index as train_index
from .filters import Attributes as Attributes, Filter as Filter, UnfitColumn as UnfitColumn
from .item_index import ItemIndex as ItemIndex
from .stored_vectors import StoredVectors as StoredVectors
