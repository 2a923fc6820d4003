#!/bin/sh
# Tools that others wrote, for tests and benchmarks: Debian packages, downloaded and unpacked below target/debian.
# Nothing is installed; a second run needs no network.
#
#   tests/debian.sh               fetch what is missing, check that each tool runs
#   tests/debian.sh run TOOL ...  run one of them; target/debian/bin/TOOL does the same
#
# Prints the folder of the wrappers. The distribution should be Debian 12 or newer; another one needs the tools'
# libraries of the same age.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
debian=${HOLDFAST_DEBIAN:-$here/target/debian}
root=$debian/root
tools='skopeo umoci podman buildah conmon crun runc busybox redis-server redis-cli bzip2 lz4 systemd-analyze shellcheck etcd openssl docker-registry ip nft nginx etcdctl wrk iptables-nft ip6tables-nft'

# The tools, and the libraries that a small installation may lack. libc is the machine's own: it fits its loader.
packages='skopeo umoci podman buildah conmon crun runc busybox-static redis-server redis-tools bzip2 lz4
systemd libsystemd-shared openrc libeinfo1 librc1 shellcheck etcd-server etcd-client nginx wrk openssl docker-registry iproute2 nftables
netavark iptables
golang-github-containers-common golang-github-containers-image
libbpf1 libbsd0 libdb5.3 libedit2 libelf1 libmd0 libmnl0 libnftables1 libnftnl11 libtirpc3 libxtables12
libacl1 libapparmor1 libassuan0 libatomic1 libaudit1 libblkid1 libbz2-1.0 libcap-ng0 libcap2 libcrypt1
libdevmapper1.02.1 libgcrypt20 libglib2.0-0 libgpg-error0 libgpgme11 libhiredis0.14 libip4tc2 libip6tc2 libjemalloc2 libkmod2
liblua5.1-0 libluajit-5.1-2 liblz4-1 liblzf1 liblzma5 libmount1 libnetfilter-conntrack3 libnfnetlink0 libpam0g libpcre2-8-0 libseccomp2 libselinux1 libssl3 libsubid4
libsystemd0 libudev1 libyajl2 libzstd1 lua-bitop lua-cjson'

fail() {
    echo "tests/debian.sh: $*" >&2
    exit 1
}

# Everybody waits for the one who fetches first.
lock() {
    mkdir -p "$debian/packages" "$root"
    exec 9>"$debian/lock"
    flock 9
}

fetch() {
    missing=
    for package in $packages; do
        [ -e "$debian/packages/$package" ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "tests/debian.sh: fetching$missing" >&2
    # shellcheck disable=SC2086 # a list
    download $missing || { apt-get update -qq >&2 && download $missing; } || fail "cannot download$missing"
    for package in $missing; do
        dpkg -x "$debian/packages/$package"_*.deb "$root" || fail "cannot unpack $package"
        rm -f "$debian/packages/$package"_*.deb
        touch "$debian/packages/$package"
    done
}

download() {
    (cd "$debian/packages" && apt-get download -qq -o APT::Sandbox::User=root "$@" >&2)
}

# A wrapper each, so that a test names a file and knows nothing of libraries and configuration.
wrap() {
    mkdir -p "$debian/bin" "$debian/home/.config/containers"
    echo '{ "default": [{ "type": "insecureAcceptAnything" }] }' >"$debian/home/.config/containers/policy.json"
    : >"$debian/home/registries.conf"
    printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' \
        "$debian/podman/graph" "$debian/podman/run" >"$debian/home/storage.conf"
    cat >"$debian/home/containers.conf" <<END
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
conmon_path = ["$debian/bin/conmon"]
helper_binaries_dir = ["$root/usr/lib/podman"]
tmp_dir = "$debian/podman/tmp"
static_dir = "$debian/podman/static"
volume_path = "$debian/podman/volumes"
[network]
network_backend = "netavark"
network_config_dir = "$debian/podman/networks"
[engine.runtimes]
runc = ["$debian/bin/runc"]
crun = ["$debian/bin/crun"]
END
    libraries=$(dirname "$(find "$root/usr/lib" -name 'libgpgme.so.11')")
    libraries=$libraries:$root/lib/$(basename "$libraries")
    # systemd's libraries of its own.
    libraries=$libraries:$(dirname "$(find "$root/usr/lib" -name 'libsystemd-shared-*.so')")
    extensions=$(find "$root/usr/lib" -type d -name xtables)
    for tool in $tools; do
        program=$(find "$root/usr/bin" "$root/usr/sbin" "$root/bin" "$root/sbin" -name "$tool" | head -n 1)
        [ -n "$program" ] || fail "no $tool in the packages"
        cat >"$debian/bin/$tool.new" <<END
#!/bin/sh
export LD_LIBRARY_PATH='$libraries' HOME='$debian/home'
export CONTAINERS_CONF='$debian/home/containers.conf' CONTAINERS_STORAGE_CONF='$debian/home/storage.conf'
export CONTAINERS_REGISTRIES_CONF='$debian/home/registries.conf' OPENSSL_CONF='$root/etc/ssl/openssl.cnf'
export XTABLES_LIBDIR='$extensions'
exec '$program' "\$@"
END
        chmod +x "$debian/bin/$tool.new"
        mv "$debian/bin/$tool.new" "$debian/bin/$tool"
    done
    # As installed, by Debian's choice of alternatives.
    ln -sf iptables-nft "$debian/bin/iptables"
    ln -sf ip6tables-nft "$debian/bin/ip6tables"
}

check() {
    for tool in $tools; do
        case $tool in
        busybox) set -- true ;;
        openssl) set -- version ;;
        ip) set -- -V ;;
        nginx) set -- -v ;;
        etcdctl) set -- version ;;
        *) set -- --version ;;
        esac
        # wrk tells its version, and then that it was told no address.
        "$debian/bin/$tool" "$@" >"$debian/check" 2>&1 || grep -q '^wrk .*Copyright' "$debian/check" || fail "$tool does not run: $(cat "$debian/check")"
    done
}

lock
fetch
[ -e "$debian/ready" ] && [ "$debian/ready" -nt "$0" ] || { wrap && check && touch "$debian/ready"; }
exec 9>&-

if [ "${1-}" = run ]; then
    tool=$2
    shift 2
    exec "$debian/bin/$tool" "$@"
fi
echo "$debian/bin"
