#!/bin/sh
# Creates the service's role, which owns its database and has no other privileges. The PostgreSQL image runs this
# script when it initializes its data folder.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
\set password `cat /run/secrets/password`
CREATE ROLE algoplatform LOGIN PASSWORD :'password';
CREATE DATABASE algoplatform OWNER algoplatform;
REVOKE CONNECT ON DATABASE algoplatform FROM PUBLIC;
SQL
