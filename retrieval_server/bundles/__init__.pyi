from .live_items import LiveItems as LiveItems
from .served_bundle import BundleSlot as BundleSlot, ServedBundle as ServedBundle
from .swapping import Swapper as Swapper
