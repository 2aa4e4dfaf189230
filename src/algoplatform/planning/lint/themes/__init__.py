"""The rules over one record, one module per theme; each function takes fields and returns flaws."""
