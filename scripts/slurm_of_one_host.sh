#!/usr/bin/env bash
# A Slurm of this host alone, for as long as a command runs. Its folder is a temporary one, and its daemons end with the
# command; nothing of an installed Slurm is read or changed.
set -euo pipefail

usage() {
  cat <<'EOT'
usage: scripts/slurm_of_one_host.sh SLOTS COMMAND...

Runs COMMAND, which finds this Slurm by SLURM_CONF, as root, such as:

  scripts/slurm_of_one_host.sh 8 srun --mpi=pmix -n 2 build/release/strata quantize ...

SLOTS tasks fit beside each other, whatever the processors. Needs slurm-wlm, slurm-wlm-basic-plugins and munge.
EOT
}

[[ ${1:-} =~ ^[1-9][0-9]*$ && $# -gt 1 ]] || { usage >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "slurm_of_one_host: tasks are started as root" >&2; exit 1; }
slots=$1 host=$(hostname -s)
shift
work=$(mktemp -d)
chmod 755 "$work"
mkdir "$work/state" "$work/spool"
daemons=()
remove() {
  for ((i = ${#daemons[@]} - 1; i >= 0; --i)); do kill "${daemons[i]}" 2>/dev/null && wait "${daemons[i]}" || true; done
  rm -rf "$work"
}
trap remove EXIT

(umask 077 && head -c 1024 /dev/urandom >"$work/key")
cat >"$work/slurm.conf" <<EOT
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthInfo=socket=$work/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
NodeName=$host NodeAddr=127.0.0.1 CPUs=$slots
PartitionName=all Nodes=ALL Default=YES
EOT
export SLURM_CONF=$work/slurm.conf
munged --foreground --force --key-file="$work/key" --socket="$work/munge" --pid-file="$work/munged.pid" \
  --log-file="$work/munged.log" --seed-file="$work/seed" 2>"$work/munged.err" & daemons+=($!)
slurmctld -D >"$work/slurmctld.log" 2>&1 & daemons+=($!)
slurmd -D >"$work/slurmd.log" 2>&1 & daemons+=($!)
tries=100
until [ "$(sinfo -h -o %t 2>/dev/null)" = idle ]; do
  ((--tries > 0)) || { tail -n 20 "$work"/*.log "$work"/*.err >&2; exit 1; }
  sleep 0.2
done
"$@"
