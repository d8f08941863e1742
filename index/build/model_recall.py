"""Model recall, as `towers.evaluate` measured it: never to be taken for index recall."""

from dataclasses import dataclass
from pathlib import Path

from data_prep.files import read_json
from towers.evaluation import METRICS, TWO_TOWERS
from towers.model import ONE_VECTOR


@dataclass(frozen=True)
class ModelRecall:
    """Recall against held-out events, every item ranked exactly.

    Attributes:
        scorer: row of the evaluation's table: the vectors that are indexed.
        split: whose events.
        users: how many.
        recall: mean by metric, `recall@10`.
    """

    scorer: str
    split: str
    users: int
    recall: dict[str, float]


def model_recall(run: Path, fingerprint: str, dim: int | None) -> ModelRecall | None:
    """Recall by a run's evaluation of the vectors that are indexed; None where it was not evaluated so.

    Args:
        run: folder of the run.
        fingerprint: of the run; an evaluation of other towers says nothing.
        dim: length that the vectors are cut to; None for all of it.
    """
    if not (run / METRICS).is_file():
        return None
    report = read_json(run / METRICS)
    scorers = report["scorers"]
    name = ONE_VECTOR if ONE_VECTOR in scorers else TWO_TOWERS
    if dim is not None:
        name = f"{name}, {dim} dimensions"
    if report["run"] != fingerprint or name not in scorers:
        return None
    means = {each: float(value["mean"]) for each, value in scorers[name]["metrics"].items()}
    recall = {each: mean for each, mean in means.items() if each.startswith("recall@")}
    return ModelRecall(name, report["split"], report["users"], recall)
