"""The composition root: the one room that knows which parts the service is made of."""
