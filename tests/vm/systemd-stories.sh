# What is looked at in each boot of systemd.sh; the kernel's command line says which.

# systemd gives services no PATH to busybox's links in /usr.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin:/usr/local/bin
boot=$(sed 's/.*boot=\([a-z]*\).*/\1/' /proc/cmdline)
failed=0
patience_s=90

# is WHAT GOT WANTED; WANTED is a pattern of `case`.
is() {
    # shellcheck disable=SC2254 # a pattern
    case $2 in
    $3) echo "ok $1: $2" ;;
    *)
        echo "not ok $1: $2, wanted $3"
        failed=$((failed + 1))
        ;;
    esac
}

# eventually WHAT COMMAND...: waits until the command succeeds.
eventually() {
    what=$1
    shift
    until=$(($(cut -d. -f1 /proc/uptime) + patience_s))
    until "$@"; do
        if [ "$(cut -d. -f1 /proc/uptime)" -ge $until ]; then
            is "$what" "not after $patience_s s" yes
            return
        fi
        sleep 0.2
    done
    echo "ok $what"
}

property() { systemctl show --value --property "$2" "$1"; }
has_status() { [ "$(property holdfast.service StatusText)" = "$1" ]; }
is_state() { [ "$(systemctl is-active "$1")" = "$2" ]; }
is_other() { [ "$(property holdfast.service MainPID)" != "$1" ] && is_state holdfast.service active; }

# Processes of the pods, the containers' among them: all of one boot live as long as their pods do.
processes() { find /sys/fs/cgroup/kubepods -name cgroup.procs -exec cat {} + | sort -n | tr '\n' ' '; }

first() {
    eventually "the unit is ready" is_state holdfast.service active
    eventually "it says what it does" has_status "3 pods, 3 running"
    is "who ends the pods" "$(systemctl is-active holdfast-shutdown.service)" active
    is "the pods are no unit's" "$(property holdfast.service ControlGroup) $(ls -d /sys/fs/cgroup/kubepods/besteffort)" \
        "/system.slice/holdfast.service /sys/fs/cgroup/kubepods/besteffort"
    life=$(processes)
    is "processes of three pods" "$(echo "$life" | wc -w)" 6

    agent=$(property holdfast.service MainPID)
    systemctl restart holdfast.service
    is "another agent" "$(is_other "$agent" && echo yes)" yes
    eventually "it says what it does" has_status "3 pods, 3 running"
    is "systemctl restart holdfast touches none" "$(processes)" "$life"

    systemctl stop holdfast.service
    is "systemctl stop holdfast touches none" "$(processes)" "$life"
    systemctl start holdfast.service

    # A loop that hangs: the watchdog ends that agent, and the next one takes over.
    agent=$(property holdfast.service MainPID)
    kill -STOP "$agent"
    eventually "the watchdog ends an agent that hangs" is_other "$agent"
    is "which it says" "$(journalctl -b --no-pager -u holdfast.service | grep -c 'Watchdog timeout')" "[1-9]*"
    eventually "the next one says what it does" has_status "3 pods, 3 running"
    is "an agent that hangs touches none" "$(processes)" "$life"

    systemctl restart holdfast-shutdown.service
    systemctl stop holdfast-shutdown.service
    is "no restart of the other unit touches any" "$(processes)" "$life"
    systemctl start holdfast-shutdown.service
    is "nobody was ended so far" "$(grep -c ended /data/holdfast-shutdown.log)" 0
}

again() {
    is "power-off ended them in order" "$(sed -n 's/^pod default.\([a-z]*\)-edge ended$/\1/p' /data/holdfast-shutdown.log | tr '\n' ' ')" \
        "low middle high "
    is "each was told to end" "$(grep -l 'ended by SIGTERM' /data/pods/default_*/main/*.log | wc -l)" 3
    eventually "the unit is ready" is_state holdfast.service active
    eventually "they run again" has_status "3 pods, 3 running"
    holdfast down
    eventually "after holdfast down nobody starts an agent" is_state holdfast.service inactive
    systemctl start holdfast.service
    eventually "but whoever says so" has_status "3 pods, 3 running"
}

$boot
if [ $failed = 0 ]; then echo "stories: all well"; else echo "stories: $failed failed"; fi
[ $failed = 0 ] || journalctl -b --no-pager -u holdfast.service -u holdfast-shutdown.service | tail -n 40
exec systemctl poweroff
