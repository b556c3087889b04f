"""What any process of the service uses: signals, batching of operations, expiring memory."""
