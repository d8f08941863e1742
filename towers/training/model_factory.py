"""Both towers, untrained, around a dataset, as a configuration wants them."""

from torch import Tensor

from data_prep.columns import Split
from data_prep.command import instantiate
from data_prep.errors import UsageError
from towers.events.interactions import Interactions
from towers.metrics.cases import Cases
from towers.modules.item_features import FeatureTable, ItemFeatures
from towers.modules.item_tower import ItemTower, text_width
from towers.modules.user_tower import UserTower
from towers.modules.word_embeddings import WordEmbeddings, WordTable
from towers.text.encoder import TextEncoder
from towers.text.row_features import ItemText, RowTexts
from towers.training.batches import TrainingBatches
from towers.training.config import TrainConfig
from towers.training.retriever import Retriever
from towers.training.training_set import TrainingSet


def build_items(
    config: TrainConfig, material: TrainingSet, interactions: Interactions, counts: Tensor, encoder: TextEncoder
) -> tuple[ItemTower, ItemText, FeatureTable, WordTable]:
    """The item tower, untrained, and what it reads of each row.

    Args:
        config: everything.
        material: the dataset.
        interactions: the events it is trained on.
        counts: training events of each item, [N].
        encoder: the text encoder.
    """
    tower, num_items = config.tower, len(material.items)
    known = material.items[(counts > 0).numpy()] if (counts > 0).any() else material.items
    features = ItemFeatures.fit(config.features, known, text_width(tower.dim, tower.prior))
    items = ItemTower(
        encoder.dim,
        tower.dim,
        num_ids=num_items if tower.id_embedding else 0,
        num_priors=num_items if tower.prior else None,
        id_dropout=tower.id_dropout,
        features=features,
        words=WordEmbeddings.fit(config.words, material.texts[:num_items], text_width(tower.dim, tower.prior)),
        history=config.optimization.history_rate > 0,
        whitening=tower.whitening,
    )
    if tower.directions:
        items.start_from_directions()
    items.start_from_popularity(counts, config.loss.temperature)
    text = instantiate(config.text, RowTexts(encoder, material.texts, num_items, items.whitening))
    if items.ids is not None:
        started = instantiate(config.id_init).vectors(text, interactions, items.ids.embedding_dim, config.seed)
        items.start_ids(started, tower.id_scale)
    return items, text, FeatureTable(features, material.items), WordTable(items.words, material.texts)


def build_retriever(
    config: TrainConfig, material: TrainingSet, interactions: Interactions, batches: TrainingBatches
) -> Retriever:
    """Both towers, untrained, and what trains them.

    Args:
        config: everything.
        material: the dataset.
        interactions: the events it is trained on.
        batches: the same in batches.

    Raises:
        UsageError: nobody has anything to be found in the validation split.
    """
    encoder = instantiate(config.encoder)
    tower, counts = config.tower, batches.event_counts()
    items, text, features, words = build_items(config, material, interactions, counts, encoder)
    users = UserTower(
        dim=tower.dim,
        event_types=len(material.event_types),
        max_history=tower.max_history,
        layers=tower.layers,
        heads=tower.heads,
        feed_forward=tower.feed_forward,
        dropout=tower.dropout,
        input_dropout=tower.input_dropout,
        window=tower.window,
        prior=tower.prior,
        average=tower.average,
        block=tower.block,
        positions=tower.positions,
        interests=tower.interests,
        attributes=material.attributes.values,
        attribute_dropout=tower.attributes.dropout,
    )
    evaluation = config.evaluation
    cases = Cases.held_out(
        material.sequences,
        material.item_ids,
        Split.VALID,
        evaluation.exclude_seen,
        evaluation.cutoffs,
        evaluation.validation_users,
        config.seed,
    )
    if not len(cases) and len(interactions.rows):
        raise UsageError(f"data: {config.data} has no user with something to find in its validation split")
    return Retriever(
        items,
        users,
        text,
        features,
        words,
        encoder,
        material.event_types,
        instantiate(config.negatives, target_counts=batches.target_counts(), seed=config.seed),
        config.loss,
        config.optimization,
        counts,
        cases,
    )
