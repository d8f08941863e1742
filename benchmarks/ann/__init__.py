"""Our index beside FAISS and other libraries on the same vectors, in one run: `python -m benchmarks.ann`."""
