"""The grammars of a record's fields, one per module."""
