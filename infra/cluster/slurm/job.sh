# shellcheck shell=bash
# What the jobs beside this file share: where things are, how SIGTERM is passed on, and how a job goes on after its end.
#
# Environment, all of it optional:
#   SOUL_ROOT     this repository; by default the directory from which the job was submitted
#   VENV          the Python environment; by default SOUL_ROOT/.venv
#   PROFILE       a name in infra/profiles or a YAML file; by default the command's own, `local`
#   LOGS          where logs and notes of the job lie beside its output; by default slurm-NAME-ID in the directory from
#                 which it was submitted
#   MAX_RESTARTS  how often a job may be requeued, whatever the reason (50)
#   MAX_FAILURES  how often in a row it may fail by itself before it is given up (3)
set -euo pipefail

MAX_RESTARTS=${MAX_RESTARTS:-50}
MAX_FAILURES=${MAX_FAILURES:-3}
LOGS=${LOGS:-$SLURM_SUBMIT_DIR/slurm-$SLURM_JOB_NAME-$SLURM_JOB_ID}

work=     # process id of the command; empty before it is started
told=     # not empty once the job was told to end
deadline= # epoch second at which the job is requeued even if the command has not ended
status=0  # of the command

say() {
  echo "soul: $*" >&2
}

# A mistake in what was submitted: another try would meet it too.
refuse() {
  say "$@"
  exit 2
}

# Checks where things are, and sets PY.
find_soul() {
  local venv=${VENV:-$SOUL_ROOT/.venv}
  [[ $venv == /* ]] || venv=$PWD/$venv
  PY=$venv/bin/python
  [[ -x $PY ]] || refuse "there is no Python at $PY: \`make env\` builds it, VENV= names another; all nodes must see it"
  export PYTHONPATH=$SOUL_ROOT${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
  # Logs name people's files.
  (umask 077 && mkdir -p "$LOGS")
}

job_state() {
  squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T 2>/dev/null || true
}

# The epoch second at which Slurm ends the job; nothing if it has no end. Preemption with a grace time moves it.
job_end() {
  local end
  end=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%e 2>/dev/null) || return 0
  date --date="$end" +%s 2>/dev/null || true
}

hear_term() {
  [[ -z $told ]] || return 0
  # Slurm is ending the job, and has sent SIGTERM to all of its processes. A second one would break off the command.
  [[ $(job_state) != COMPLETING ]] || return 0
  told=yes
  say "told to end: what is in work is saved"
  local now end
  now=$(date +%s)
  end=$(job_end)
  # A fifth of what is left of the time is for requeueing: past its time limit a job ends for good.
  [[ -z $end ]] || deadline=$((end - (end - now) / 5))
  [[ -z $work ]] || pass_term
}

# How the command gets SIGTERM; train.sbatch has its own way.
pass_term() {
  kill -TERM "$work" 2>/dev/null || true
}

# Runs a command to its end, and sets `status`.
run_to_end() {
  [[ -z $told ]] || { status=143 && return; }
  "$@" &
  work=$!
  # TERM may have come between the two lines above.
  [[ -z $told ]] || pass_term
  # A trap interrupts `wait`, whose status then says nothing of the command. So it is waited for only when it has ended.
  while kill -0 "$work" 2>/dev/null; do
    sleep 1 &
    wait $! || true
    if [[ -n $deadline ]] && (($(date +%s) >= deadline)); then
      say "it has not ended, and the time is nearly up: what is in work will be done again"
      status=143
      end_job
    fi
  done
  wait "$work" || status=$?
}

# Ends the job by what the command's status says: done, a mistake, or to be gone on with.
end_job() {
  local failures=0
  case $status in
    0 | 2)
      exit "$status"
      ;;
    143)
      rm -f "$LOGS/failures"
      ;;
    *)
      # A node or a store that fails is worth another try; a command that always fails is not.
      [[ ! -f $LOGS/failures ]] || failures=$(<"$LOGS/failures")
      [[ -n $told ]] || failures=$((failures + 1))
      echo "$failures" >"$LOGS/failures"
      if ((failures >= MAX_FAILURES)); then
        say "failed $failures times in a row (status $status): not requeued"
        exit "$status"
      fi
      ;;
  esac
  if ((${SLURM_RESTART_COUNT:-0} >= MAX_RESTARTS)); then
    say "work is left, but the job has been requeued $MAX_RESTARTS times (MAX_RESTARTS): submit it again to go on"
    exit "$status"
  fi
  # A job that was cancelled must not come back; one that is preempted is requeued by Slurm itself.
  if [[ $(job_state) == RUNNING ]]; then
    say "work is left (status $status): requeued"
    scontrol requeue "$SLURM_JOB_ID" || say "Slurm does not requeue the job: submit it again to go on"
  fi
  exit "$status"
}

trap hear_term TERM
