# Sourced by ./start and ./test: makes a virtual environment in .venv with the pinned packages.

say() { printf '%s\n' "$*" >&2; }

# Prints a Python that is new enough, or explains what to install.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.11 python3.12 python3.13 python3.14; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 \
            && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    say "Python 3.11 or newer is required, but was not found."
    say "Debian 12, Ubuntu 24.04 and later have it: apt-get install python3 python3-venv"
    say "If it is installed elsewhere, say where: PYTHON=/path/to/python3.11 $0"
    return 1
}

# Runs a command as root: directly, or by sudo, which may ask for a password if there is a terminal.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1 \
        && { sudo -n true 2>/dev/null || { : </dev/tty; } 2>/dev/null; }; then
        sudo "$@"
    else
        return 1
    fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "$@" </dev/null
}

# Installs Debian packages without starting their services, which nothing here uses.
install_packages() {
    command -v apt-get >/dev/null 2>&1 || return 1
    local policy=/usr/sbin/policy-rc.d made_policy="" status=0 log
    log="$(mktemp)"
    if [ ! -e "$policy" ] && as_root true; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        made_policy=yes
    fi
    # An outdated package list refers to removed files: update it and try again.
    { apt_install "$@" || { as_root apt-get update -qq && apt_install "$@"; }; } >"$log" 2>&1 \
        || status=1
    if [ -n "$made_policy" ]; then as_root rm -f "$policy"; fi
    if [ "$status" != 0 ]; then tail -n 5 "$log" >&2; fi
    rm -f "$log"
    return "$status"
}

make_virtualenv() {
    local python="$1" version
    rm -rf .venv
    if "$python" -m venv .venv >/dev/null 2>&1 && [ -x .venv/bin/pip ]; then return 0; fi
    # Debian puts the module that installs pip into new environments in a separate package.
    version="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    say "Installing $version: $python cannot create virtual environments without it."
    install_packages "$version" || install_packages python3-venv || {
        say "That failed. Please run as root: apt-get install $version"
        return 1
    }
    rm -rf .venv
    "$python" -m venv .venv
}

# prepare_virtualenv NAME FILE…: installs the files' packages unless the stamp NAME is up to date.
prepare_virtualenv() {
    local name="$1" python wanted stamp=".venv/.$1"
    shift
    if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python="$(find_python)" || return 1
        say "Creating a virtual environment in .venv with $python"
        make_virtualenv "$python" || return 1
    fi
    wanted="$(cat "$@" | cksum)"
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return 0; fi
    say "Installing the packages of $* (once; takes up to a minute)"
    local options=() file
    for file in "$@"; do options+=(-r "$file"); done
    .venv/bin/python -m pip install --disable-pip-version-check --quiet "${options[@]}" || {
        say "The packages could not be installed: see the error above."
        return 1
    }
    printf '%s' "$wanted" >"$stamp"
}
