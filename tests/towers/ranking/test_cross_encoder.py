"""The cross-encoder: its scores, its sizes, its files."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import UsageError
from towers import CrossEncoder, InputTemplate, OneVectorModel
from towers.ranking.cross_encoder import small_backbone
from towers.ranking.record import CrossEncoderRecord

PLAIN = InputTemplate(template=None, context_items=3, event_types=False)


@pytest.fixture(scope="module")
def bert(tiny_encoder: Path) -> Path:
    return tiny_encoder.parent / "bert"


def untrained(bert: Path, width: int = 32, recall_weight: float = 5.0) -> CrossEncoder:
    return CrossEncoder(*small_backbone(bert, 1, width), 32, PLAIN, recall_weight=recall_weight).eval()


def test_an_untrained_cross_encoder_keeps_the_recall_order(bert: Path):
    recalled = np.array([0.3, 0.9, -0.2], np.float32)
    found = untrained(bert).score("green tea", ["rye bread", "black tea", "cat food"], recalled)
    np.testing.assert_allclose(found, 5 * recalled, atol=1e-6)


def test_scores_do_not_depend_on_what_else_is_scored(tiny_run: Path):
    model = CrossEncoder.load(tiny_run / "cross_encoder")
    texts = ["green tea", "black tea with a very long name that goes on and on", "rye", "", "cat food"] * 20
    recalled = np.linspace(0, 1, len(texts)).astype(np.float32)
    together = model.score("rye bread; toast", texts, recalled)
    for i in (0, 1, 3, 57):
        np.testing.assert_allclose(
            model.score("rye bread; toast", [texts[i]], recalled[i : i + 1])[0], together[i], atol=1e-4
        )
    assert len(model.score("x", [], np.zeros(0, np.float32))) == 0


def test_a_saved_cross_encoder_scores_like_the_one_in_memory(bert: Path, tmp_path: Path):
    model = untrained(bert)
    model.head.weight.data.normal_()
    model.input_template = InputTemplate("{title} {brand}", context_items=2, event_types=True)
    model.save(tmp_path / "cross_encoder")
    assert CrossEncoder.load(tmp_path / "cross_encoder").input_template == model.input_template
    recalled = np.array([0.1, 0.2], np.float32)
    expected = model.score("green tea", ["black tea", "dog leash"], recalled)
    np.testing.assert_allclose(
        CrossEncoder.load(tmp_path / "cross_encoder").score("green tea", ["black tea", "dog leash"], recalled),
        expected,
        atol=1e-6,
    )
    (tmp_path / "cross_encoder" / "cross_encoder.json").unlink()
    with pytest.raises(UsageError, match="no cross-encoder"):
        CrossEncoder.load(tmp_path / "cross_encoder")


def test_a_backbone_of_the_same_width_keeps_the_pretrained_layers_and_a_narrower_one_is_fresh(bert: Path):
    same, _ = small_backbone(bert, 1, 64)
    whole, _ = small_backbone(bert, 2, 64)
    assert len(same.encoder.layer) == 1
    first = "encoder.layer.0.attention.self.query.weight"
    assert (same.state_dict()[first] == whole.state_dict()[first]).all()
    narrow, _ = small_backbone(bert, 2, 32)
    assert narrow.state_dict()[first].shape == (32, 32)


@pytest.mark.parametrize(
    ("layers", "width", "named"), [(3, 64, "layers: 3"), (1, 40, "width: 40"), (1, 128, "width: 128")]
)
def test_sizes_that_the_pretrained_model_cannot_give_are_refused(bert: Path, layers: int, width: int, named: str):
    with pytest.raises(UsageError, match=named):
        small_backbone(bert, layers, width)


def test_a_weight_scales_the_text_scores_and_leaves_recall_alone(bert: Path):
    model = untrained(bert)
    model.head.weight.data.normal_()
    model.head.bias.data.fill_(0.3)
    texts, recalled = ["black tea", "rye bread"], np.array([0.1, 0.2], np.float32)
    read = model.score("green tea", texts, np.zeros(2, np.float32))
    model.scale_text_scores(0.25)
    np.testing.assert_allclose(model.score("green tea", texts, recalled), 0.25 * read + 5 * recalled, atol=1e-5)


def test_the_record_has_the_towers_it_was_trained_for_and_its_comparison(tiny_run: Path):
    record = CrossEncoderRecord.read(tiny_run / "cross_encoder")
    assert record.towers_fingerprint == OneVectorModel.open(tiny_run).fingerprint
    users = record.result.users
    assert users is not None and record.result.queries is None
    assert 0 <= record.result.not_retrieved["users"] <= 1
    assert 0 < users.before <= 1
    assert users.low <= users.mean <= users.high
    assert users.mean == pytest.approx(users.after - users.before)
    assert not list(tiny_run.glob("cross_encoder_training"))


def test_no_pickle_is_left_in_a_cross_encoder(tiny_run: Path, tmp_path: Path):
    shutil.copytree(tiny_run / "cross_encoder", tmp_path / "copy")
    assert not [p for p in (tmp_path / "copy").rglob("*") if p.suffix in (".bin", ".pt", ".pkl")]
