"""What tests, benchmarks and load runs share."""
