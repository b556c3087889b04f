"""What any process of the service uses: signals, and batching of concurrent operations."""
