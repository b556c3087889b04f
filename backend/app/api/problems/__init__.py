"""Problem details (RFC 9457): the kinds of problems, the answers, and their documentation."""
