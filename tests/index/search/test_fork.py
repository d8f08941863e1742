"""A process forked after a search on several threads searches too: with bare FAISS it hangs."""

from tests import processes

FORKS = """
import os
import faiss
import numpy as np
from index.search.factory import Plan
from tests.index.indexes import make_index
from index.search.item_index import ItemIndex, SearchParameters

vectors = np.random.default_rng(0).normal(size=(4000, 16)).astype(np.float32)
index = make_index(Plan("IVF16,PQ16x4fs", "test"), vectors, 64, 0, False)
searched = ItemIndex(vectors, index, SearchParameters(8, 4.0, 10))
faiss.omp_set_num_threads(4)
expected = [hits.rows.tolist() for hits in searched.search(vectors[:200], 10)]
child = os.fork()
if child == 0:
    found = [hits.rows.tolist() for hits in searched.search(vectors[:200], 10)]
    os._exit(0 if found == expected else 1)
_, status = os.waitpid(child, 0)
print("child", os.waitstatus_to_exitcode(status))
"""


def test_a_forked_child_searches():
    result = processes.run(processes.python("-c", FORKS), timeout=120)
    assert result.stdout == "child 0\n", result.stderr
