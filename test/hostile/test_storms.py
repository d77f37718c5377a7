"""Programs killed and threads cancelled at random moments leave nothing behind: nobody in line, no
charge on a shared limit, and whoever else waits is served. VG_TEST_STORM is how many (10,000 by
scripts/test --long)."""

import json
import os
import re
import subprocess

from conftest import PROGRAMS

COUNT = int(os.environ.get("VG_TEST_STORM", "60"))


def nobody_waits(machine):
    """For this machine's GPU: tests beside this one have others."""
    listed = machine.vramguard("list", "--waiting", "--json")
    assert listed.code == 0, listed.stderr
    gpu = machine.registry_file().name.partition(".")[0]
    return gpu not in {waiter["gpu"] for waiter in json.loads(listed.stdout)}


def test_killed_at_random(hostile):
    command = hostile.program("storm", COUNT, PROGRAMS / "steps")
    result = hostile.run(
        command,
        guarded=True,
        timeout_s=120 + COUNT // 4,
        VRAMGUARD_POLICY="wait=60s",
        VRAMGUARD_LIMIT="220MiB",
        VRAMGUARD_LIMIT_SCOPE="shared",
        VRAMGUARD_KEEP="3",
        STORM_ALL_MIB="220",
    )
    assert result.code == 0, result.stdout + result.stderr
    told = re.fullmatch(r"(\d+) killed, the other served (\d+) times\n", result.stdout)
    assert int(told[1]) >= COUNT and int(told[2]) > 0
    assert nobody_waits(hostile)
    print("SIGKILL at random: " + result.stdout)


def test_cancelled_at_random(hostile):
    """Some of them while they wait in line, beside a program that comes and goes."""
    waiting = {"VRAMGUARD_POLICY": "wait=60s"}
    trader = hostile.start(
        hostile.program("storm", "trade"), guarded=True, stdin=subprocess.PIPE, **waiting
    )
    assert trader.stdout.readline() == "trading\n"
    command = hostile.program("left", "cancel", COUNT, 140, 150)
    result = hostile.run(
        command, guarded=True, timeout_s=120 + COUNT // 4, VRAMGUARD_LIMIT="200MiB", **waiting
    )
    assert (result.code, result.stdout) == (0, "went on\n"), result.stderr
    served = hostile.stop(trader)
    assert served.code == 0 and int(served.stdout) > 0, served.stderr
    assert sorted(record["live"] for record in hostile.all_records()) == [0, 2]
    assert nobody_waits(hostile)
    print("pthread_cancel at random: %d threads, the other served %s" % (COUNT, served.stdout))
