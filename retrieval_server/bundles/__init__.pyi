from .live_items import LiveItems as LiveItems
from .served_bundle import BundleSlot as BundleSlot
from .served_bundle import ServedBundle as ServedBundle
from .swapping import Swapper as Swapper
