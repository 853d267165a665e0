"""The inference server: models of a store behind the Open Inference Protocol, by deadline."""
