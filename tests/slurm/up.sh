#!/usr/bin/env bash
# Start a real SLURM on this machine, one node with two pretended GPUs, to try the slurm profile where there is no
# cluster. Debian or Ubuntu, as root; installs the packages if they are missing; does nothing if it runs already.
#   tests/slurm/up.sh       start (status 77: not on this machine, and why)
#   scontrol shutdown       stop
set -euo pipefail

home=/run/test-slurm # state and logs; gone after a reboot, like the daemons
config=/etc/slurm    # SLURM_CONF cannot name another place: the plugin's jobs drop it
mark="# written by tests/slurm/up.sh; this machine belongs to no cluster"

say() { printf '%s\n' "$*" >&2; }
not_here() {
    say "$*"
    exit 77
}
answers() { sinfo -h -N -o %T 2>/dev/null | grep -qxE 'idle|mixed|allocated'; }
installed() { for program in munged slurmctld slurmd sbatch; do command -v $program >/dev/null || return 1; done; }

PATH=$PATH:/usr/sbin
if [ -z "${SLURM_CONF:-}" ] && grep -qsxF "$mark" $config/slurm.conf; then
    answers && exit 0
elif [ -n "${SLURM_CONF:-}" ] || [ -s $config/slurm.conf ] || answers; then
    not_here "this machine belongs to a SLURM cluster already, which is better left alone"
fi
[ "$(id -u)" = 0 ] || not_here "starting SLURM needs root: sudo tests/slurm/up.sh"
if ! installed; then
    command -v apt-get >/dev/null || not_here "SLURM is not installed, and there is no apt-get to install it"
    apt-get update -qq >&2 || say "apt-get update failed; trying the package lists that are here"
    apt-cache show slurmctld slurmd >/dev/null 2>&1 || not_here "apt-get knows no SLURM packages"
    DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge >&2
fi

mkdir -p $config $home/state $home/spool /run/munge
host=$(hostname -s)
# a gigabyte stays with the system
memory=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 - 1024))

# a GPU is whatever device file is named: one line each, and any that exists will do
cat >$config/gres.conf <<END
NodeName=$host Name=gpu Type=fake File=/dev/null
NodeName=$host Name=gpu Type=fake File=/dev/zero
END
# nproc takes OMP_NUM_THREADS for the number of cores, which tests that share the machine set to 1
# no cgroups (absent in most containers): slurmd measures memory itself, every two seconds, and kills what has too much
cat >$config/slurm.conf <<END
$mark
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$home/state
SlurmdSpoolDir=$home/spool
SlurmctldPidFile=$home/slurmctld.pid
SlurmdPidFile=$home/slurmd.pid
SlurmctldLogFile=$home/slurmctld.log
SlurmdLogFile=$home/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MpiDefault=none
ReturnToService=2
# finished jobs are remembered for so many seconds, for squeue and scontrol
MinJobAge=600
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(env -u OMP_NUM_THREADS nproc) RealMemory=$memory Gres=gpu:fake:2 State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=24:00:00 State=UP
PartitionName=gpu Nodes=$host MaxTime=24:00:00 State=UP
END

if ! munge -n >/dev/null 2>&1; then
    [ -s /etc/munge/munge.key ] || mungekey -c
    chown -R munge: /etc/munge /var/log/munge /var/lib/munge /run/munge
    chmod 755 /run/munge # as strict as munged wants, yet clients must reach its socket
    runuser -u munge -- munged
fi
scontrol ping 2>/dev/null | grep -q 'is UP' || slurmctld
[ -e $home/slurmd.pid ] && kill -0 "$(cat $home/slurmd.pid)" 2>/dev/null || slurmd
for _ in $(seq 60); do
    answers && exit 0
    sleep 0.5
done
say "SLURM did not come up within 30 seconds; see $home/slurmctld.log and $home/slurmd.log"
exit 1
