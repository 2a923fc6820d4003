# Looking and doing for stories.sh and, in part, managers-stories.sh: holdfast's own command line and the kernel's files, nothing else.

manifests=/data/k3s/agent/pod-manifests
cgroups=/sys/fs/cgroup/kubepods
log=/data/agent-$boot.log
failed=0
# Emulation on a busy machine is slow.
patience=60

# --- looking ---------------------------------------------------------------------------------------------------------

# is WHAT GOT WANTED; WANTED is a pattern of `case`.
is() {
    # shellcheck disable=SC2254 # a pattern
    case $2 in
    $3) echo "ok $1: $2" ;;
    *) bad "$1: $2, wanted $3" ;;
    esac
}

bad() {
    echo "not ok $1"
    failed=$((failed + 1))
}

# eventually WHAT COMMAND...: waits until the command succeeds.
eventually() {
    what=$1
    shift
    until=$(($(uptime_s) + patience))
    while ! "$@"; do
        if [ "$(uptime_s)" -ge $until ]; then
            bad "$what: not after $patience s"
            holdfast get pods
            tail -n 5 "$log"
            return 1
        fi
        sleep 0.1
    done
    echo "ok $what"
}

uptime_s() { cut -d. -f1 /proc/uptime; }

# Columns of `get pods`.
status() { holdfast get pods "$1" 2>/dev/null | awk 'NR == 2 { print $3 }'; }
restarts() { holdfast get pods "$1" 2>/dev/null | awk 'NR == 2 { print $4 }'; }
runs() { [ "$(holdfast get pods "$1" 2>/dev/null | awk 'NR == 2 { print $2 $3 }')" = 1/1Running ]; }
has() { [ "$("$1" "$2")" = "$3" ]; }
absent() { ! holdfast get pods "$1" >/dev/null 2>&1; }
says() { holdfast logs "$1" 2>/dev/null | grep -q "$2"; }

uid() { holdfast get pods "$1" -o yaml 2>/dev/null | awk '$1 == "uid:" { print $2; exit }' | tr -d '"'; }

# The cgroup of a pod, or of a file below it; the process of its container.
of() { find $cgroups -type d -name "pod$(uid "$1")"; }
file() { cat "$(of "$1")/$2"; }
process() { head -n 1 "$(of "$1")"/main-"${2-0}"/cgroup.procs; }

# --- doing -----------------------------------------------------------------------------------------------------------

# pod NAME ARGUMENTS [MORE OF THE CONTAINER [MORE OF THE SPEC]]: all as YAML flow.
pod() {
    cat >"$manifests/.$1" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec: {containers: [{name: main, image: "holdfast.test/workload:1", command: [/workload, $2], ${3-}}], ${4-terminationGracePeriodSeconds: 20}}
YAML
    mv "$manifests/.$1" "$manifests/$1.yaml"
}

remove() {
    rm "$manifests/$1.yaml"
    eventually "$1 is gone" absent "$1"
}

agent() {
    date "+agent starts at %F %T" >>$log
    began=$(cut -d' ' -f1 /proc/uptime)
    holdfast agent --data-dir /data/k3s --log-dir /data/log/pods --pod-cidr "${POD_CIDR:-none}" "$@" >>$log 2>&1 &
    agent=$!
}

# The init script that is shipped, for busybox.
service() {
    mkdir -p /etc/default
    echo "HOLDFAST=/bin/holdfast ARGUMENTS='--data-dir /data/k3s --log-dir /data/log/pods --pod-cidr none' LOG=$log" >/etc/default/holdfast
    sh /holdfast "$1"
}

# The workload says on CLOCK_BOOTTIME when its first instruction ran; /proc/uptime is that clock. To be asked before anything
# else: on an emulated machine, each command of ours costs the agent time.
first_instruction() {
    eventually "its clocks are written" [ -s /data/clock/first ]
    nanoseconds=$(cut -d' ' -f1 /data/clock/first)
    echo "$began" "$nanoseconds" | awk -v what="$1" \
        '{ printf "figure %s: machine %.2f s, agent to container %d ms\n", what, $2 / 1e9, $2 / 1e6 - $1 * 1000 }'
}

# Nothing of the pods is left but the frame.
nothing_is_left() {
    is "cgroups that are left" "$(find $cgroups -type d -name 'pod*' | wc -l)" 0
    is "mounts that are left" "$(grep -c -E 'overlay|/run/holdfast' /proc/mounts)" 0
    # shellcheck disable=SC2009 # no pgrep by argument here
    is "processes that are left" "$(ps -o args | grep -E '^(holdfast: |/workload)' | wc -l)" 0
}
