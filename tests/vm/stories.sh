#!/bin/sh
# What is looked at in each boot of run.sh: a function named after it; the kernel's command line says which.

exec </dev/null >/dev/console 2>&1
boot=$(sed 's/.*boot=\([a-z0-9]*\).*/\1/' /proc/cmdline)
. /world.sh
. /cuts.sh

# A disk with nothing but an archive: images, pods, limits, endings, losses.
first() {
    begin
    limits
    looking_in
    edits
    endings
    bites
    losses
    end
}

# The same in a third of the time.
short() {
    begin
    bites
    edits
    losses
    end
}

begin() {
    mkdir -p $manifests /data/clock
    clock
    agent --kubelet-arg pod-max-pids=40
    first_instruction "image taken in"
    eventually "the first pod runs" runs clock
    # The root of the initramfs is private, of which the agent may speak; of nothing else.
    is "warnings of the agent" "$(grep -c -E "Z (warn|error)" $log)" 0
    is "controllers handed to kubepods" "$(cat /sys/fs/cgroup/cgroup.subtree_control)" "*cpu*memory*pids*"
}

clock() {
    rm -f /data/clock/first
    pod clock "first-instruction, /clock/first" "volumeMounts: [{name: clock, mountPath: /clock}]" \
        "volumes: [{name: clock, hostPath: {path: /data/clock}}]"
}

# For the next boot, two pods.
end() {
    remove clock
    nothing_is_left
    clock
    pod web "trap-term"
    eventually "pods for the next boot run" runs web
    eventually "pods for the next boot run" runs clock
}

limits() {
    pod limits "trap-term" "resources: {requests: {cpu: 250m}, limits: {cpu: 500m, memory: 64Mi}}"
    pod whole "trap-term" "resources: {limits: {cpu: 1, memory: 32Mi}}"
    eventually "limited pods run" runs limits
    eventually "limited pods run" runs whole
    is "place of a burstable pod" "$(of limits)" "$cgroups/burstable/pod*"
    is "place of a guaranteed pod" "$(of whole)" "$cgroups/pod*"
    is "place of a pod without requests" "$(of clock)" "$cgroups/besteffort/pod*"
    is "controllers of the pod" "$(file limits cgroup.subtree_control)" "*cpu*memory*pids*"
    is "controllers of the container" "$(file limits main-0/cgroup.controllers)" "*cpu*memory*pids*"
    is "cpu.max of the pod" "$(file limits cpu.max)" "50000 100000"
    is "cpu.max of the container" "$(file limits main-0/cpu.max)" "50000 100000"
    is "memory.max of the pod" "$(file limits memory.max)" 67108864
    is "memory.max of the container" "$(file limits main-0/memory.max)" 67108864
    is "memory.swap.max of the container" "$(file limits main-0/memory.swap.max)" 0
    # 8.11, where nobody set singleProcessOOMKill.
    is "memory.oom.group of the container" "$(file limits main-0/memory.oom.group)" 1
    # The kubelet's line for pods, runc's curve for containers (1024 shares are 39 and 100; 256 are 10 and 36).
    is "cpu.weight of the pod" "$(file limits cpu.weight)" 10
    is "cpu.weight of the container" "$(file limits main-0/cpu.weight)" "3?"
    is "cpu.weight of the guaranteed pod" "$(file whole cpu.weight)" 39
    is "cpu.weight of the guaranteed container" "$(file whole main-0/cpu.weight)" 100
    is "cpu.weight of besteffort" "$(cat $cgroups/besteffort/cpu.weight)" 1
    is "cpu.weight of the pod without requests" "$(file clock cpu.weight)" 1
    is "processes counted" "$(file limits main-0/pids.current)" 1
    is "cpu.weight of all burstable pods" "$(cat $cgroups/burstable/cpu.weight)" 10
    processors=$(nproc)
    is "cpu.weight of all pods" "$(cat $cgroups/cpu.weight)" $((1 + (1024 * processors - 2) * 9999 / 262142))
    all=$(($(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo) * 1024))
    is "memory.max of all pods" "$(cat $cgroups/memory.max)" $all
    remove limits
    remove whole
    of_its_own
    huge
}

