"""What operators read: the log, and the reasons of failures."""
