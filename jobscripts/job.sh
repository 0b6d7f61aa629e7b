# shellcheck shell=bash
# What the batch scripts have in common; they source it. It starts corpuscle on a Slurm allocation, ends it in time for a
# checkpoint, and puts the job back into the queue until the result is there.
#
# Settings, from the environment that sbatch was called in:
#
#   MPI=openmpi|openmpi5|mpich    which build (see env.sh)
#   CORPUSCLE_LAUNCHER=mpirun     or srun
#   CORPUSCLE_MODULES="a b"       what to `module load` first
#   CORPUSCLE_CHECKPOINT=DIR      default: OUTPUT.checkpoint, which is removed once the result is there
#   CORPUSCLE_REQUEUES=50         how often the job may go back into the queue because its time was up
#   CORPUSCLE_RETRIES=3           how often it may have been started before it gives up after the launcher has failed
#   CORPUSCLE_START_TIMEOUT=300   seconds until corpuscle must have said something: a rank lost while MPI starts leaves
#                                 the others waiting for ever; 0: wait for ever
#   CORPUSCLE_END_TIMEOUT=20      seconds that the launcher has to end once the result is there: after a host was cut off,
#                                 mpirun waits for its daemon there for ever
#   CORPUSCLE_BIND=yes            no: leave workers unbound
#   CORPUSCLE_OUTLIVE=yes         no: a worker that dies ends the launch, and the job goes on from its checkpoint. For
#                                 partitions whose jobs are preempted: there all daemons of the launcher are told to end
#
# --ntasks (or --nodes and --ntasks-per-node) is the number of workers, --cpus-per-task their threads. The dispatcher
# comes on top: it sleeps, and shares the first node with the workers there.

say() { echo "$(date +%FT%T) job ${SLURM_JOB_ID:-none}, start $((${SLURM_RESTART_COUNT:-0} + 1)): $*" >&2; }

# job_begin ROOT: the environment of the repository in ROOT.
job_begin() {
    if [[ -n ${CORPUSCLE_MODULES:-} ]]; then
        # shellcheck disable=SC2086 # several modules
        module load $CORPUSCLE_MODULES
    fi
    job_scripts=$1/jobscripts
    # shellcheck source=jobscripts/env.sh
    . "$job_scripts/env.sh"
    program=$(command -v corpuscle) || {
        say "there is no release build of corpuscle in $1: . jobscripts/env.sh && cargo build --release"
        exit 1
    }
    tasks=${SLURM_NTASKS:-1} threads=${SLURM_CPUS_PER_TASK:-1}
    # A build that cannot go on without a worker must not be started as if it could: it would wait for ever.
    recovery=()
    if [[ ${CORPUSCLE_OUTLIVE:-yes} == yes && ${CORPUSCLE_LAUNCHER:-mpirun} == mpirun ]] && [[ $("$program" lsi --help) == *--worker-timeout* ]]; then
        read -ra recovery <<<"$CORPUSCLE_MPIRUN_RECOVERY"
    fi
    # A message between hosts goes out whole instead of asking first, which would cost three times the latency.
    export OMPI_MCA_btl_tcp_eager_limit=${OMPI_MCA_btl_tcp_eager_limit:-16777216}
    export OMPI_MCA_btl_tcp_rndv_eager_limit=${OMPI_MCA_btl_tcp_rndv_eager_limit:-16777216}
    # With `sbatch --no-kill` the job outlives a node that Slurm gives up, too: the launcher's own step must not be ended.
    if ((${#recovery[@]})); then export OMPI_MCA_plm_slurm_args=${OMPI_MCA_plm_slurm_args:---no-kill}; fi
    # A node or a cable that is lost is noticed in seconds, not hours.
    export OMPI_MCA_oob_tcp_keepalive_time=5 OMPI_MCA_oob_tcp_keepalive_intvl=1 OMPI_MCA_oob_tcp_keepalive_probes=3
}

# job_command WORKERS ARGUMENT...: sets `command` to what runs corpuscle on so many workers and a dispatcher. One worker
# has nobody to talk to and is started without MPI.
job_command() {
    local workers=$1
    shift
    command=("$program" "$@" --threads "$threads")
    ((workers > 1)) || return 0
    if [[ ${CORPUSCLE_BIND:-yes} == yes ]]; then
        command=("$job_scripts/place.sh" "$threads" "${command[@]}")
    fi
    local -a launcher
    local ranks=$((workers + 1))
    case ${CORPUSCLE_LAUNCHER:-mpirun} in
        mpirun)
            read -ra launcher <<<"$CORPUSCLE_MPIRUN"
            # Node by node, as many as there are tasks, the dispatcher with the first.
            [[ $CORPUSCLE_MPIRUN != *--oversubscribe* ]] || launcher+=(--map-by slot)
            launcher+=("${recovery[@]}" -n "$ranks")
            ;;
        srun)
            local pmi=pmix
            [[ ${MPI:-openmpi} != mpich ]] || pmi=pmi2
            launcher=(srun --mpi="$pmi" --ntasks="$ranks" --overcommit --distribution=block --cpu-bind=none --kill-on-bad-exit=1)
            ;;
        *)
            say "CORPUSCLE_LAUNCHER=$CORPUSCLE_LAUNCHER is not known: use mpirun or srun"
            exit 2
            ;;
    esac
    command=("${launcher[@]}" "${command[@]}")
}