# 12.08
of_its_own() {
    pod own "trap-term" "" "resources: {requests: {cpu: 250m}, limits: {cpu: 500m, memory: 64Mi}}"
    eventually "a pod with resources of its own runs" runs own
    for group in . main-0; do
        is "cpu.max in $group" "$(file own $group/cpu.max)" "50000 100000"
        is "memory.max in $group" "$(file own $group/memory.max)" 67108864
    done
    is "cpu.weight of it" "$(file own cpu.weight)" 10
    remove own
}

# 12.06
huge() {
    echo 2 >/proc/sys/vm/nr_hugepages
    pod huge "map, /huge/a, '4194304'" "resources: {limits: {cpu: 100m, memory: 32Mi, hugepages-2Mi: 4Mi}},
        volumeMounts: [{name: huge, mountPath: /huge}]" "volumes: [{name: huge, emptyDir: {medium: HugePages}}]"
    eventually "a pod has its huge pages" says huge mapped
    is "hugetlb.2MB.max of the pod" "$(file huge hugetlb.2MB.max)" 4194304
    is "hugetlb.2MB.max of the container" "$(file huge main-0/hugetlb.2MB.max)" 4194304
    is "hugetlb.2MB.max of another" "$(file clock main-0/hugetlb.2MB.max)" 0
    remove huge
    echo 0 >/proc/sys/vm/nr_hugepages
}

looking_in() {
    pod web "trap-term, '7'"
    eventually "web runs" runs web
    is "describe" "$(holdfast describe pod web | grep -c 'State: *Running')" 1
    is "exec" "$(holdfast exec web -- /workload echo from within)" "from within"
    holdfast exec web -- /workload exit 9
    is "exit code of exec" $? 9
    holdfast exec web -- /workload crash-signal 11
    is "exit code of an exec that a signal ended" $? 139
    is "cgroup seen from within" "$(holdfast exec web -- /workload cat /proc/self/cgroup)" "0::/exec-*"
    is "cgroup files from within" "$(holdfast exec web -- /workload cat /sys/fs/cgroup/cgroup.procs | head -n 1)" 1
    holdfast exec web -- /workload write /sys/fs/cgroup/memory.max 1 2>/dev/null
    is "exit code of writing there, a panic" $? 134
    # Nobody mounted /dev/shm on this machine.
    pod ipc "trap-term" "" "hostIPC: true"
    eventually "a pod of the node's IPC namespace runs" runs ipc
    remove ipc
    is "other cgroups from within" "$(holdfast exec web -- /workload cat /sys/fs/cgroup/kubepods/cgroup.procs 2>&1)" "*No such file*"
    # An exec whose caller goes is killed, with what it started; the container is not.
    holdfast exec web -- /workload fork-tree 3 &
    caller=$!
    eventually "an exec has children" planted web 7
    kill -9 $caller
    eventually "they die with its caller" planted web 0
    is "web is unharmed" "$(status web) $(restarts web)" "Running 0"
    eventually "cgroups of execs are gone" no_execs web
    kill -TERM "$(process web)"
    eventually "web is started again" has restarts web 1
    eventually "web runs again" runs web
    is "exit code" "$(holdfast get pods web -o yaml | awk '$1 == "exitCode:" { print $2 }')" 7
    is "log of the run before" "$(holdfast logs -p web)" "ended by SIGTERM"
    remove web
}

no_execs() { [ -z "$(find "$(of "$1")" -type d -name 'exec-*')" ]; }
planted() { [ "$(find "$(of "$1")" -path '*/exec-*/cgroup.procs' -exec cat {} + 2>/dev/null | wc -l)" = "$2" ]; }

