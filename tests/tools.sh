#!/usr/bin/env bash
# Installs what the tests of the whole house need and writes where it stands to the file named as the first argument.
# What cannot be installed here is named, and the script fails.
set -euo pipefail

out=$(realpath "$1")
cd "$(dirname "$0")"
cache=${TRACELAKE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tracelake}
mkdir -p "$cache"

fail() {
  echo "make test: $1" >&2
  exit 1
}

command -v python3 > /dev/null || fail "python3 is missing; install Python 3.9 or newer"
command -v node > /dev/null || fail "node is missing; install Node.js 20.19 or newer with npm"
command -v npm > /dev/null || fail "npm is missing; install Node.js 20.19 or newer with npm"

# Python packages, in an environment named after their list.
venv=$cache/venv-$(sha256sum sdk/requirements.txt | cut -c1-12)
if [ ! -e "$venv/ready" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv" || fail "python3 cannot make a virtual environment; install python3-venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r sdk/requirements.txt || fail "pip could not install tests/sdk/requirements.txt"
  touch "$venv/ready"
fi

# Node packages, from the committed lock files.
for folder in sdk/node browser; do
  if [ ! -e "$folder/node_modules/.ready" ] || [ "$folder/package-lock.json" -nt "$folder/node_modules/.ready" ]; then
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || fail "npm could not install tests/$folder"
    touch "$folder/node_modules/.ready"
  fi
done

# A browser.
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$chromium" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } > "$cache/apt.log" 2>&1 \
    || fail "apt-get could not install chromium; see $cache/apt.log"
  chromium=$(command -v chromium || true)
fi
[ -n "$chromium" ] || fail "chromium is missing; install it (Debian: apt-get install chromium)"

cat > "$out" <<ENV
export TRACELAKE_TEST_PYTHON='$venv/bin/python'
export TRACELAKE_TEST_NODE_MODULES='$PWD/sdk/node/node_modules'
export TRACELAKE_TEST_BROWSER_MODULES='$PWD/browser/node_modules'
export TRACELAKE_TEST_CHROMIUM='$chromium'
ENV
