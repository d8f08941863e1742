"""A shop small enough to train on in seconds, with something to learn in it."""

from pathlib import Path

import numpy as np
import pandas as pd

CATEGORIES = {
    "coffee": ["espresso beans", "filter coffee", "decaf beans", "instant coffee", "cold brew", "coffee pods"],
    "tea": ["green tea", "black tea", "herbal tea", "oolong tea", "chai tea", "tea bags"],
    "bread": ["rye bread", "white bread", "baguette", "bagel", "toast", "brioche"],
    "pets": ["cat food", "dog food", "bird seed", "cat litter", "dog leash", "fish flakes"],
    "paper": ["note book", "printer paper", "paper towels", "envelopes", "sticky notes", "wrapping paper"],
}
USERS = 80
LENGTH = 14


def write_logs(folder: Path) -> tuple[Path, Path]:
    """Events and items as CSV files of a layout of their own. Each shopper keeps mostly to one category."""
    rng = np.random.default_rng(5)
    items = pd.DataFrame(
        [
            {"sku": f"{category[:2]}-{i}", "name": name, "group": category, "cost": 1.5 + i}
            for category, names in CATEGORIES.items()
            for i, name in enumerate(names)
        ]
    )
    events = []
    for user in range(USERS):
        favourite = list(CATEGORIES)[user % len(CATEGORIES)]
        likes = np.where(items["group"] == favourite, 20.0, 1.0)
        chosen = rng.choice(len(items), LENGTH, replace=False, p=likes / likes.sum())
        start = 1_700_000_000 + int(rng.integers(0, 86_400))
        for step, row in enumerate(chosen):
            action = "buy" if rng.random() < 0.3 else "look"
            events.append((f"u{user}", items["sku"][row], start + step * 86_400, action))
    order = rng.permutation(len(events))
    log = pd.DataFrame([events[i] for i in order], columns=["shopper", "sku", "when", "what"])
    items.to_csv(folder / "items.csv", index=False)
    log.to_csv(folder / "events.csv", index=False)
    return folder / "events.csv", folder / "items.csv"


def write_encoder(folder: Path) -> Path:
    """A text encoder of a few thousand random weights, in the layout of any sentence-transformers folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    words = sorted({word for names in CATEGORIES.values() for name in names for word in name.split()} | set(CATEGORIES))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *"abcdefghijklmnopqrstuvwxyz", ";", ".", "-"]
    pieces += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    bert = folder / "bert"
    bert.mkdir(parents=True)
    (bert / "vocab.txt").write_text("\n".join(pieces) + "\n")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(bert)
    BertTokenizer(vocab=str(bert / "vocab.txt")).save_pretrained(bert)
    transformer = Transformer(str(bert), max_seq_length=64)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    SentenceTransformer(modules=[transformer, pooling]).save(str(folder / "encoder"), create_model_card=False)
    return folder / "encoder"


def tabular_overrides(events: Path, items: Path) -> list[str]:
    """What a user would type to have these logs read."""
    columns = {"user_id": "shopper", "item_id": "sku", "timestamp": "when", "event": "what"}
    return [
        "source=tabular",
        f"source.events={events}",
        f"source.items={items}",
        *(f"source.event_columns.{ours}={theirs}" for ours, theirs in columns.items()),
        *(f"source.item_columns.{ours}={theirs}" for ours, theirs in {"item_id": "sku", "title": "name"}.items()),
        "source.item_columns.category=group",
        "source.item_columns.price=cost",
        "+source.event_types={look: view, buy: purchase}",
    ]


TRAIN_OVERRIDES = [
    "encoder=folder",
    "tower.dim=32",
    "tower.max_history=10",
    "negatives=full",
    "trainer.epochs=4",
    "trainer.threads=1",
    "block_weights.certainty=0",  # a few dozen users: whatever helps them is kept, so that there are blocks to test
    "tokens_per_batch=256",
    "evaluation.cutoffs=[10,20]",
]
RANKER_OVERRIDES = [
    "model.package=null",
    "model.layers=1",
    "model.width=32",
    "mining.depth=12",
    "mining.negatives=3",
    "comparison.bootstrap_samples=50",
    "trainer.epochs=1",
    "trainer.threads=1",
]
