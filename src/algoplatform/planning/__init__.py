"""What can be said of records before anything runs: pure functions over them."""
