"""Real devices beside the streaming model: what `python -m benchmarks.streaming_real` runs."""
