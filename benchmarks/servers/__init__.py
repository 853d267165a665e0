"""What the serving benchmarks are made of: models, servers to start, clients, peers' packages."""
