"""The grammars of a record's fields, one module each."""
