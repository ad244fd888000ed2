# The body of the batch scripts here, which source it with one config as $1: runs a sweep inside a Slurm allocation, asks it to
# stop in time, and queues the job again while work is left. See jobs/README.md.
set -euo pipefail

# Slurm sends USR1 to this shell before the time is over (--signal=B:USR1@120), so does `scancel -b -s USR1`. srun and mpirun pass
# USR1 on to every rank; TERM they would take as an order to kill the ranks. What comes while they start the ranks they lose, or
# end by it: so it is sent again until they have ended.
child= asked= news= sender=
forward() {
    [ -n "$asked" ] && [ -n "$child" ] && [ -z "$sender" ] || return 0
    while kill -USR1 "$child"; do sleep 5; done >/dev/null 2>&1 &
    sender=$!
}
trap 'asked=yes news=yes; forward' USR1

config=${1:?usage: sbatch jobs/one_node.sbatch CONFIG.toml}
binary=${CMSWEEP:-$SLURM_SUBMIT_DIR/build/release/bin/cmsweep}
job=$SLURM_JOB_ID  # the last job of an array has the array's own id, which means all of its jobs
[ -z "${SLURM_ARRAY_JOB_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
limit=${MAX_REQUEUES:-20}
counter=${REQUEUE_COUNTER:-$SLURM_SUBMIT_DIR/.cmsweep-requeues-$job}
threads=${SLURM_CPUS_PER_TASK:-1}
[ -x "$binary" ] || { echo "$binary: no such program; build it (see README.md) or set CMSWEEP" >&2; exit 2; }

# One pool of threads per rank, as wide as the cores it is bound to; the config's run.threads_per_rank should say the same.
export OMP_NUM_THREADS=$threads OPENBLAS_NUM_THREADS=$threads MKL_NUM_THREADS=$threads

# A killed Open MPI job leaves session folders in /tmp and segments in /dev/shm; in folders of this job they can be removed.
scratch=${TMPDIR:-/tmp}/cmsweep-$SLURM_JOB_ID
shared=/dev/shm/cmsweep-$SLURM_JOB_ID
export OMPI_MCA_orte_tmpdir_base=$scratch OMPI_MCA_btl_vader_backing_directory=$shared
on_every_node() { srun --mpi=none --ntasks="${SLURM_JOB_NUM_NODES:-1}" --ntasks-per-node=1 --overlap "$@"; }
clean_up() {
    trap - EXIT
    [ -z "$sender" ] || kill "$sender" 2>/dev/null || true
    rm -rf "$scratch" "$shared"  # here without Slurm, which starts nothing more in a job that is past its limit
    [ "${SLURM_JOB_NUM_NODES:-1}" -eq 1 ] || on_every_node rm -rf "$scratch" "$shared" || true
}
trap clean_up EXIT
on_every_node mkdir -p "$scratch" "$shared"

# Slurm starts the ranks through PMIx where it can; else Open MPI's own launcher does, inside the same allocation. Since 22.05
# srun does not take the batch script's --cpus-per-task by itself.
if [ "${LAUNCHER:-srun}" = srun ] && [[ $(srun --mpi=list 2>&1) == *pmix* ]]; then
    launch=(srun --mpi=pmix --cpus-per-task="$threads" --cpu-bind=cores)
else
    launch=(mpirun -n "$SLURM_NTASKS" --map-by "slot:PE=$threads" --bind-to core:overload-allowed)
fi

code=75
if [ -z "$asked" ]; then
    echo "start $((${SLURM_RESTART_COUNT:-0} + 1)): ${launch[*]} $binary $config"
    "${launch[@]}" "$binary" "$config" &
    child=$!
    forward
    code=127
    while :; do
        news=
        status=0
        wait "$child" || status=$?
        [ "$status" -eq 127 ] || code=$status  # 127: a signal came just as it had ended
        [ -n "$news" ] || break
    done
    # Ended by the signal itself, before anything could be asked to stop.
    [ -z "$asked" ] || [ "$code" -ne $((128 + $(kill -l USR1))) ] || code=75
fi

if [ "$code" -ne 75 ]; then
    rm -f "$counter"
    exit "$code"
fi
count=$(($(cat "$counter" 2>/dev/null || echo 0) + 1))
if [ "$count" -gt "$limit" ]; then
    echo "stopped early, and queued again $limit times already: not again; submit the same job to continue" >&2
    rm -f "$counter"
    exit 75
fi
echo "$count" >"$counter"
echo "stopped early: queueing the job again ($count of at most $limit times)"
clean_up  # queueing again ends this shell
status=0
scontrol requeue "$job" || status=$?
if [ "$status" -ne 0 ] && [ "$status" -le 128 ]; then  # more: it was ended with this shell, for the job is queued again
    echo "stopped early, and could not be queued again (scontrol requeue $job: exit $status); submit the same job to continue" >&2
    rm -f "$counter"
fi
exit 75
