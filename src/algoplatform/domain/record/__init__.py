"""Records: their fields, their validation, and files of records."""
