"""What workers do, one file a job: each is a task over a service."""
