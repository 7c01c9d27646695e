#!/bin/bash
# A SLURM of one node, for as long as a command runs: slurm_node.sh FOLDER COMMAND…
# In namespaces of its own (unshare; root), so that nothing of it is left on the machine, and
# /etc/slurm is not touched. Debian's packages slurm-wlm and munge have what it needs.
set -eu
folder=$(realpath "$1"); shift
if [ -z "${INSIDE_SLURM_NODE:-}" ]; then
  exec env INSIDE_SLURM_NODE=1 unshare --mount --pid --fork --kill-child --mount-proc "$0" "$folder" "$@"
fi
mkdir -p "$folder"/{etc,spool,state,munge,log}
mount --bind "$folder/etc" /etc/slurm
mkdir -p /run/munge
mount -t tmpfs tmpfs /run/munge
host=$(hostname -s)
cores=$(getconf _NPROCESSORS_ONLN)
cat > "$folder/etc/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${SLURM_TEST_PORT:-26817}
SlurmdPort=$((${SLURM_TEST_PORT:-26817} + 1))
SlurmUser=root
AuthType=auth/munge
# also how long a job that went back into the queue must wait there
AuthInfo=cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdSpoolDir=$folder/spool
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd
SchedulerParameters=sched_min_interval=100000
MinJobAge=300
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores Boards=1 SocketsPerBoard=1 CoresPerSocket=$cores ThreadsPerCore=1 RealMemory=8000 State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=$host MaxTime=INFINITE State=UP PriorityTier=10
END
head -c 128 /dev/urandom > "$folder/munge/key"
chmod 400 "$folder/munge/key"
chown -R root:root "$folder/munge"
munged --force --key-file "$folder/munge/key" --pid-file "$folder/munge/pid" \
  --seed-file "$folder/munge/seed" --log-file "$folder/log/munged" 2> /dev/null
slurmctld
slurmd
for _ in $(seq 100); do
  if [ "$(sinfo --noheader --format %t --partition cpu 2> /dev/null)" = idle ]; then
    "$@"
    exit $?
  fi
  sleep 0.3
done
echo "the node did not come up:" >&2
sinfo >&2 || true
tail -n 5 "$folder"/log/* >&2
exit 75
