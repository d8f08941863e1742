"""Both towers, untrained, around a training set, as a configuration wants them."""

from torch import Tensor

from data_prep.columns import Split
from data_prep.command import instantiate
from data_prep.errors import UsageError
from towers.events.interactions import Interactions
from towers.metrics.cases import Cases
from towers.modules.item_features import FeatureTable, ItemFeatures
from towers.modules.item_tower import ItemTower, ItemTowerSettings, text_width
from towers.modules.user_tower import UserTower, UserTowerSettings
from towers.modules.word_embeddings import WordEmbeddings, WordTable
from towers.text.encoder import TextEncoder
from towers.text.row_features import RowTexts
from towers.training.batches import TrainingBatches
from towers.training.config import TrainConfig
from towers.training.retriever import Retriever, TrainableTowers
from towers.training.training_set import TrainingSet


def build_retriever(
    config: TrainConfig, training_set: TrainingSet, interactions: Interactions, batches: TrainingBatches
) -> Retriever:
    """Both towers, untrained, and what trains them.

    Args:
        config: everything.
        training_set: the dataset.
        interactions: the events it is trained on.
        batches: the same in batches.

    Raises:
        UsageError: nobody has anything to be found in the validation split.
    """
    counts, evaluation = batches.event_counts(), config.evaluation
    towers = build_towers(config, training_set, interactions, counts)
    cases = Cases.held_out(
        training_set.sequences,
        training_set.item_ids,
        Split.VALID,
        evaluation.exclude_seen,
        evaluation.cutoffs,
        evaluation.validation_users,
        config.seed,
    )
    if not len(cases) and len(interactions.rows):
        raise UsageError(f"data: {config.data} has no user with something to find in its validation split")
    negatives = instantiate(config.negatives, target_counts=batches.target_counts(), seed=config.seed)
    return Retriever(towers, negatives, config.loss, config.optimization, counts, cases)


def build_towers(
    config: TrainConfig, training_set: TrainingSet, interactions: Interactions, counts: Tensor
) -> TrainableTowers:
    """Both towers, untrained, and what they read; arguments as of `build_retriever`, `counts` the events of each item.

    The item tower is made before the user tower: both draw their first weights.
    """
    encoder: TextEncoder = instantiate(config.encoder)
    num_items = len(training_set.items)
    items = build_items(config, training_set, counts, encoder)
    text = instantiate(config.text, RowTexts(encoder, training_set.texts, num_items, items.whitening))
    if items.ids is not None:
        started = instantiate(config.id_init).vectors(text, interactions, items.ids.embedding_dim, config.seed)
        items.start_ids(started, config.tower.id_scale)
    settings = UserTowerSettings.of(
        config.tower,
        event_types=len(training_set.event_types),
        attributes=training_set.attributes.values,
        attribute_dropout=config.tower.attributes.dropout,
    )
    return TrainableTowers(
        items=items,
        users=UserTower(settings),
        text=text,
        features=FeatureTable(items.features, training_set.items),
        words=WordTable(items.words, training_set.texts),
        encoder=encoder,
        event_types=training_set.event_types,
    )


def build_items(config: TrainConfig, training_set: TrainingSet, counts: Tensor, encoder: TextEncoder) -> ItemTower:
    """The item tower, untrained; its id embeddings are noise yet."""
    tower, num_items = config.tower, len(training_set.items)
    width = text_width(tower.dim, tower.prior)
    known = training_set.items[(counts > 0).numpy()] if (counts > 0).any() else training_set.items
    items = ItemTower(
        ItemTowerSettings(
            text_dim=encoder.dim,
            dim=tower.dim,
            num_ids=num_items if tower.id_embedding else 0,
            num_priors=num_items if tower.prior else None,
            id_dropout=tower.id_dropout,
            history=config.optimization.history_rate > 0,
            whitening=tower.whitening,
        ),
        features=ItemFeatures.fit(config.features, known, width),
        words=WordEmbeddings.fit(config.words, training_set.texts[:num_items], width),
    )
    if tower.directions:
        items.start_from_directions()
    items.start_from_popularity(counts, config.loss.temperature)
    return items
