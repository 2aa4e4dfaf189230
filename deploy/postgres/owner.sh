#!/bin/sh
# The service's role, which owns its database and is nothing beside. The image of PostgreSQL runs this when it sets itself up.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
\set password `cat /run/secrets/password`
CREATE ROLE algoplatform LOGIN PASSWORD :'password';
CREATE DATABASE algoplatform OWNER algoplatform;
REVOKE CONNECT ON DATABASE algoplatform FROM PUBLIC;
SQL
