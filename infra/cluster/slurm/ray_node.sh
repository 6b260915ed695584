#!/usr/bin/env bash
# One node of a Ray cluster, with what Slurm gave the job on this machine; ends at SIGTERM. Run by ray_cluster.sh.
#
#   ray_node.sh alone     a head that also does the work
#   ray_node.sh head      a head that does none: ledger and driver live there
#   ray_node.sh beside    a node on the head's machine that does the work
#   ray_node.sh worker    a node on another one that does
set -euo pipefail

kind=$1
ray=${PY%/*}/ray
cpus=$SLURM_CPUS_ON_NODE
gpus=${SLURM_GPUS_ON_NODE:-0}
# What Ray would find out by itself is the whole machine, also where the job has a part of it.
megabytes=${SLURM_MEM_PER_NODE:-$((${SLURM_MEM_PER_CPU:-0} * cpus))}

# Nodes on one machine must not unpack the run's code into the same directory.
case $kind in
  beside) RAY_TMPDIR+=-beside ;;
  worker) RAY_TMPDIR+=-$SLURM_PROCID ;;
esac

options=(--block --disable-usage-stats --log-style=record "--temp-dir=$RAY_TMPDIR/ray")
# Ports that other jobs on this node could have as well are left to the system.
options+=(--min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0)
if [[ $kind == beside || $kind == worker ]]; then
  options+=("--address=$RAY_ADDRESS")
else
  options+=(--head "--node-ip-address=${RAY_ADDRESS%:*}" "--port=$RAY_PORT")
  options+=("--ray-client-server-port=$((RAY_PORT + 1))" --dashboard-host=127.0.0.1)
  options+=("--dashboard-port=$((RAY_PORT + 2))")
fi
if [[ $kind == head ]]; then
  options+=(--num-cpus=0 --num-gpus=0 "--object-store-memory=$((512 << 20))")
  # The node that does the work beside this one watches the memory. This one would end the ledger, its only worker.
  export RAY_memory_monitor_refresh_ms=0
else
  options+=("--num-cpus=$cpus" "--num-gpus=$gpus")
  # Ray's own shares: three tenths for the store of objects, the rest for workers.
  ((megabytes == 0)) ||
    options+=("--memory=$(((megabytes * 7 << 20) / 10))" "--object-store-memory=$(((megabytes * 3 << 20) / 10))")
fi

# Each worker has a few dozen connections and files.
ulimit -S -n "$(ulimit -H -n)"
# Killed before, the job may have left its directory.
rm -rf "$RAY_TMPDIR"
mkdir -p "$RAY_TMPDIR"
"$ray" start "${options[@]}" >"$LOGS/ray-$kind-$SLURMD_NODENAME.log" 2>&1 &
started=$!
told= # not empty once this node was told to end
trap 'told=yes; kill -TERM $started 2>/dev/null || true' TERM
while kill -0 "$started" 2>/dev/null; do
  wait "$started" || true
done

tar -C "$RAY_TMPDIR/ray" -czf "$LOGS/ray-$kind-$SLURMD_NODENAME-${SLURM_RESTART_COUNT:-0}.tar.gz" \
  --ignore-failed-read --warning=no-file-changed session_latest/logs 2>/dev/null || true
rm -rf "$RAY_TMPDIR"

# Ray's nodes end a minute after the head is gone. With --no-kill Slurm keeps the job on its other nodes when the head's
# fails, and nobody is left there to requeue it.
head_is_there() {
  timeout 10 bash -c ": >/dev/tcp/${RAY_ADDRESS/://}" 2>/dev/null
}

if [[ $kind == worker && -z $told ]] && ! head_is_there; then
  state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T 2>/dev/null || true)
  # Another node may have been first, and a job that was cancelled must not come back.
  [[ $state == RUNNING ]] || exit 0
  # The srun that this script writes to went with the head's node.
  exec >>"$LOGS/steps.log" 2>&1
  if ((${SLURM_RESTART_COUNT:-0} >= MAX_RESTARTS)); then
    echo "soul: the head $HEAD_NODE is gone, and the job has been requeued $MAX_RESTARTS times: submit it again to go on"
    scancel "$SLURM_JOB_ID"
  else
    echo "soul: the head $HEAD_NODE is gone: requeued"
    scontrol requeue "$SLURM_JOB_ID" || scancel "$SLURM_JOB_ID"
  fi
fi
