"""Who a caller is, by a token: no web in it."""
