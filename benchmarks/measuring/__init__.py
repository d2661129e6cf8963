"""What all benchmarks measure with: processes, servers, and tables of results."""
