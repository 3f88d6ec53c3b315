#!/usr/bin/env bash
# Installs what the tests need where it is missing, then runs them all.
#
#   ./test.sh                 every test
#   ./test.sh postgres        the tests whose names contain a word; all words go to cargo test
#   ./test.sh --install       only install
#   CHUDONG_TEST_TIMES=10 ./test.sh    tries ten times as often what is tried at random
#
# The tests start PostgreSQL and MariaDB servers of their own, in temporary folders and on free ports of
# 127.0.0.1, so that only their programs are needed: no server has to run. Likewise an S3-compatible
# server, readers of published files, a verifier of DKIM signatures and the accessibility checker axe-core, which are
# installed from PyPI into target/test-tools.
set -euo pipefail
cd "$(dirname "$0")"

# Debian and Ubuntu keep the server's programs out of PATH, in a folder for each version.
has_postgresql() {
  local folder
  folder=$(pg_config --bindir 2>/dev/null || true)
  for folder in "$folder" ${PATH//:/ } /usr/lib/postgresql/*/bin /usr/local/bin; do
    [[ -x $folder/initdb && -x $folder/postgres ]] && return 0
  done
  return 1
}

# Of MariaDB the server alone: the full package would start a service.
has_mariadb() {
  local folder
  for folder in ${PATH//:/ } /usr/sbin /usr/local/sbin /usr/libexec; do
    [[ -x $folder/mariadbd ]] && return 0
  done
  return 1
}

has_odbc_driver() {
  local folder
  for folder in /usr/lib/*/odbc /usr/lib64 /usr/local/lib; do
    [[ -e $folder/$1 ]] && return 0
  done
  return 1
}

# From PyPI, in a folder of their own: an S3-compatible server for the sources that are object stores, unless there is
# one; readers of what is published (Frictionless Data, CSV on the Web); a verifier of signatures that is not ours; a
# reader of the tags of PDF (qpdf's library); axe-core, of whose package one file is needed and nothing it needs.
tools=target/test-tools
packages=('dkimpy[ed25519]==1.1.8' 'frictionless==5.21.0' 'csvw==4.1.1' 'pikepdf==10.17.0')
command -v moto_server >/dev/null || packages+=('moto[server]==5.2.5')
axe='axe-playwright-python==0.1.8'
has_tools() {
  # What an interrupted installation, another version of Python or an earlier version of this script left is none.
  [[ -f $tools/installed && $(<"$tools/installed") == "${packages[*]} $axe" ]] && "$tools/bin/python" -c '' 2>/dev/null
}

# Postfix and its two test programs: the tests start servers of their own, with their own configuration.
has_smtp_sink() {
  local folder
  for folder in ${PATH//:/ } /usr/sbin /usr/local/sbin; do
    [[ -x $folder/smtp-sink && -x $folder/smtp-source ]] && return 0
  done
  return 1
}

missing=()
has_smtp_sink || missing+=(postfix)
has_postgresql || missing+=(postgresql)
has_mariadb || missing+=(mariadb-server-core)
has_odbc_driver libsqlite3odbc.so || missing+=(libsqliteodbc)
has_odbc_driver psqlodbcw.so || missing+=(odbc-postgresql)
# An IMAP server, of which each test starts one of its own. The packages start none where no service may be started.
[[ -x /usr/sbin/dovecot ]] || missing+=(dovecot-imapd)
# Verifies signatures of published lists, and has nothing of ours in it.
command -v minisign >/dev/null || missing+=(minisign)
# The clock of a process as a test wants it.
compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || missing+=(libfaketime)
# A browser, in which pages and letters are looked at as people see them.
command -v chromium >/dev/null || missing+=(chromium)
# Reads a PDF as whoever knows nothing of its tags.
command -v pdftotext >/dev/null || missing+=(poppler-utils)
# What the build needs: the C of SQLite, zstd and OpenSSL is compiled from source.
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v make >/dev/null || missing+=(make)
# The perl of a slim image lacks the modules with which OpenSSL is configured.
perl -MFindBin -MIPC::Cmd -MPod::Usage -e 1 2>/dev/null || missing+=(perl)

tools_found=0
has_tools && tools_found=1
((tools_found)) || python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)

if ((${#missing[@]})); then
  if ! command -v apt-get >/dev/null; then
    echo "test.sh: please install what these packages of Debian hold: ${missing[*]}" >&2
    exit 1
  fi
  if ((EUID != 0)); then
    echo "test.sh: the tests need packages that are missing. Please run this first:" >&2
    echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  echo "test.sh: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  # The package would make a cluster and start it; the tests make their own. Said for this installation alone.
  conf=/etc/postgresql-common/createcluster.conf
  [[ -e $conf ]] && conf=
  if [[ -n $conf ]]; then
    mkdir -p "${conf%/*}"
    echo "create_main_cluster = false" >"$conf"
  fi
  installed=1
  # The answer to a question about that file, if the package asks one, is to keep it.
  if ! { apt-get update && apt-get install --yes --no-install-recommends -o Dpkg::Options::=--force-confold \
    "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    installed=0
    cat "$log" >&2
  fi
  rm -f "$log" ${conf:+"$conf"}
  ((installed)) || exit 1
  has_postgresql || { echo "test.sh: the package postgresql brought no initdb" >&2; exit 1; }
  has_mariadb || { echo "test.sh: the package mariadb-server-core brought no mariadbd" >&2; exit 1; }
  has_odbc_driver libsqlite3odbc.so || { echo "test.sh: the package libsqliteodbc brought no driver" >&2; exit 1; }
  has_odbc_driver psqlodbcw.so || { echo "test.sh: the package odbc-postgresql brought no driver" >&2; exit 1; }
fi

if ((!tools_found)); then
  echo "test.sh: installing ${packages[*]} $axe into $tools"
  python3 -m venv --clear "$tools"
  pip() { "$tools/bin/pip" install --quiet --disable-pip-version-check "$@"; }
  if ! { pip "${packages[@]}" && pip --no-deps "$axe"; }; then
    echo "test.sh: ${packages[*]} $axe cannot be installed from PyPI: see above. It needs a connection, or a mirror" \
      "(PIP_INDEX_URL)" >&2
    exit 1
  fi
  cp "$tools"/lib/python*/site-packages/axe_playwright_python/axe.min.js "$tools/axe.min.js"
  echo "${packages[*]} $axe" >"$tools/installed"
fi

if ! command -v cargo >/dev/null; then
  echo "test.sh: a Rust toolchain is needed, for example from https://rustup.rs" >&2
  exit 1
fi

[[ ${1-} == --install ]] && exit 0

# One profile for tests and product: the dependencies are compiled once.
exec cargo test --release --locked "$@" </dev/null
