"""Reading multipart/form-data (RFC 7578)."""
