"""How fast the service is beside what PostgreSQL and HTTP allow: `./dev bench`."""