# job_output ARGUMENT...: what follows -o or --output.
job_output() {
    while (($#)); do
        case $1 in
            -o | --output) echo "${2:-}" && return ;;
            --output=*) echo "${1#*=}" && return ;;
            -o?*) echo "${1#-o}" && return ;;
        esac
        shift
    done
}

# job_run ARGUMENT...: one command of corpuscle, from its checkpoint if there is one, until its result is there.
#
# Done is what has left OUTPUT.run.json, the last file a run writes: launchers have been seen to return 0 after the
# dispatcher was killed. What happens otherwise:
#
#   the time limit comes near   Slurm sends USR1 to this shell, which passes it on; corpuscle ends with a checkpoint; the
#                               job goes back into the queue
#   the job is preempted        Slurm sends TERM, and requeues the job itself. A job that was cancelled gets the same TERM,
#                               so this shell never requeues after one
#   a node is lost              Slurm requeues the job (--requeue), or the launcher fails first
#   the launcher fails          back into the queue, CORPUSCLE_RETRIES times, unless corpuscle has refused its command line
#                               or its input
job_run() {
    local output checkpoint own=yes started=${SLURM_RESTART_COUNT:-0} log offset status=0 why='' pid='' end watch=''
    output=$(job_output "$@")
    if [[ -z $output ]]; then
        say "a batch job needs -o OUTPUT: corpuscle $*"
        exit 2
    fi
    checkpoint=${CORPUSCLE_CHECKPOINT:-}
    [[ -z $checkpoint ]] || own=no
    checkpoint=${checkpoint:-$output.checkpoint}
    # That of an earlier job must not pass for ours.
    ((started)) || rm -f "$output.run.json"
    local -a resume=()
    # The others begin again, and refuse the options.
    case $1 in
        build | import | export | generate | tfidf | lsi | lda | transform | scale | search) resume=(--checkpoint "$checkpoint" --resume) ;;
    esac
    job_command "$tasks" "$@" "${resume[@]}"

    # What this shell and the launcher say goes to the job's output file, if it is one.
    log=$(readlink -f /proc/self/fd/2)
    [[ -f $log ]] || log=
    say "${SLURM_JOB_NODELIST:-$(hostname)}: ${command[*]}"
    offset=$(stat -c %s "${log:-/dev/null}")
    trap 'why=USR1; say "time is nearly up"; [[ -z $pid ]] || kill -USR1 $pid' USR1
    trap 'why=TERM; say "told to end"; [[ -z $pid ]] || kill -USR1 $pid' TERM
    if [[ -n ${job_told:-} ]]; then
        say "time is nearly up, before anything was begun"
        job_requeue "${CORPUSCLE_REQUEUES:-50}"
        exit 1
    fi
    "${command[@]}" &
    pid=$!
    # The signal may have come in between.
    [[ -z $why ]] || kill -USR1 "$pid"
    if [[ -n $log ]] && ((${CORPUSCLE_START_TIMEOUT:-300} > 0)) && [[ " $* " != *" -q "* && " $* " != *" --quiet "* ]]; then
        job_watch_start "$pid" "$log" "$offset" &
        watch=$!
    fi
    job_watch_end "$pid" "$output.run.json" &
    end=$!
    # A trap ends `wait`; the launcher may still be there.
    while :; do
        wait "$pid" && status=0 || status=$?
        kill -0 "$pid" 2>/dev/null || break
    done
    for watch in $watch $end; do kill "$watch" 2>/dev/null || true; done

    if [[ -e $output.run.json ]]; then
        say "done: $output"
        # Empty now.
        [[ $own == no || ! -d $checkpoint ]] || rmdir "$checkpoint" || true
        return 0
    fi
    say "ended with status $status and without a result${why:+, after $why}"
    if [[ $why == TERM ]]; then
        exit 143
    elif [[ $why == USR1 || $status == 75 ]]; then
        job_requeue "${CORPUSCLE_REQUEUES:-50}"
    elif ((status == 2)) || { ((status == 1)) && [[ -z $(ls -A "$checkpoint" 2>/dev/null) ]]; }; then
        say "not tried again: corpuscle has said why"
    else
        job_requeue "${CORPUSCLE_RETRIES:-3}"
    fi
    exit $((status ? status : 1))
}

