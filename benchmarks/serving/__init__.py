"""Cost of serving, beside the cost of its parts on the same machine, and drills of failures.

    python -m benchmarks.serving load    --bundle artifacts/bundles/current
    python -m benchmarks.serving drills  --bundle artifacts/bundles/current
    python -m benchmarks.serving soak    --bundle artifacts/bundles/current --calls 100000
    python -m benchmarks.serving shop    --folder artifacts/serving --items 100000

Servers are started by the real command, each in a process of its own, and asked over real gRPC by another process. Load
is open: arrivals follow a clock and do not wait for answers, so a slow server is not asked more gently.
"""
