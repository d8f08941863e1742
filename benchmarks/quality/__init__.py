"""Our recipes and their peers on the same splits, judged by the same code: `python -m benchmarks.quality`."""
