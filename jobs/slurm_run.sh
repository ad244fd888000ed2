# The body of one_node.sbatch and many_nodes.sbatch, which source it: runs a sweep inside a Slurm allocation, asks it to stop
# in time, and queues the job again while work is left. See jobs/README.md.
set -euo pipefail

config=${1:?usage: sbatch jobs/one_node.sbatch CONFIG.toml}
binary=${CMSWEEP:-$SLURM_SUBMIT_DIR/build/release/bin/cmsweep}
limit=${MAX_REQUEUES:-20}
counter=${REQUEUE_COUNTER:-$SLURM_SUBMIT_DIR/.cmsweep-requeues-$SLURM_JOB_ID}
threads=${SLURM_CPUS_PER_TASK:-1}
[ -x "$binary" ] || { echo "$binary: no such program; build it (see README.md) or set CMSWEEP" >&2; exit 2; }

# One pool of threads per rank, as wide as the cores it is bound to; the config's run.threads_per_rank should say the same.
export OMP_NUM_THREADS=$threads OPENBLAS_NUM_THREADS=$threads MKL_NUM_THREADS=$threads

# A killed Open MPI job leaves session folders in /tmp and segments in /dev/shm; in folders of this job they can be removed.
scratch=${TMPDIR:-/tmp}/cmsweep-$SLURM_JOB_ID
shared=/dev/shm/cmsweep-$SLURM_JOB_ID
export OMPI_MCA_orte_tmpdir_base=$scratch OMPI_MCA_btl_vader_backing_directory=$shared
on_every_node() { srun --ntasks="${SLURM_JOB_NUM_NODES:-1}" --ntasks-per-node=1 --overlap "$@"; }
on_every_node mkdir -p "$scratch" "$shared"
trap 'on_every_node rm -rf "$scratch" "$shared" || true' EXIT

# Slurm starts the ranks through PMIx where it can; else Open MPI's own launcher does, inside the same allocation.
if [ "${LAUNCHER:-srun}" = srun ] && srun --mpi=list 2>&1 | grep -q pmix; then
    launch=(srun --mpi=pmix --cpu-bind=cores)
else
    launch=(mpirun -n "$SLURM_NTASKS" --map-by "slot:PE=$threads" --bind-to core)
fi

# Slurm sends USR1 to this shell before the time is over (--signal=B:USR1@120). srun and mpirun pass USR1 on to every rank; TERM
# they would take as an order to kill the ranks.
child= signalled= code=127
forward() {
    signalled=yes
    [ -z "$child" ] || kill -USR1 "$child" 2>/dev/null || true
}
trap forward USR1
echo "start $((${SLURM_RESTART_COUNT:-0} + 1)): ${launch[*]} $binary $config"
"${launch[@]}" "$binary" "$config" &
child=$!
while :; do
    signalled=
    status=0
    wait "$child" || status=$?
    [ "$status" -eq 127 ] || code=$status  # 127: a signal came just as it had ended
    [ -n "$signalled" ] || break
done

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
scontrol requeue "$SLURM_JOB_ID"
exit 75
