from .bundle import Bundle as Bundle
from .change_log import ChangeLog as ChangeLog
from .histories import Histories as Histories
from .item_table import UnfitItems as UnfitItems
from .manifest import BundleError as BundleError, Manifest as Manifest
from .parts import (
    CROSS_ENCODER as CROSS_ENCODER,
    HISTORIES as HISTORIES,
    ITEMS as ITEMS,
    BundleParts as BundleParts,
    ItemSearch as ItemSearch,
    Scoring as Scoring,
    UserEncoding as UserEncoding,
)
from .publication import (
    building as building,
    current_bundle as current_bundle,
    new_bundle as new_bundle,
    switch_current as switch_current,
)
from .view import BundleView as BundleView
