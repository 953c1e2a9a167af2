# Sourced by ./start and ./test: a virtual environment in .venv with exactly the pinned packages.

say() { printf '%s\n' "$*" >&2; }

# Prints the oldest-named Python that is new enough, or explains what to install.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.11 python3.12 python3.13 python3.14; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 \
            && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    say "Python 3.11 or newer is needed and was not found."
    say "Debian 12, Ubuntu 24.04 and later have it: apt-get install python3 python3-venv"
    say "If it is somewhere else, name it: PYTHON=/path/to/python3.11 $0"
    return 1
}

# Runs a command as root: directly, or by sudo, which may ask for a password on a terminal only.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo "$@"
    else
        return 1
    fi
}

# Installs Debian packages. Their services are not started: nothing here uses them.
install_packages() {
    command -v apt-get >/dev/null 2>&1 || return 1
    local policy=/usr/sbin/policy-rc.d made_policy=""
    if [ ! -e "$policy" ] && printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null; then
        as_root chmod 755 "$policy"
        made_policy=yes
    fi
    local status=0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" \
        >&2 </dev/null \
        || { as_root apt-get update -qq >&2 </dev/null \
            && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
                --no-install-recommends "$@" >&2 </dev/null; } \
        || status=1
    if [ -n "$made_policy" ]; then as_root rm -f "$policy"; fi
    return "$status"
}

make_virtualenv() {
    local python="$1" version
    rm -rf .venv
    if "$python" -m venv .venv >/dev/null 2>&1 && [ -x .venv/bin/pip ]; then return 0; fi
    # Debian keeps the module that puts pip into a new environment in a package of its own.
    version="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    say "Installing $version: $python cannot make virtual environments without it."
    install_packages "$version" || install_packages python3-venv || {
        say "That failed. Please run as root: apt-get install $version"
        return 1
    }
    rm -rf .venv
    "$python" -m venv .venv
}

# prepare_virtualenv NAME FILE… : installs the files' packages unless the stamp NAME says it is done.
prepare_virtualenv() {
    local name="$1" python wanted stamp=".venv/.$1"
    shift
    if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python="$(find_python)" || return 1
        say "Making a virtual environment in .venv with $python"
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
