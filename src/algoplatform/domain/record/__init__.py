"""A record: its fields, how it is checked, and the files of records."""