endings() {
    pod once "exit, '3'" "" "restartPolicy: Never"
    eventually "a pod that fails" has status once Error
    is "its exit code" "$(holdfast get pods once -o yaml | awk '$1 == "exitCode:" { print $2 }')" 3
    pod deaf "ignore-term" "" "terminationGracePeriodSeconds: 3"
    pod tree "fork-tree, '4'" "" "terminationGracePeriodSeconds: 0"
    eventually "a deaf pod runs" says deaf deaf
    eventually "a tree of processes stands" says tree planted
    began_s=$(uptime_s)
    remove deaf
    is "seconds that a deaf pod takes" $(($(uptime_s) - began_s)) "[3-9]"
    remove tree
    remove once
    is "processes of the workload" "$(ps -o args | grep -c -E "^(child|.workload (fork|ignore))")" 0
}

# Limits are not only written down.
bites() {
    pod eater "eat-memory, '64'" "resources: {limits: {memory: 32Mi}}" "restartPolicy: Never"
    pod narrow "trap-term" "resources: {limits: {cpu: 200m}}"
    # 8.10
    eventually "it is killed for memory" has status eater OOMKilled
    is "its exit code" "$(holdfast get pods eater -o yaml | awk '$1 == "exitCode:" { print $2 }')" 137
    eventually "a pod with a fifth of a core runs" runs narrow
    before=$(throttled narrow)
    holdfast exec narrow -- /workload flood >/dev/null 2>&1 &
    flood=$!
    eventually "it is throttled" throttled_more narrow "$before"
    kill $flood
    is "processes a pod may have" "$(file narrow pids.max)" 40
    is "what is told to one that wants more" "$(holdfast exec narrow -- /workload fork-tree 60 2>&1)" "*code: 11*"
    remove eater
    remove narrow
    # 8.10, 8.11: of several processes one eats, and all of them are killed.
    pod several "trap-term" "resources: {limits: {memory: 32Mi}}"
    eventually "a pod with little memory runs" runs several
    holdfast exec several -- /workload eat-memory 64 >/dev/null 2>&1
    is "exit code of a command that eats it" $? 137
    eventually "the container died with it" has restarts several 1
    is "why" "$(holdfast get pods several -o yaml | awk '$1 == "reason:" { print $2 }' | grep OOM)" OOMKilled
    remove several
}

throttled() { file "$1" cpu.stat | awk '$1 == "nr_throttled" { print $2 }'; }
throttled_more() { [ "$(throttled "$1")" -gt "$2" ]; }

edits() {
    pod page "trap-term"
    eventually "page runs" runs page
    before=$(uid page)
    pod page "write-lines, '3', '20'"
    eventually "an edited pod is another one" replaced page "$before"
    eventually "and runs" runs page
    eventually "and writes" says page "^2 x"
    is "its log" "$(holdfast logs page | head -n 1)" "0 xxxxxxxxxxxxxxxxxx"
    is "its restarts" "$(restarts page)" 0
    kill -9 "$(process page)"
    eventually "a crashed container is started again" has restarts page 1
    eventually "and runs" runs page
    is "its exit code" "$(holdfast get pods page -o yaml | awk '$1 == "exitCode:" { print $2 }')" 137
    holdfast restart page
    eventually "it is restarted by order" has restarts page 2
    eventually "and runs" runs page
    is "exec" "$(holdfast exec page -- /workload echo within)" within
    echo 'kind: Pod, but' >$manifests/page.yaml
    eventually "a broken edit is told" refused page.yaml
    is "and ends nothing" "$(status page) $(restarts page)" "Running 2"
    remove page
}

replaced() { [ "$(uid "$1")" != "$2" ] && [ -n "$(uid "$1")" ]; }
refused() { holdfast get manifests | grep "$1" | grep -q -v Accepted; }

