"""Images: uploads, files, metadata."""
