# One life between two power cuts, for power-cut.sh: whether all is as it should be, then changes until the power goes.

manifests_of_cuts='p1 p2 p3 p4 p5 p6'
src=/data/src
out=/run/out

cuts() {
    mkdir -p $manifests $out
    # What is written reaches the disk soon, and its cache is not empty when the power goes.
    echo 20 >/proc/sys/vm/dirty_writeback_centisecs
    echo 20 >/proc/sys/vm/dirty_expire_centisecs
    if [ -d /data/k3s/agent/holdfast ]; then
        holdfast image verify >/run/verify 2>&1 || bad "the store is not whole: $(tr '\n' ' ' </run/verify)"
    fi
    agent
    for name in $manifests_of_cuts; do
        [ ! -e $manifests/$name.yaml ] || as_written $name
    done
    image_by_hand
    image_dropped
    is "pods that do not run" "$(holdfast get pods --no-headers 2>/dev/null | grep -v -c ' Running ')" 0
    if [ $failed = 0 ]; then
        echo "checked: all well"
    else
        cat $log
        echo "checked: $failed failed"
    fi
    change
}

# A whole manifest runs as it is written, another not at all: in its place goes on what was last whole, if that is known.
as_written() {
    file=$manifests/$1.yaml
    if [ "$(tail -n 1 $file)" = "# whole" ]; then
        version=$(sed -n 's/^# version //p' $file)
        eventually "$1 runs" runs "$1"
        eventually "$1 wrote" [ -s "$out/$1" ]
        is "$1 runs as it is written" "$(tail -c 40 "$out/$1" | sed 's/^x* *//')" "$version"
    else
        eventually "half of $1 is told" told "$1.yaml"
        if [ -n "$(status "$1")" ]; then
            eventually "$1 runs as it last was" runs "$1"
            eventually "$1 wrote" [ -s "$out/$1" ]
            is "$1 ran whole" "$(tail -c 40 "$out/$1" | sed 's/^x* *//')" "[0-9]*"
            echo "kept: $1 runs as it last was"
        fi
        echo "half: $1 was refused"
    fi
}

told() { holdfast get manifests | grep -q "$1"; }

# The kernel's command line says what the last life was told of the image: an import or removal that ended stays.
image_by_hand() {
    case $(sed 's/.*have=\([a-z]*\).*/\1/' /proc/cmdline) in
    yes) is "the image that was taken in by hand" "$(has_image extra)" yes ;;
    no) is "the image that was removed by hand" "$(has_image extra)" no ;;
    esac
    [ "$(has_image extra)" = no ] || image_runs extra
}

# An archive that lies there whole is an image.
image_dropped() {
    if cmp -s $src/dropped.tar /data/k3s/agent/images/dropped.tar; then
        eventually "the archive that lies there is taken in" has has_image dropped yes
    fi
    [ "$(has_image dropped)" = no ] || image_runs dropped
}

has_image() { if holdfast image ls | grep -q "holdfast.test/$1[: ]"; then echo yes; else echo no; fi; }

image_runs() {
    manifest "$1" "$1" 1 >"$manifests/$1.yaml"
    as_written "$1"
    remove "$1"
}

# manifest NAME IMAGE VERSION: longer than a page, and wrong without its end.
manifest() {
    cat <<YAML
# version $3
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 2
  volumes: [{name: out, hostPath: {path: $out}}]
  containers:
  - name: main
    image: holdfast.test/$2:1
    volumeMounts: [{name: out, mountPath: /out}]
    command:
    - /workload
    - write
    - /out/$1
    - "$padding $3"
# whole
YAML
}

padding=$(head -c 6000 /dev/zero | tr '\0' x)

# Whoever writes beside, syncs and renames, and whoever does not.
change() {
    version=$(cut -d. -f1 /proc/uptime)$$
    while :; do
        version=$((version + 1))
        name=$(echo $manifests_of_cuts | tr ' ' '\n' | shuf -n 1)
        case $(shuf -i 0-9 -n 1) in
        [0-2])
            manifest "$name" workload $version | dd of="$manifests/.$name" conv=fsync 2>/dev/null
            mv "$manifests/.$name" "$manifests/$name.yaml"
            ;;
        [3-5]) manifest "$name" workload $version >"$manifests/$name.yaml" ;;
        6) rm -f "$manifests/$name.yaml" ;;
        7) by_hand ;;
        8) cp $src/dropped.tar /data/k3s/agent/images/ ;;
        9) rm -f /data/k3s/agent/images/dropped.tar && holdfast image rm holdfast.test/dropped:1 >/dev/null 2>&1 ;;
        esac
        usleep 50000
    done
}

by_hand() {
    echo "extra: maybe"
    if [ "$(has_image extra)" = no ]; then
        holdfast image import $src/extra.tar >/run/by-hand 2>&1 && echo "extra: yes"
    else
        holdfast image rm holdfast.test/extra:1 >/run/by-hand 2>&1 && echo "extra: no"
    fi
}
