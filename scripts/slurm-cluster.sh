#!/usr/bin/env bash
# A real Slurm cluster on loopback, for tests and for trying things out: munged, slurmctld and one slurmd a node, each
# with a type of GPU that is none. Needs Debian's slurm-wlm and munge, and root; no systemd, no fixed ports.
#
# usage: scripts/slurm-cluster.sh up FOLDER [NODE:TYPE:COUNT...]   default nodes: gpu1:v100:4 gpu2:p100:4 gpu3:k80:4
#        scripts/slurm-cluster.sh restart FOLDER                   slurmctld alone: stopped if it runs, started again
#        scripts/slurm-cluster.sh stop FOLDER                      slurmctld alone; it saves its state
#        scripts/slurm-cluster.sh down FOLDER                      everything; logs and state stay in the folder
#
# FOLDER must not be there yet for `up` and belongs to the cluster from then on. `export SLURM_CONF=FOLDER/slurm.conf`
# makes sbatch, squeue and all others speak to it.
set -euo pipefail

fail() {
    echo "slurm-cluster.sh: $*" >&2
    exit 1
}

# So many ports that nobody listens on just now.
free_ports() {
    python3 - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for each in sockets:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in sockets))
PYTHON
}

# Waits until a command succeeds, at most so many seconds.
within() {
    local seconds=$1 end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "after $seconds s still no success: $*"
        sleep 0.1
    done
}

# Ends the process of a pid file and waits until it is gone.
end() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || true
    local tries=0
    while kill -0 "$pid" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || kill -KILL "$pid" 2>/dev/null || true
        sleep 0.1
    done
    rm -f "$1"
}

start_munge() {
    head -c 1024 /dev/urandom >munge/key
    chmod 400 munge/key
    munged --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
        --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" --num-threads=2
    within 10 munge --socket="$folder/munge/socket" --no-input
}

start_controller() {
    slurmctld -f "$folder/slurm.conf"
    within 30 ping_controller
}

ping_controller() {
    SLURM_CONF="$folder/slurm.conf" scontrol ping | grep -q "is UP"
}

# All nodes have registered and take jobs.
nodes_are_idle() {
    local states
    states=$(SLURM_CONF="$folder/slurm.conf" sinfo --noheader --Node --format=%T)
    [ -n "$states" ] && ! grep -qv '^idle$' <<<"$states"
}

write_configuration() {
    local ports port node type count at=1
    read -r -a ports < <(free_ports $(($# + 1)))
    cat >slurm.conf <<CONF
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdSpoolDir=$folder/spool/%n
SlurmdPidFile=$folder/run/%n.pid
SlurmdLogFile=$folder/log/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=5,sched_min_interval=100000
PriorityType=priority/basic
GresTypes=gpu
ReturnToService=2
MinJobAge=3600
CONF
    : >gres.conf
    for spec in "$@"; do
        IFS=: read -r node type count <<<"$spec"
        [ -n "$count" ] || fail "a node is NAME:TYPE:COUNT, not $spec"
        port=${ports[$at]}
        # A faster type weighs less, so that Slurm fills it first: nodes are named in that order.
        echo "NodeName=$node NodeAddr=127.0.0.1 NodeHostname=localhost Port=$port CPUs=$((2 * count)) RealMemory=1000" \
            "Gres=gpu:$type:$count Weight=$at State=UNKNOWN" >>slurm.conf
        # Slurm counts files, whatever they are: these are there in every container.
        local devices=()
        for ((device = 0; device < count; device++)); do
            ln -s /dev/null "$folder/devices/$node-$device"
            devices+=("$folder/devices/$node-$device")
        done
        echo "NodeName=$node Name=gpu Type=$type File=$folder/devices/$node-[0-$((count - 1))]" >>gres.conf
        at=$((at + 1))
    done
    echo "PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 State=UP" >>slurm.conf
}

up() {
    [ ! -e "$folder" ] || fail "$folder is there already"
    [ "$(id -u)" -eq 0 ] || fail "slurmd and munged with a key of their own need root"
    for command in slurmctld slurmd munged squeue python3; do
        command -v "$command" >/dev/null || fail "$command is missing: apt-get install slurm-wlm munge python3"
    done
    mkdir -p "$folder"/{munge,state,run,log,spool,devices}
    cd "$folder"
    chmod 755 . munge
    [ $# -gt 0 ] || set -- gpu1:v100:4 gpu2:p100:4 gpu3:k80:4
    write_configuration "$@"
    trap down ERR
    start_munge
    start_controller
    for spec in "$@"; do
        slurmd -N "${spec%%:*}" -f "$folder/slurm.conf"
    done
    within 60 nodes_are_idle
    trap - ERR
    echo "export SLURM_CONF=$folder/slurm.conf"
}

# Whether no job runs any more; held ones do not matter.
is_quiet() {
    [ -z "$(timeout 5 squeue --noheader --states=RUNNING,COMPLETING)" ]
}

down() {
    export SLURM_CONF=$folder/slurm.conf
    # Jobs end before the nodes do, which otherwise wait for each other. Without slurmctld there is nothing to cancel.
    if [ -e run/slurmctld.pid ] && timeout 5 scancel --partition=gpu >/dev/null 2>&1; then
        local tries=0
        until [ $tries -eq 50 ] || is_quiet; do
            tries=$((tries + 1))
            sleep 0.1
        done
    fi
    local pid
    for pid in run/*.pid; do
        [ ! -e "$pid" ] || end "$pid" &
    done
    wait
    end munge/pid
}

[ $# -ge 2 ] || fail "usage: up|restart|stop|down FOLDER [NODE:TYPE:COUNT...]"
verb=$1
folder=$(realpath -m "$2")
shift 2
[ "$verb" = up ] || cd "$folder"
case $verb in
up) up "$@" ;;
stop) end run/slurmctld.pid ;;
restart)
    end run/slurmctld.pid
    start_controller
    ;;
down) down ;;
*) fail "unknown verb $verb: up, restart, stop or down" ;;
esac
