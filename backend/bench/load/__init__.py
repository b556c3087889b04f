"""A mixed load of many users, by Locust."""
