# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set for job.sh, and for the jobs
# Sourced after job.sh: a Ray cluster of the job's nodes, for as long as the job's command runs.
#
# The head and what works on this node are children of the batch script; the other nodes are started by srun. A job
# that is preempted with a grace time gets SIGTERM in its steps alone, so the head lives on and commits what is in work
# on this node. A step that does nothing else hears of it and tells this script.
#
# Environment, optional:
#   SOUL_RAY_TMP    where Ray's sockets, logs and spilled objects lie on each node; short, for the path of a socket has
#                   107 characters at most (/tmp)
#   START_S         how long nodes may take to join (300)

START_S=${START_S:-300}
NOTICE_STATUS=7
here=$SOUL_ROOT/infra/cluster/slurm
nodes=()    # processes on this node, the head first
steps=()    # srun's
shared=()   # the option that says that paths mean the same on every node, if there are paths

# A step beside others on the same resources.
step() {
  srun --overlap --mem=0 --cpu-bind=none --kill-on-bad-exit=0 "$@"
}

# Takes the run and its input. Paths must mean the same files on every node; what is written to a disk of one node's own
# would be lost.
check_shared() {
  local place mark=$LOGS/seen seen=("$PY")
  for place in "$@"; do
    [[ -n $place && $place != *://* ]] || continue
    shared=(--shared-paths)
    # A pattern names files that only the command itself can list.
    [[ ! -e $place ]] || seen+=("$place")
  done
  ((SLURM_JOB_NUM_NODES > 1)) || return 0
  : >"$mark"
  # shellcheck disable=SC2016 # the step's shell expands it
  step --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
    bash -c 'for path; do [[ -e $path ]] || { echo "soul: $SLURMD_NODENAME does not see $path" >&2; exit 1; }; done' \
    bash "$mark" "${seen[@]}" || refuse "the nodes must share a file system where these lie"
  rm "$mark"
}

start_ray() {
  export HEAD_NODE=$SLURMD_NODENAME LOGS PY MAX_RESTARTS
  # A port that no other job on this node has, unless their numbers are a multiple of a thousand apart. The next two
  # are Ray's, too.
  export RAY_PORT=$((10000 + SLURM_JOB_ID % 1000 * 10))
  export RAY_TMPDIR=${SOUL_RAY_TMP:-/tmp}/soul-$SLURM_JOB_ID
  local address=127.0.0.1 others=$((SLURM_JOB_NUM_NODES - 1))
  if ((others > 0)); then
    # By which address the other nodes are reached from here, they can reach this one.
    address=$(step --nodes=1 --ntasks=1 --exclude="$HEAD_NODE" printenv SLURM_LAUNCH_NODE_IPADDR)
  else
    # Ray means this for other systems. With it, nothing outside this machine can connect.
    export RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0
  fi
  export RAY_ADDRESS=$address:$RAY_PORT
  # Whoever connects to Ray can run programs as the user, and nodes are shared with others.
  RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
  (umask 077 && echo "$RAY_AUTH_TOKEN" >"$LOGS/dashboard-token")
  # The settings that clusters of this project have.
  local setting
  while read -r setting; do
    [[ -v ${setting%%=*} ]] || export "${setting?}"
  done < <("$PY" -c 'from infra.jobs.cluster import OWN_SETTINGS as s; print(*map("=".join, s.items()), sep="\n")')
  [[ -v RAY_worker_killing_policy_by_group ]] || refuse "$PY cannot import infra.jobs.cluster"

  trap end_ray EXIT
  if ((others > 0)); then
    "$here/ray_node.sh" head &
    nodes+=($!)
    await_head
    "$here/ray_node.sh" beside &
    nodes+=($!)
    step --no-kill --nodes="$others" --ntasks="$others" --ntasks-per-node=1 --exclude="$HEAD_NODE" \
      "$here/ray_node.sh" worker >>"$LOGS/steps.log" 2>&1 &
    steps+=($!)
    await_nodes $((others + 2))
  else
    "$here/ray_node.sh" alone &
    nodes+=($!)
    await_head
    await_nodes 1
  fi
  listen >>"$LOGS/steps.log" 2>&1 &
  steps+=($!)
}

await_head() {
  local until=$((SECONDS + START_S))
  until (: >"/dev/tcp/${RAY_ADDRESS/://}") 2>/dev/null; do
    [[ -z $told ]] || return 0
    if ! kill -0 "${nodes[0]}" 2>/dev/null || ((SECONDS > until)); then
      not_started
    fi
    sleep 0.2 &
    wait $! || true
  done
}

# A run is refused where the cluster has less than its profile asks for, so all nodes are waited for.
await_nodes() {
  "$PY" - "$1" "$START_S" 2>>"$LOGS/steps.log" <<'PYTHON' &
import sys
import time

import ray

number, seconds = map(int, sys.argv[1:])
ends_s, there, problem = time.monotonic() + seconds, 0, ""
while there < number:
    if time.monotonic() > ends_s:
        print(f"soul: {there} of {number} Ray nodes, the head among them, are there after {seconds} s{problem}")
        sys.exit(1)
    try:
        ray.init(logging_level="CRITICAL", log_to_driver=False, ignore_reinit_error=True)
        there = sum(node["Alive"] for node in ray.nodes())
    except ConnectionError as error:  # the head takes connections before it has a node
        problem = f": {error}"
    time.sleep(0.2)
PYTHON
  local waiter=$!
  while kill -0 "$waiter" 2>/dev/null && [[ -z $told ]]; do
    sleep 0.2 &
    wait $! || true
  done
  if [[ -n $told ]]; then
    kill -KILL "$waiter" 2>/dev/null || true
    wait "$waiter" 2>/dev/null || true
  else
    wait "$waiter" || not_started
  fi
}

not_started() {
  say "Ray does not start; see $LOGS"
  status=1
  end_ray
  end_job
}

# Hears the SIGTERM that only steps get, and passes it to this script.
listen() {
  local heard=0
  # shellcheck disable=SC2016 # the step's shell expands it
  step --nodes=1 --ntasks=1 --nodelist="$HEAD_NODE" \
    bash -c 'trap "exit $0" TERM; while :; do sleep 86400 & wait; done' "$NOTICE_STATUS" || heard=$?
  [[ $heard != "$NOTICE_STATUS" ]] || kill -TERM $$ 2>/dev/null
}

# Ends Ray, the head last, and waits until its logs are packed.
end_ray() {
  local process until
  trap - EXIT
  # From here on TERM comes from the steps that are ended, and from Slurm.
  trap '' TERM
  ((${#steps[@]} == 0)) || scancel --signal=TERM "$SLURM_JOB_ID" 2>/dev/null || true
  for process in $(printf '%s\n' "${nodes[@]}" | tac); do
    until=$((SECONDS + 15))
    kill -TERM "$process" 2>/dev/null || true
    while kill -0 "$process" 2>/dev/null && ((SECONDS < until)); do
      sleep 0.2
    done
  done
  until=$((SECONDS + 15))
  for process in "${steps[@]}"; do
    while kill -0 "$process" 2>/dev/null && ((SECONDS < until)); do
      sleep 0.2
    done
  done
}
