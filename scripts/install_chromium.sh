#!/usr/bin/env bash
# Installs Chromium where there is none, on Debian and its like; tests of browsers need it. Does
# nothing where CHROME_PATH or the usual names have one, or where there is no apt.
set -euo pipefail
if [ -n "${CHROME_PATH:-}" ] || command -v chromium chromium-browser google-chrome >/dev/null; then exit 0; fi
if ! command -v apt-get >/dev/null; then
  echo "No Chromium and no apt-get here: install a Chromium and set CHROME_PATH to it" >&2
  exit 1
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
$as_root apt-get update
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends chromium
