"""Values and rules without I/O, which every room above may know."""
