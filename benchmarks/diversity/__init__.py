"""The cost of diversity: NDCG against the distance within lists, over the strength of each method."""
