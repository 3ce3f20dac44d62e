#!/usr/bin/env bash
# Run a command beside a PostgreSQL server of its own:  scripts/with_postgresql.sh make test
#
# MEDMODAL_TEST_POSTGRES_URL tells the command where the server is; where that is set already, nothing is started. The
# server listens on a socket in a private folder, keeps nothing, and ends with the command, whose exit status is given.
# POSTGRESQL_BIN says where initdb and postgres lie. Without it Debian's place and PATH are searched, and what is not
# there is installed with apt-get, as root. Where there is no server to be had, CI=true ends with status 1; elsewhere
# the command runs without one, and the tests that need it are skipped.
set -euo pipefail

main() {
  [[ $# -gt 0 ]] || { echo "usage: scripts/with_postgresql.sh COMMAND [ARGUMENT...]" >&2; exit 2; }
  [[ -z ${MEDMODAL_TEST_POSTGRES_URL:-} ]] || exec "$@"
  bin=$(find_server) || { install_server && bin=$(find_server); } || without "PostgreSQL is not installed" "$@"
  owner=$(id -un)
  if [[ $(id -u) == 0 ]]; then  # a server refuses to run as root
    owner=postgres
    id -u "$owner" >/dev/null 2>&1 || without "there is no user 'postgres' to run it as" "$@"
  fi
  folder=$(mktemp -d /tmp/medmodal-postgresql.XXXXXX)  # short: the path of a socket has 107 bytes at most
  trap stop EXIT
  start || without "the server did not start" "$@"
  status=0
  MEDMODAL_TEST_POSTGRES_URL="postgresql://postgres@/postgres?host=$folder&port=5432" "$@" || status=$?
  exit "$status"
}

find_server() {
  local folder
  if [[ -n ${POSTGRESQL_BIN:-} ]]; then
    set -- "$POSTGRESQL_BIN"
  else
    local folders
    mapfile -t folders < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV)  # the newest first
    set -- "${folders[@]}" "$(dirname -- "$(command -v initdb || echo /nowhere/initdb)")"
  fi
  for folder in "$@"; do
    if [[ -x $folder/initdb && -x $folder/postgres && -x $folder/pg_isready ]]; then
      echo "$folder"
      return
    fi
  done
  return 1
}

install_server() {
  [[ -z ${POSTGRESQL_BIN:-} && $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
  say "installing PostgreSQL"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -q && apt-get install -q -y --no-install-recommends postgresql; } >&2
}

start() {
  chown "$owner" "$folder"
  (as_owner "$bin/initdb" --pgdata="$folder/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync) \
    >"$folder/log" 2>&1 || { cat "$folder/log" >&2; return 1; }
  as_owner "$bin/postgres" -D "$folder/data" -k "$folder" -p 5432 -c listen_addresses= -c fsync=off \
    -c full_page_writes=off >"$folder/log" 2>&1 &
  server=$!
  for _ in {1..300}; do
    "$bin/pg_isready" --quiet --host="$folder" --port=5432 && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$folder/log" >&2
  return 1
}

# In place of this shell, as the server's user, in its folder; ended when the script is killed.
as_owner() {
  local user=()
  [[ $(id -un) == "$owner" ]] || user=(--reuid="$owner" --regid="$(id -g "$owner")" --init-groups)
  cd "$folder"
  exec setpriv "${user[@]}" --pdeathsig=INT "$@"
}

stop() {
  if [[ -n ${server:-} ]]; then
    kill -INT "$server" 2>/dev/null || true
    wait "$server" || true
  fi
  rm -rf "$folder"
}

# REASON COMMAND...
without() {
  local reason=$1
  shift
  say "$reason: what needs PostgreSQL is NOT tested"
  [[ ${CI:-} != true && ${CI:-} != 1 ]] || exit 1
  "$@"
  exit
}

say() {
  echo "with_postgresql: $*" >&2
}

main "$@"
