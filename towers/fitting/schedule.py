"""The learning-rate schedule: linear warm-up, then linear decay to zero."""

from collections.abc import Callable


def linear_decay(total: int, warmup: int) -> Callable[[int], float]:
    """Learning-rate factor by step: linear warm-up, at most a tenth of all steps, then linear decay to zero.

    Not `transformers.get_linear_schedule_with_warmup`: that one starts at a factor of zero, so that the first step
    moves nothing, where this one starts at 1 / warmup. No choice of its arguments gives the same factors.
    """
    warmup = min(warmup, max(total // 10, 1))
    return lambda step: min((step + 1) / warmup, max(total - step, 0) / max(total - warmup, 1))
