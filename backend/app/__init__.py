"""An image host that people trust with their pictures."""
