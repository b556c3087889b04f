"""The page, measured and looked at in a browser."""
