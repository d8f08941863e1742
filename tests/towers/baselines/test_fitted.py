"""Models fitted as configured, those that do not apply left out."""

from types import SimpleNamespace
from typing import cast

from towers.baselines import DoesNotApply, fit_each
from towers.events import TrainingData

NODES = {name: {"_target_": f"{__name__}.Model", "factor": factor} for name, factor in (("a", 2), ("b", 0), ("c", 3))}


class Model:
    """Applies unless its factor is 0."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def fit(self, training: SimpleNamespace) -> str:
        if not self.factor:
            raise DoesNotApply("there is nothing to multiply")
        training.fitted.append(self.factor)
        return f"times {self.factor}"


def test_each_is_fitted_when_its_turn_comes_and_what_does_not_apply_says_why(monkeypatch) -> None:
    monkeypatch.setattr("towers.baselines.fitted.instantiate", lambda node: Model(node["factor"]))
    training, left_out = SimpleNamespace(fitted=[]), {}
    models = fit_each(NODES, cast(TrainingData, training), left_out)
    assert next(models) == ("a", "times 2")
    assert training.fitted == [2]
    assert list(models) == [("c", "times 3")]
    assert left_out == {"b": "there is nothing to multiply"}
