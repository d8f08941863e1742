"""Text encoders and the cache in front of them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from transformers import AutoTokenizer

from data_prep.errors import UsageError
from towers.text.encoder import SentenceTransformerEncoder, UniversalSentenceEncoder, load_text_encoder
from towers.text.vector_cache import VectorCache

CHINESE = ["新鲜牛奶", "低脂鲜奶", "狗粮", "犬用干粮"]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder(tiny_encoder, None, 32)


def test_an_encoder_saved_beside_a_model_encodes_the_same(encoder: SentenceTransformerEncoder, tmp_path: Path):
    encoder.save(tmp_path / "encoder")
    loaded = load_text_encoder(tmp_path / "encoder")
    texts = ["green tea", "", "Ein Löffel 🥄", "x" * 5000]
    np.testing.assert_allclose(loaded.encode(texts), encoder.encode(texts), atol=1e-6)
    assert loaded.fingerprint() != encoder.fingerprint()  # another folder, if only for the file that says what it is
    assert loaded.max_tokens == 32


def test_the_fingerprint_changes_with_anything_that_changes_vectors(tiny_encoder: Path, tmp_path: Path):
    shutil.copytree(tiny_encoder, tmp_path / "copy")
    before = SentenceTransformerEncoder(tmp_path / "copy", None, 32)
    assert before.fingerprint() == SentenceTransformerEncoder(tiny_encoder, None, 32).fingerprint()
    assert before.fingerprint() != SentenceTransformerEncoder(tiny_encoder, None, 16).fingerprint()
    pooling = next((tmp_path / "copy").glob("*Pooling/config.json"))
    pooling.write_text(pooling.read_text().replace("mean", "cls"))
    assert before.fingerprint() != SentenceTransformerEncoder(tiny_encoder, None, 32).fingerprint()


def test_folders_and_packages_that_are_no_encoders_are_refused_by_name(tmp_path: Path):
    with pytest.raises(UsageError, match=r"modules\.json"):
        SentenceTransformerEncoder(tmp_path, None, 32)
    with pytest.raises(UsageError, match="no_such_package is not installed"):
        SentenceTransformerEncoder(None, "no_such_package", 32)
    with pytest.raises(UsageError, match=r"encoder\.json is missing"):
        load_text_encoder(tmp_path)


def test_word_vectors_without_a_longest_text_are_an_encoder_too(tiny_encoder: Path, tmp_path: Path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder.parent / "bert")
    words = StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=16)
    SentenceTransformer(modules=[words]).save(str(tmp_path / "static"), create_model_card=False)
    assert SentenceTransformerEncoder(tmp_path / "static", None, 32).encode(["green tea"]).shape == (1, 16)


def test_the_cache_encodes_each_text_once_and_remembers_it(encoder: SentenceTransformerEncoder, tmp_path: Path):
    first = VectorCache(tmp_path, encoder).encode(["rye", "tea", "rye"])
    np.testing.assert_array_equal(first[0], first[2])

    asked: list[str] = []

    class Watched(SentenceTransformerEncoder):
        def encode(self, texts):
            asked.extend(texts)
            return super().encode(texts)

    again = Watched(encoder.folder, None, 32)
    second = VectorCache(tmp_path, again).encode(["tea", "bagel", "rye"])
    assert asked == ["bagel"]
    np.testing.assert_array_equal(second[[2, 0]], first[:2])
    assert VectorCache(tmp_path, again).encode([]).shape == (0, encoder.dim)

    for shard in tmp_path.rglob("*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:50])  # torn by a crash
    np.testing.assert_allclose(VectorCache(tmp_path, again).encode(["tea"])[0], first[1], atol=1e-6)


def test_the_multilingual_encoder_understands_chinese_and_is_frozen(tmp_path: Path):
    encoder = UniversalSentenceEncoder(None, 64)
    encoder.save(tmp_path / "encoder")
    loaded = load_text_encoder(tmp_path / "encoder")
    vectors = loaded.encode(CHINESE)
    np.testing.assert_allclose(vectors, encoder.encode(CHINESE), atol=1e-6)
    likeness = vectors @ vectors.T
    assert min(likeness[0, 1], likeness[2, 3]) > max(likeness[0, 2], likeness[0, 3], likeness[1, 2], likeness[1, 3])
    assert np.isfinite(encoder.encode(["", " ", "a" * 10_000])).all()
    with pytest.raises(UsageError, match="text=frozen"):
        encoder(["牛奶"])


def test_a_cache_finds_what_itself_and_others_have_added_since_it_was_opened(
    encoder: SentenceTransformerEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cache, other = VectorCache(tmp_path, encoder), VectorCache(tmp_path, encoder)
    mine, theirs = cache.encode(["rye", "tea"]), other.encode(["bagel"])
    monkeypatch.setattr(SentenceTransformerEncoder, "encode", lambda *_: pytest.fail("encoded twice"))
    np.testing.assert_array_equal(cache.encode(["bagel", "tea", "rye"]), np.concatenate([theirs, mine[::-1]]))