losses() {
    pod web "trap-term"
    eventually "web runs" runs web
    kill -9 "$(head -n 1 "$(of web)/holdfast/cgroup.procs")"
    eventually "a pod whose process was killed is started anew" has restarts web 1
    eventually "and runs" runs web
    before=$(process web 1)
    kill -9 $agent
    wait $agent
    cat >/data/kubelet.yaml <<'YAML'
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
singleProcessOOMKill: true
featureGates: {MemoryQoS: true}
memoryReservationPolicy: TieredReservation
systemReserved: {memory: 64Mi}
YAML
    agent --config /data/kubelet.yaml
    eventually "the next agent adopts it" grep -q 'default/web-vm: adopted' $log
    eventually "and it is published" runs web
    is "its process" "$(process web 1)" "$before"
    is "its restarts" "$(restarts web)" 1
    is "starts in the log of the next agent" "$(sed '1,/adopted/d' $log | grep -c 'Started container')" 0
    remove web
    # 8.11, where one process is to be killed.
    pod single "trap-term" "resources: {limits: {memory: 32Mi}}"
    eventually "a pod with little memory runs" runs single
    holdfast exec single -- /workload eat-memory 64 >/dev/null 2>&1
    is "exit code of a command that eats it" $? 137
    is "the container goes on" "$(status single) $(restarts single)" "Running 0"
    remove single
    # 12.04: nine tenths of the way from the request to the limit, in pages.
    pod kept "trap-term" "resources: {requests: {memory: 16Mi}, limits: {memory: 32Mi}}"
    eventually "a pod runs whose memory is kept" runs kept
    is "memory.high of the container" "$(file kept main-0/memory.high)" 31875072
    is "memory.low of the container" "$(file kept main-0/memory.low)" 16777216
    is "memory.low of the pod" "$(file kept memory.low)" 16777216
    is "memory.low of all burstable pods" "$(cat $cgroups/burstable/memory.low)" 16777216
    # 12.07
    all=$(($(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo) * 1024))
    is "memory.max of all pods" "$(cat $cgroups/memory.max)" $((all - 67108864))
    is "bytes written to the disk" "$(holdfast status | grep Written)" "*a day to*pods*"
    remove kept
}

# What keeps containers in: a boot after all others that count runs.
confined() {
    POD_CIDR=10.42.0.0/24 agent
    eventually "the pod of the last boot runs" runs clock
    is "warnings of the agent" "$(grep -c -E "Z (warn|error)" $log)" 0
    # Another boot may have left it for the next.
    [ ! -e $manifests/web.yaml ] || remove web
    ports
    own_users
    devices
    sets
    apparmor
    remove clock
    nothing_is_left
}

# 14.11: by the loopback, and by an address of the node's. No other than the pod itself answers, and nothing of it stays.
# wget of a static busybox crashes where it is given a limit of time (-T).
ports() {
    printf 'HTTP/1.0 200 OK\r\n\r\nhello' >/data/page
    ip address add 192.0.2.1/32 dev lo
    pod page "serve, '80', /served" "ports: [{containerPort: 80, hostPort: 8080}], volumeMounts: [{name: data, mountPath: /served}]" \
        "volumes: [{name: data, hostPath: {path: /data}}]"
    eventually "a pod with a hostPort runs" runs page
    for address in 127.0.0.1:8080 192.0.2.1:8080 "$(holdfast get pods page -o yaml | awk '$1 == "podIP:" { print $2 }' | tr -d '"')"; do
        is "what answers at $address" "$(wget -q -O - "http://$address/page")" hello
    done
    is "what answers at another port" "$(wget -q -O - http://192.0.2.1:8081/page 2>&1)" "*refused"
    pod streams "listen-sctp, '5000'" "ports: [{containerPort: 5000, hostPort: 5001, protocol: SCTP}]"
    pod asks "trap-term" "" "hostNetwork: true"
    eventually "a pod with a hostPort of SCTP runs" says streams listening
    eventually "a pod of the node's network runs" runs asks
    for address in 127.0.0.1 192.0.2.1; do
        is "what answers by SCTP at $address" "$(holdfast exec asks -- /workload ask-sctp $address 5001)" hello
    done
    is "what answers by SCTP at another port" "$(holdfast exec asks -- /workload ask-sctp 192.0.2.1 5000)" "*refused*"
    remove streams
    remove asks
    holdfast restart page
    eventually "it is restarted" has restarts page 1
    eventually "and answers again" answers 127.0.0.1:8080
    remove page
    is "what answers when it is gone" "$(wget -q -O - http://192.0.2.1:8080/page 2>&1)" "*refused"
    ip address del 192.0.2.1/32 dev lo
}

