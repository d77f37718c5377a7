#!/bin/sh
# Slurm: watches the GPU memory of all jobs, without a change to any. In slurm.conf on the nodes:
#   TaskProlog=/etc/slurm/vramguard-task-prolog.sh
# What it prints is the environment of each task (slurm.conf(5), TaskProlog). Settings stand in
# /etc/vramguard.conf. A user who wants none of it sets VRAMGUARD=off.
library=${VRAMGUARD_LIBRARY:-libvramguard.so}
case ":${LD_PRELOAD:-}:" in
*"libvramguard.so:"*) ;;
*) echo "export LD_PRELOAD=$library${LD_PRELOAD:+:$LD_PRELOAD}" ;;
esac
