#!/bin/sh
# Slurm: one job, watched by its user: sbatch job.sh. One rank tells of a failure, the others add a line.
#SBATCH --ntasks=2
#SBATCH --gpus-per-task=1
srun vramguard run -- python train.py
