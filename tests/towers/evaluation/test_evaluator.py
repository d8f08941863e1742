"""The scorers of a model."""

from pathlib import Path

import pytest

from data_prep.dataset import Dataset
from towers.evaluation.evaluator import ModelScorers
from towers.events.history import History
from towers.model.one_vector import OneVectorModel
from towers.model.run_record import RunRecord


def test_the_user_encoder_is_built_once_for_all_tables(
    tiny_run: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
):
    built: list[int] = []
    build = OneVectorModel.user_encoder

    def counted(self: OneVectorModel, *arguments):
        built.append(len(self.blocks))
        return build(self, *arguments)

    monkeypatch.setattr(OneVectorModel, "user_encoder", counted)
    model = OneVectorModel.open(tiny_run)
    scorers = ModelScorers(model, Dataset.open(tiny_data).items)
    names = [scorer.name for scorer in scorers.each(RunRecord.read(tiny_run))]
    assert names[0] == "two towers" and names[-1] == "one vector"
    number = len(built)
    assert scorers.one_vector is scorers.one_vector and scorers.two_towers is scorers.two_towers
    assert len(built) == number


def test_a_model_without_blocks_is_its_towers(tiny_run: Path, tiny_data: Path):
    scorers = ModelScorers(OneVectorModel.open(tiny_run).only([]), Dataset.open(tiny_data).items)
    histories, queries = [History.empty()], ["green tea"]
    assert (scorers.one_vector.score(histories, queries) == scorers.two_towers.score(histories, queries)).all()
    assert (scorers.one_vector.name, scorers.two_towers.name) == ("one vector", "two towers")
