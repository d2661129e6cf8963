"""What all benchmarks measure on: simulated orders, stores with weeks of them, other models."""
