#!/usr/bin/env bash
# Installs ClickHouse as the Python package chdb into the cache and prints its interpreter. Fails where it cannot.
set -euo pipefail

cache=${TRACELAKE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tracelake}
version=4.4.0
venv=$cache/chdb-$version
if [ ! -e "$venv/ready" ]; then
  mkdir -p "$cache"
  rm -rf "$venv"
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check "chdb==$version" >&2
  touch "$venv/ready"
fi
echo "$venv/bin/python"