answers() { [ "$(wget -q -O - "http://$1/page" 2>/dev/null)" = hello ]; }

# 11.08 on Linux 6.1, which cannot mount a tmpfs with others' IDs yet: volumes in memory are made with those IDs, and a pod that
# wants one of the node's does not start, and says so.
own_users() {
    pod own-users "trap-term" "volumeMounts: [{name: disk, mountPath: /disk}, {name: memory, mountPath: /memory}]" \
        "hostUsers: false, volumes: [{name: disk, emptyDir: {}}, {name: memory, emptyDir: {medium: Memory}}]"
    pod of-node "trap-term" "volumeMounts: [{name: run, mountPath: /run}]" "hostUsers: false, volumes: [{name: run, hostPath: {path: /run}}]"
    eventually "a pod with users of its own runs" runs own-users
    # shellcheck disable=SC2046 # words
    is "IDs inside" "$(echo $(holdfast exec own-users -- /workload cat /proc/self/uid_map))" "0 * 65536"
    is "its root on the node" "$(($(stat -c %u "/proc/$(process own-users)") / 65536 > 0))" 1
    holdfast exec own-users -- /workload say 0 /disk/file x
    is "whose its files are" "$(stat -c '%u %g' "/data/k3s/agent/holdfast/pods/$(uid own-users)/volumes/disk/file")" "0 0"
    is "what it says of memory" "$(holdfast exec own-users -- /workload say 0 /memory/file x 2>&1)" ""
    eventually "who wants a tmpfs of the node's waits" has status of-node CreateContainerError
    is "and says why" "$(holdfast get pods of-node -o yaml | grep -c 'a tmpfs with Linux 6.3')" "[1-9]*"
    remove of-node
    remove own-users
    most=$(cat /proc/sys/user/max_user_namespaces)
    echo 0 >/proc/sys/user/max_user_namespaces
    pod too-many "trap-term" "" "hostUsers: false"
    eventually "who wants one too many is told what to do" tells too-many "user.max_user_namespaces"
    echo "$most" >/proc/sys/user/max_user_namespaces
    eventually "and runs once there may be more" runs too-many
    remove too-many
}

tells() { holdfast describe pod "$1" | grep -q "$2"; }

# Threat 1 and kernel.md: root makes the node of the machine's own disk, and cannot open it; nor can a command's.
devices() {
    disk=$(sed 's/.*data=\([^ ]*\).*/\1/' /proc/cmdline)
    major=$((0x$(stat -c %t "$disk"))) minor=$((0x$(stat -c %T "$disk")))
    pod own "device, b, '$major', '$minor', /disk" "" "restartPolicy: Never"
    eventually "it has tried" says own .
    is "the node of $disk ($major:$minor)" "$(holdfast logs own)" "made EPERM"
    remove own
    pod roots "trap-term"
    pod mighty "trap-term" "securityContext: {privileged: true}"
    eventually "a pod of root runs" runs roots
    eventually "a privileged one runs" runs mighty
    is "the node by a command" "$(holdfast exec roots -- /workload device b $major $minor /disk)" "made EPERM"
    is "the node in a privileged container" "$(holdfast exec mighty -- /workload device b $major $minor /disk)" "made opened"
    is "a node of null" "$(holdfast exec roots -- /workload device c 1 3 /null)" "made opened"
    for name in null zero full random urandom ptmx pts/ptmx; do
        is "what is harmless" "$(holdfast exec roots -- /workload open /dev/$name)" "/dev/$name opened"
    done
    # There is none, which is another matter than not to be allowed to.
    is "a terminal" "$(holdfast exec roots -- /workload open /dev/tty)" "/dev/tty ENXIO"
    is "flags of the root" "$(holdfast exec roots -- /workload cat /proc/self/mounts | grep ' / ' | grep -c nodev)" 0
    remove roots
    remove mighty
}

# Threats 18 to 20: what an init container, a probe and a command have, in whole sets, by the static program of this machine.
sets() {
    default=00000000a80425fb none=0000000000000000
    own="holdfast-default (enforce)"
    has_exactly plain "{}" "0 0;0 0;0 2000 4000" $default $default "0;2;$own"
    has_exactly bare "{capabilities: {drop: [ALL]}}" "0 0;0 0;0 2000 4000" $none $none "0;2;$own"
    has_exactly linked "{runAsUser: 1000, capabilities: {add: [NET_ADMIN]}}" "1000 1000;0 0;0 2000 4000" $none \
        00000000a80435fb "0;2;$own"
    has_exactly grouped "{runAsUser: 65534, runAsGroup: 3000, allowPrivilegeEscalation: false}" \
        "65534 65534;3000 3000;2000 3000 4000" $none $default "1;2;$own"
    has_exactly free "{allowPrivilegeEscalation: true, seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}}" \
        "0 0;0 0;0 2000 4000" $default $default "0;0;unconfined"
    has_exactly mighty "{privileged: true}" "0 0;0 0;0 2000 4000" 000001ffffffffff 000001ffffffffff "0;0;unconfined"
    pod plain "trap-term"
    eventually "plain runs" runs plain
    # Masked by /dev/null, which can be opened; what forbids it is the default profile.
    is "what AppArmor forbids" "$(holdfast exec plain -- /workload open /proc/kcore)" "/proc/kcore EACCES"
    remove plain
}

# has_exactly NAME CONTEXT IDS EFFECTIVE BOUNDING REST: user, group, groups; capabilities; NoNewPrivs, Seccomp and profile.
has_exactly() {
    mounts="volumeMounts: [{name: v, mountPath: /v}]"
    probe="startupProbe: {exec: {command: [/workload, status-to, /v/probe]}, periodSeconds: 1, timeoutSeconds: 30}"
    first="{name: first, image: 'holdfast.test/workload:1', command: [/workload, status-to, /v/init], securityContext: $2, $mounts}"
    pod "$1" "trap-term" "securityContext: $2, $mounts, $probe" "initContainers: [$first], \
        securityContext: {supplementalGroups: [4000], fsGroup: 2000}, volumes: [{name: v, emptyDir: {}}]"
    eventually "$1 runs" runs "$1"
    holdfast exec "$1" -- /workload status-to /v/exec
    for who in init probe exec; do
        is "sets of $1, $who" "$(holdfast exec "$1" -- /workload cat /v/$who | told)" \
            "$3;0 1 2;$none;$none;$none;$4;$4;$5;$none;$6"
    done
    remove "$1"
}

# Descriptors, blocked and ignored signals, and the five sets of capabilities among them.
told() {
    names='uid|gid|groups|fds|status\.(SigBlk|SigIgn|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp)|apparmor'
    sed -n -E "s/^($names): //p" | tr '\n' ';' | sed 's/;$//'
}

# 11.15, 14.21: profiles of the node's are held to, by a container's process and by a command; one that is not there starts
# nothing.
apparmor() {
    tight="securityContext: {appArmorProfile: {type: Localhost, localhostProfile: vm-deny-etc}}"
    pod denied "say, '0', /etc/new, x" "$tight" "restartPolicy: Never"
    pod allowed "say, '0', /etc/new, x" "securityContext: {appArmorProfile: {type: RuntimeDefault}}" "restartPolicy: Never"
    pod stays "trap-term" "$tight"
    pod absent "trap-term" "securityContext: {appArmorProfile: {type: Localhost, localhostProfile: nobodys}}"
    eventually "what it forbids fails" has status denied Error
    is "why" "$(holdfast logs denied)" "*code: 13*"
    eventually "what is not forbidden does not" has status allowed Completed
    eventually "a pod that tries nothing runs" runs stays
    is "what a command tries" "$(holdfast exec stays -- /workload say 0 /etc/new x 2>&1)" "*code: 13*"
    is "by what it is held" "$(holdfast exec stays -- /workload cat /proc/self/attr/current)" "vm-deny-etc (enforce)"
    eventually "what names no profile of the node does not start" has status absent CreateContainerError
    is "and says why" "$(holdfast get pods absent -o yaml | grep -c 'profile nobodys is not loaded')" 1
    for name in denied allowed stays absent; do
        remove $name
    done
}

# Nothing but the start, on a machine of 1000 million instructions a second and core, which is about a Raspberry Pi 3.
board() {
    rm /data/clock/first
    agent
    first_instruction "board of 1 instruction/ns, image in the store"
    eventually "the pod of the last boot runs" runs clock
}

# The same disk, the clock at 1970, an empty /run, no network.
year1970() {
    is "the year" "$(date +%Y)" 1970
    rm /data/clock/first
    began=$(cut -d' ' -f1 /proc/uptime)
    service start
    first_instruction "image in the store, by the init script"
    eventually "the pods of the last boot run" runs clock
    eventually "the pods of the last boot run" runs web
    is "attempts go on" "$(restarts web)" 1
    is "warnings of the agent" "$(grep -c -E "Z (warn|error)" $log)" 0
    is "imports of what is in the store" "$(grep -c 'imported from' $log)" 0
    served
    nothing_is_left
}

adoptions() { [ "$(grep -c 'web-vm: adopted' $log)" = "$1" ]; }

# The init script starts agents that die, and ends pods only when the machine goes down.
served() {
    is "the service" "$(service status)" "*runs as process*"
    before=$(process web "$(restarts web)")
    kill -9 "$(cut -d' ' -f2 /run/holdfast.pid)"
    eventually "an agent that died is started again" adoptions 1
    service restart
    eventually "and one that is restarted" adoptions 2
    is "the process of web" "$(process web "$(restarts web)")" "$before"
    service shutdown
    is "the service" "$(service status)" "*is stopped"
}

# A Raspberry Pi's default: no memory controller.
nomemory() {
    rm /data/clock/first
    agent
    first_instruction "image in the store"
    eventually "pods run without it" runs web
    pod limits "trap-term" "resources: {limits: {cpu: 500m, memory: 64Mi}}"
    eventually "a pod with a limit runs without it" runs limits
    is "cpu.max holds" "$(file limits main-0/cpu.max)" "50000 100000"
    is "the agent says what to do" "$(grep -c 'cgroup_enable=memory.*cmdline.txt' $log)" 1
    is "warnings of the agent" "$(grep -c -E "Z (warn|error)" $log)" 1
    remove limits
    remove web
    labels
}

# 14.21: SELinux. Labels are for nodes that are to give them and have a policy; who asks on another one waits and is told why.
labels() {
    pod labels "trap-term" "securityContext: {seLinuxOptions: {level: s0}}"
    eventually "who asks for labels waits" has status labels CreateContainerError
    is "and is told why" "$(holdfast get pods labels -o yaml | grep -c 'say selinux: true')" "[1-9]*"
    remove labels
    kill $agent
    wait $agent
    echo 'selinux: true' >/data/selinux.yaml
    agent --config /data/selinux.yaml
    pod labels "trap-term"
    eventually "without a policy all wait" has status labels CreateContainerError
    remove labels
    is "warnings of what is missing" "$(grep -c 'no policy, or nothing is mounted' $log)" 1
    mount -t selinuxfs selinuxfs /sys/fs/selinux
    # The kernel takes a policy in one write.
    dd if=/containers.policy of=/sys/fs/selinux/load bs=1M || dmesg | tail -n 3
    echo 1 >/sys/fs/selinux/enforce
    is "it is enforced" "$(cat /sys/fs/selinux/enforce)" 1
    mkdir -p /data/node
    echo secret >/data/node/word
    confined_by_labels
    chosen_labels
    echo 0 >/sys/fs/selinux/enforce
    rm -r /data/node
}

# Process, command and files have the pod's labels, and nobody reads what is the node's or another pod's.
confined_by_labels() {
    mounts="{name: disk, mountPath: /disk}, {name: memory, mountPath: /memory}, {name: image, mountPath: /image}, {name: node, mountPath: /node}"
    volumes="{name: disk, emptyDir: {}}, {name: memory, emptyDir: {medium: Memory}}, {name: image, image: {reference: 'holdfast.test/workload:1'}}"
    pod plain "trap-term" "volumeMounts: [$mounts], securityContext: {allowPrivilegeEscalation: false}" \
        "volumes: [$volumes, {name: node, hostPath: {path: /data/node}}]"
    eventually "a pod runs under a label" runs plain
    is "its label" "$(label plain)" "system_u:system_r:container_t:s0:c*,c*"
    is "that of a command" "$(holdfast exec plain -- /workload cat /proc/self/attr/current | tr -d '\0')" "$(label plain)"
    # shellcheck disable=SC2046 # words
    is "file systems with its label" "$(echo $(grep "context=.*container_file_t:$(label plain | cut -d: -f4-)" \
        "/proc/$(process plain)/mountinfo" | cut -d' ' -f5 | grep -x -E '/|/image|/dev|/dev/pts' | sort))" "/ /dev /dev/pts /image"
    for file in /disk/word /memory/word /etc/hosts /dev/shm/word /dev/termination-log; do
        is "what it says of writing $file" "$(holdfast exec plain -- /workload say 0 $file x 2>&1)" ""
    done
    is "what it says of the node's" "$(holdfast exec plain -- /workload cat /node/word 2>&1)" "*ermission denied*"
    pod other "trap-term" "volumeMounts: [{name: its, mountPath: /its}]" \
        "volumes: [{name: its, hostPath: {path: $(volumes plain)}}]"
    eventually "another pod runs" runs other
    is "another label" "$([ "$(label other)" != "$(label plain)" ] && echo yes)" yes
    is "what it says of another's file" "$(holdfast exec other -- /workload cat /its/disk/word 2>&1)" "*ermission denied*"
    before=$(label plain)
    kill -9 "$(process plain)"
    eventually "it is started again" has restarts plain 1
    eventually "and runs" runs plain
    is "its label" "$(label plain 1)" "$before"
    is "what it left" "$(holdfast exec plain -- /workload cat /disk/word)" x
    remove other
    remove plain
}

# What a pod asks for counts, and what the policy does not know is an error.
chosen_labels() {
    volumes="volumes: [{name: node, hostPath: {path: /data/node}}]"
    for name in logger wrong; do
        pod $name "trap-term" \
            "volumeMounts: [{name: node, mountPath: /node}], securityContext: {seLinuxOptions: {type: ${name}_t, level: 's0:c7'}}" "$volumes"
    done
    pod free "trap-term" "volumeMounts: [{name: node, mountPath: /node}], securityContext: {privileged: true}" "$volumes"
    pod users "trap-term" "" "hostUsers: false"
    eventually "a pod with a label of its choice runs" runs logger
    is "its label" "$(label logger)" system_u:system_r:logger_t:s0:c7
    is "what it may read" "$(holdfast exec logger -- /workload cat /node/word)" secret
    eventually "who wants what there is not waits" has status wrong CreateContainerError
    is "and is told what" "$(holdfast get pods wrong -o yaml | grep -c 'no label .*wrong_t')" "[1-9]*"
    eventually "a privileged pod runs" runs free
    is "its label" "$(label free)" system_u:system_r:kernel_t:*
    is "what it may read" "$(holdfast exec free -- /workload cat /node/word)" secret
    eventually "a pod with users of its own runs" runs users
    is "its label" "$(label users)" "system_u:system_r:container_t:s0:c*,c*"
    for name in logger wrong free users; do
        remove $name
    done
}

# label POD [ATTEMPT]: of its process.
label() { tr -d '\0' <"/proc/$(process "$@")/attr/current"; }
volumes() { echo "/data/k3s/agent/holdfast/pods/$(uid "$1")/volumes"; }

$boot
echo "--- log of the agent"
cat $log
sync
if [ $failed = 0 ]; then echo "stories: all well"; else echo "stories: $failed failed"; fi
