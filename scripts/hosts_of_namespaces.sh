#!/usr/bin/env bash
# Makes several hosts of this machine: network namespaces with an address and an sshd each, between which Open MPI has
# nothing but TCP, as between machines. Runs a command in the first of them, and takes everything away again.
set -euo pipefail

usage() {
  cat <<'EOT'
usage: scripts/hosts_of_namespaces.sh HOSTS COMMAND...

Runs COMMAND in the first host, as root, with HOSTFILE naming a file for mpirun and MPI_OPTIONS its options, such as:

  scripts/hosts_of_namespaces.sh 4 sh -c 'mpirun -n 4 --hostfile $HOSTFILE $MPI_OPTIONS build/release/strata eval ...'

Needs iproute2, openssh-server and openmpi-bin. RATE=1gbit limits what each host sends (tc).
EOT
}

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
  [2-9] | [1-9][0-9]) hosts=$1; shift ;;
  *) usage >&2; exit 2 ;;
esac
[ $# -gt 0 ] || { usage >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "hosts_of_namespaces: namespaces need root" >&2; exit 1; }
sshd=$(command -v sshd) || { echo "hosts_of_namespaces: there is no sshd; install openssh-server" >&2; exit 1; }

work=$(mktemp -d)
bridge=strata-br
network=10.77.0

remove() {
  local host pid
  for host in $(seq "$hosts"); do
    for pid in $(ip netns pids "strata-h$host" 2>/dev/null); do kill "$pid" 2>/dev/null || true; done
    ip netns del "strata-h$host" 2>/dev/null || true
  done
  ip link del $bridge 2>/dev/null || true
  rm -rf "$work"
}
trap remove EXIT

ssh-keygen -q -t ed25519 -N '' -f "$work/key"
ssh-keygen -q -t ed25519 -N '' -f "$work/host_key"
install -m 600 "$work/key.pub" "$work/authorized_keys"
cat >"$work/ssh_config" <<EOT
IdentityFile $work/key
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
EOT
cat >"$work/sshd_config" <<EOT
HostKey $work/host_key
AuthorizedKeysFile $work/authorized_keys
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
EOT

mkdir -p /run/sshd
ip link add $bridge type bridge
ip link set $bridge up
for host in $(seq "$hosts"); do
  ip netns add "strata-h$host"
  ip link add "strata-v$host" type veth peer name eth0 netns "strata-h$host"
  ip link set "strata-v$host" master $bridge up
  ip -n "strata-h$host" address add "$network.$host/24" dev eth0
  ip -n "strata-h$host" link set eth0 up
  ip -n "strata-h$host" link set lo up
  [ -z "${RATE:-}" ] || ip netns exec "strata-h$host" tc qdisc add dev eth0 root tbf rate "$RATE" burst 256kb latency 50ms
  # A name of its own, by which Open MPI knows a host from others.
  ip netns exec "strata-h$host" unshare --uts sh -c "hostname strata-h$host && exec $sshd -f $work/sshd_config"
  echo "$network.$host slots=1" >>"$work/hostfile"
done

export HOSTFILE=$work/hostfile
export MPI_OPTIONS="--allow-run-as-root --bind-to none --mca plm_rsh_agent ssh:rsh --mca plm_rsh_args -F$work/ssh_config
  --mca btl tcp,self --mca btl_tcp_if_include $network.0/24 --mca oob_tcp_if_include $network.0/24"
MPI_OPTIONS=$(echo $MPI_OPTIONS)
ip netns exec strata-h1 unshare --uts sh -c 'hostname strata-h1 && exec "$@"' sh "$@"
