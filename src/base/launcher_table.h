/* The variables by which launchers of distributed jobs tell a process which of how many it is:
 *
 *   VG_LAUNCHER(rank, size)
 *
 * torchrun and its peers (PyTorch, "Environment variables" of torchrun); Open MPI; Slurm's srun
 * (srun(1), OUTPUT ENVIRONMENT VARIABLES: SLURM_NTASKS would also be set in a batch script, where
 * one process runs); MPICH, Intel MPI and others with Hydra. The first whose two are set counts. */
/* clang-format off */
VG_LAUNCHER(RANK, WORLD_SIZE)
VG_LAUNCHER(OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE)
VG_LAUNCHER(SLURM_PROCID, SLURM_STEP_NUM_TASKS)
VG_LAUNCHER(PMI_RANK, PMI_SIZE)
