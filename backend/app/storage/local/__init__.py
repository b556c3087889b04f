"""Objects as files of one folder."""
