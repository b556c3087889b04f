"""How the service is reached: the listener, the processes that serve, and what watches them."""
