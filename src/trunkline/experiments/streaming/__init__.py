"""The streaming experiments: scenario, sweeps, and what they come to."""