# job_watch_start PID LOG OFFSET: ends the launcher unless corpuscle has written to LOG, from OFFSET on, in time.
job_watch_start() {
    local end=$((SECONDS + ${CORPUSCLE_START_TIMEOUT:-300}))
    trap - USR1 TERM
    while ((SECONDS < end)); do
        sleep 1
        kill -0 "$1" 2>/dev/null || return 0
        # Not through a pipe: one that is closed early makes it fail.
        if grep -qE 'rank [0-9]|^corpuscle' <(tail -c "+$(($3 + 1))" "$2"); then return 0; fi
    done
    say "no word from corpuscle for ${CORPUSCLE_START_TIMEOUT:-300} s: it has not started"
    kill -TERM "$1"
    sleep 5
    kill -KILL "$1" 2>/dev/null || true
}

# job_watch_end PID FILE: ends the launcher when it is still there some time after FILE is.
job_watch_end() {
    local second
    trap - USR1 TERM
    until [[ -e $2 ]]; do
        sleep 1
        kill -0 "$1" 2>/dev/null || return 0
    done
    for ((second = 0; second < ${CORPUSCLE_END_TIMEOUT:-20}; second++)); do
        sleep 1
        kill -0 "$1" 2>/dev/null || return 0
    done
    say "the result is there and the launcher does not end: it is killed"
    kill -TERM "$1"
    sleep 5
    kill -KILL "$1" 2>/dev/null || true
}

# job_requeue LIMIT: back into the queue, if the job has not been there LIMIT times. Slurm then ends this shell.
job_requeue() {
    if ((${SLURM_RESTART_COUNT:-0} >= $1)); then
        say "has been started $((${SLURM_RESTART_COUNT:-0} + 1)) times: gives up"
        return
    fi
    say "goes back into the queue"
    trap '' TERM USR1
    scontrol requeue "$SLURM_JOB_ID"
    exit 75
}

# job_sizes: numbers of workers for a scaling run: powers of two below the number of tasks, and that number.
job_sizes() {
    local size
    for ((size = 1; size < tasks; size *= 2)); do echo "$size"; done
    echo "$tasks"
}
