"""The bundle before: item vectors and an index's training, for the next one to take over from the same model."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.vector_file import map_vectors
from index.bundle.item_file import map_items
from index.bundle.manifest import BundleError, Manifest
from index.bundle.parts import INDEX, MAPPED_ITEMS, VECTORS
from index.bundle.publication import current_bundle
from index.search.factory import Plan
from index.search.stored_vectors import AUTO

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreviousBundle:
    """The current bundle, its files checked.

    Attributes:
        folder: where it is.
        manifest: its manifest.
        items: its item table.
    """

    folder: Path
    manifest: Manifest
    items: pd.DataFrame

    @classmethod
    def open(cls, bundles: Path) -> "PreviousBundle | None":
        """The bundle that `current` names; None where there is none, or a damaged one, of which the log warns."""
        try:
            folder = current_bundle(bundles)
        except BundleError:
            return None
        try:
            manifest = Manifest.read(folder)
            manifest.verify(folder)
        except BundleError as error:
            log.warning("nothing is taken from the current bundle: %s", error)
            return None
        return cls(folder, manifest, map_items(folder / MAPPED_ITEMS))

    def is_of(self, model: str, dim: int) -> bool:
        """Whether it was built from a run, by its fingerprint, with vectors of that length."""
        return self.manifest.fingerprints["run"] == model and self.manifest.dim == dim

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Its item vectors, [N, D], memory-mapped."""
        return map_vectors(self.folder / VECTORS)

    def trained(self, plans: Sequence[Plan]) -> tuple[Plan, Any] | None:
        """Its index, trained and empty, and the plan that it fits; None where no plan fits or nothing is trained.

        Args:
            plans: the indexes worth trying, any of them will do.
        """
        index: Any = faiss.read_index(os.fspath(self.folder / INDEX))
        if isinstance(index, faiss.IndexFlat):
            return None
        former = self.manifest.index
        for plan in plans:
            if plan.factory == former.factory and plan.vectors in (AUTO, former.vectors):
                index.reset()
                reason = f"{plan.reason}; chosen and trained for the bundle before"
                return Plan(plan.factory, reason, former.vectors), index
        return None
