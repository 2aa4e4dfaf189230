"""Performance of the service against what PostgreSQL and HTTP allow: `./dev bench`."""
