# What is looked at in each boot of managers.sh; the kernel's command line says which, and of which service manager.

# systemd gives services no PATH to busybox's links in /usr.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin:/usr/local/bin
word() { sed "s/.*$1=\([a-z]*\).*/\1/" /proc/cmdline; }
manager=$(word manager)
boot=$(word boot)
. /stories/world.sh
patience=90

# What each manager is asked.
case $manager in
systemd)
    property() { systemctl show --value --property "$2" "$1"; }
    agent() { property holdfast.service MainPID; }
    service() { systemctl "$1" holdfast.service; }
    is_up() { [ "$(systemctl is-active holdfast.service)" = active ]; }
    runs() { [ "$(property holdfast.service StatusText)" = "3 pods, 3 running" ]; }
    log=/data/holdfast-shutdown.log
    power_off() { systemctl poweroff; }
    ;;
openrc)
    agent() { cat /run/openrc/options/holdfast/child_pid; }
    service() { rc-service holdfast "$1" >/dev/null; }
    is_up() { rc-service --quiet holdfast status && kill -0 "$(agent)"; }
    runs() { [ "$(holdfast get pods --no-headers 2>/dev/null | grep -c ' 1/1 *Running ')" = 3 ]; }
    log=/data/holdfast.log
    power_off() { openrc-shutdown --poweroff now; }
    ;;
esac

is_down() { ! is_up; }
is_other() { [ "$(agent)" != "$1" ] && is_up; }

# Processes of the pods, the containers' among them: all of one boot live as long as their pods do.
processes() { find /sys/fs/cgroup/kubepods -name cgroup.procs -exec cat {} + | sort -n | tr '\n' ' '; }

# Pods by the time at which they were told to end.
ends() {
    for pod in low middle high; do
        sed -n "s/ended by SIGTERM.*/$pod/p" /data/pods/default_$pod-edge_*/main/*.log
    done | sort | awk '{ print $NF }' | tr '\n' ' '
}

first() {
    eventually "the service is up" is_up
    eventually "three pods run" runs
    [ $manager = openrc ] || is "the pods are no unit's" \
        "$(property holdfast.service ControlGroup) $(ls -d /sys/fs/cgroup/kubepods/besteffort)" \
        "/system.slice/holdfast.service /sys/fs/cgroup/kubepods/besteffort"
    life=$(processes)
    is "processes of three pods" "$(echo "$life" | wc -w)" 6

    agent=$(agent)
    service restart
    eventually "a restart makes another agent" is_other "$agent"
    eventually "three pods run" runs
    is "and touches none" "$(processes)" "$life"

    service stop
    is "nor does a stop" "$(processes)" "$life"
    service start
    eventually "it is up again" is_up

    agent=$(agent)
    case $manager in
    systemd)
        # A loop that hangs: the watchdog ends that agent, and the next one takes over.
        kill -STOP "$agent"
        eventually "the watchdog ends an agent that hangs" is_other "$agent"
        is "which it says" "$(journalctl -b --no-pager -u holdfast.service | grep -c 'Watchdog timeout')" "[1-9]*"
        ;;
    openrc)
        kill -9 "$agent"
        eventually "an agent that dies is started again" is_other "$agent"
        ;;
    esac
    eventually "three pods run" runs
    is "which touches none" "$(processes)" "$life"

    if [ $manager = systemd ]; then
        systemctl restart holdfast-shutdown.service
        systemctl stop holdfast-shutdown.service
        is "no restart of the other unit touches any" "$(processes)" "$life"
        systemctl start holdfast-shutdown.service
    fi
    is "nobody was ended so far" "$(ends)$(grep -c ' ended$' $log)" 0
}

again() {
    is "power-off ended them in order, each by its signal" "$(ends)" "low middle high "
    eventually "the service is up" is_up
    eventually "three pods run again" runs
    case $manager in
    systemd)
        holdfast down
        eventually "after holdfast down nobody starts an agent" is_down
        ;;
    openrc)
        # supervise-daemon starts whatever ends: as the script says.
        service stop
        holdfast down
        ;;
    esac
    is "processes of no pod" "$(processes)" ""
    service start
    eventually "three pods run when somebody says so" runs
}

$boot
if [ $failed = 0 ]; then echo "stories: all well"; else echo "stories: $failed failed"; fi
[ $failed = 0 ] || tail -n 40 /data/*.log
power_off
