"""The domain rules, free of I/O: image records, their validation, and access control."""
