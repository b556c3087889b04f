"""How the service is reached: the listener, the server processes, HTTP on the wire."""
