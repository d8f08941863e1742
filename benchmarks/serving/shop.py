"""A made-up shop of any size, taken the whole way by the real commands: logs, towers, reranker, bundle.

Texts are words without meaning and the encoders have random weights: the cost of serving, which is measured, does
not depend on the weights.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

USERS = 4_000
EVENTS = 25
CATEGORIES = 500
WORDS = [
    f"{first}{second}" for first in "bdfgklmnprst" for second in ("a", "ei", "o", "u", "anda", "ine", "orto", "ust")
]


def make(folder: Path, items: int, dim: int) -> Path:
    """Make the shop unless it is there already.

    Args:
        folder: where to.
        items: how many.
        dim: length of a vector.

    Returns:
        the folder of bundles.
    """
    bundles = folder / "bundles"
    if (bundles / "current").exists():
        return bundles
    folder.mkdir(parents=True, exist_ok=True)
    write_logs(folder, items)
    encoder = write_encoder(folder / "encoder", width=128)
    place = f"artifacts={folder}"
    run, data = folder / "runs" / "shop", folder / "data" / "shop"
    _command("data_prep", "source=tabular", f"source.events={folder}/events.csv", f"source.items={folder}/items.csv",
             "name=shop", place)  # fmt: skip
    _command("towers.train", f"data={data}", "run=shop", place, "encoder=folder", f"encoder.folder={encoder}",
             f"tower.dim={dim}", "tower.max_history=50", "negatives=in_batch", "blocks=none", "trainer.epochs=1",
             "trainer.threads=1")  # fmt: skip
    _command("towers.train_ranker", f"run={run}", f"data={data}", place, "model.package=null",
             f"model.folder={encoder.parent / 'bert'}", "model.layers=2", "model.width=128", "mining.max_groups=200",
             "trainer.epochs=1", "trainer.threads=1")  # fmt: skip
    _command(
        "index.build", f"run={run}", f"data={data}", place, "threads=1", "recall_floor=0.9", "cross_encoder=always"
    )
    return bundles


def write_logs(folder: Path, items: int) -> None:
    """Events and items as CSV: shoppers keep mostly to a few categories, and there to popular items."""
    rng = np.random.default_rng(11)
    category = rng.integers(0, CATEGORIES, items)
    names = rng.choice(WORDS, (items, 4))
    table = pd.DataFrame(
        {
            "item_id": [f"item-{row}" for row in range(items)],
            "title": [" ".join(words) for words in names],
            "category": [f"category {WORDS[c % len(WORDS)]} {c}" for c in category],
        }
    )
    table.to_csv(folder / "items.csv", index=False)
    by_category = [np.flatnonzero(category == c) for c in range(CATEGORIES)]
    events = []
    for user in range(USERS):
        favourites = rng.choice(CATEGORIES, 3, replace=False)
        start = 1_700_000_000 + int(rng.integers(0, 10_000_000))
        for step in range(EVENTS):
            pool = by_category[favourites[step % 3]]
            taken = pool[int(len(pool) * rng.random() ** 2)]
            events.append((f"user-{user}", f"item-{taken}", start + step * 86_400, "purchase"))
    pd.DataFrame(events, columns=["user_id", "item_id", "timestamp", "event"]).to_csv(
        folder / "events.csv", index=False
    )


def write_encoder(folder: Path, width: int) -> Path:
    """A small text encoder with random weights, as a sentence-transformers folder, beside the BERT it is made of."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    bert = folder / "bert"
    bert.mkdir(parents=True, exist_ok=True)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "category", ";", *WORDS, *"0123456789"]
    pieces += [f"##{digit}" for digit in "0123456789"]
    (bert / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=width, num_hidden_layers=2, num_attention_heads=4, intermediate_size=width
    )
    BertModel(config).save_pretrained(bert)
    BertTokenizer(vocab=str(bert / "vocab.txt")).save_pretrained(bert)
    transformer = Transformer(str(bert), max_seq_length=32)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    SentenceTransformer(modules=[transformer, pooling]).save(str(folder / "encoder"), create_model_card=False)
    return folder / "encoder"


def _command(module: str, *arguments: str) -> None:
    print(f"python -m {module} {' '.join(arguments)}", flush=True)
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)
