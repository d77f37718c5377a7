"""The command line tool on recorder files of every kind: made by hand, damaged, hostile."""

import ctypes
import datetime
import fcntl
import json
import os
import pty
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import termios
import time

import pytest
from conftest import BUILD, FIRST_LINE, MODEL, ROOT

HEADER_BYTES = 65536
DEVICES = 32
EXTENTS = 1024
GIB = 1 << 30

PROGRAM = r"""
extern int cudaMalloc(void **, unsigned long);
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline)) int grab(unsigned long bytes)
{
    void *pointer = 0;
    int error = cudaMalloc(&pointer, bytes); /* line 9 */
    __asm__ volatile("" : : "r"(pointer) : "memory");
    return error;
}

static __attribute__((noinline)) int load_weights(int count)
{
    int errors = 0;
    for (int i = 0; i < count; i++)
        errors += grab(8ul << 20) != 0; /* line 18 */
    return errors;
}

int main(int argc, char **argv)
{
    int errors = load_weights(6); /* line 24 */
    errors += grab(3ul << 30) != 0;
    errors += grab(4ul << 30) != 0;
    puts("ready");
    fflush(stdout);
    while (argc > 1)
        pause();
    return (void)argv, errors == 2 ? 3 : 1;
}
"""


class Device(ctypes.Structure):
    _fields_ = [
        ("live_bytes", ctypes.c_uint64),
        ("peak_bytes", ctypes.c_uint64),
        ("peak_realtime_ns", ctypes.c_uint64),
        ("failed_count", ctypes.c_uint64),
        ("total_bytes", ctypes.c_uint64),
        ("uuid", ctypes.c_char * 48),
        ("name", ctypes.c_char * 64),
        ("padding", ctypes.c_char * 40),
    ]


class Extent(ctypes.Structure):
    _fields_ = [
        ("area", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("offset_bytes", ctypes.c_uint64),
        ("size_bytes", ctypes.c_uint64),
    ]


class Header(ctypes.Structure):
    """struct vg_file_header of versions 3 and 4 up to its device table."""

    _fields_ = [
        ("magic", ctypes.c_char * 8),
        ("version", ctypes.c_uint32),
        ("byte_order", ctypes.c_uint32),
        ("header_bytes", ctypes.c_uint32),
        ("slot_bytes", ctypes.c_uint32),
        ("snapshot_bytes", ctypes.c_uint32),
        ("pid", ctypes.c_int32),
        ("start_ticks", ctypes.c_uint64),
        ("uid", ctypes.c_uint32),
        ("writer_version", ctypes.c_uint32),
        ("start_realtime_ns", ctypes.c_uint64),
        ("start_monotonic_ns", ctypes.c_uint64),
        ("host", ctypes.c_char * 64),
        ("exe", ctypes.c_char * 64),
        ("command", ctypes.c_char * 1024),
        ("boot_id", ctypes.c_char * 40),
        ("end", ctypes.c_uint32),
        ("exit_status", ctypes.c_int32),
        ("end_realtime_ns", ctypes.c_uint64),
        ("failure_count", ctypes.c_uint32),
        ("memory_only", ctypes.c_uint32),
        ("journal_bytes", ctypes.c_uint64),
        ("live_slots", ctypes.c_uint64),
        ("rescue_count", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


DEVICES_OFFSET = (ctypes.sizeof(Header) + 63) // 64 * 64
EXTENTS_OFFSET = DEVICES_OFFSET + DEVICES * ctypes.sizeof(Device)
MODULE, STACK = 2, 3


def boot_id():
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def start_ticks(pid):
    with open("/proc/%d/stat" % pid) as file:
        return int(file.read().rpartition(")")[2].split()[19])


def fnv1a(data):
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


class Run:
    """A recorder file made by hand, from the description of the format alone."""

    def __init__(self, pid=4712, command="python train.py", age_s=60, **fields):
        now_ns = time.time_ns()
        self.header = Header(
            magic=b"VRAMGRD\n",
            version=3,  # still read
            byte_order=0x01020304,
            header_bytes=HEADER_BYTES,
            slot_bytes=64,
            pid=pid,
            start_ticks=1,
            uid=os.getuid(),
            start_realtime_ns=now_ns - age_s * 10**9,
            host=socket.gethostname().encode(),
            command=command.encode(),
            boot_id=boot_id().encode(),
        )
        for name, value in fields.items():
            setattr(self.header, name, value)
        self.devices = {0: Device(total_bytes=12 * GIB, peak_bytes=2 * GIB, live_bytes=GIB)}
        self.journal = b""
        self.slots = b""

    def record(self, kind, payload):
        words = (kind, len(payload), fnv1a(payload), 0)
        head = b"".join(word.to_bytes(4, "little") for word in words)
        self.journal += head + payload + b"\0" * (-len(payload) % 8)

    def module(self, start, end, path):
        numbers = b"".join(number.to_bytes(8, "little") for number in (start, end, start))
        self.record(MODULE, numbers + bytes(24) + path.encode() + b"\0")

    def stack(self, identifier, frames):
        words = (identifier, len(frames), 0, 0)
        head = b"".join(word.to_bytes(4, "little") for word in words)
        self.record(STACK, head + b"".join(frame.to_bytes(8, "little") for frame in frames))

    def allocation(self, address, size, stack, device=0):
        head = b"".join(number.to_bytes(8, "little") for number in (address, size, 0))
        tail = stack.to_bytes(4, "little") + bytes(4) + bytes([device, 0, 1, 0])
        self.slots += (head + tail).ljust(64, b"\0")

    def write(self, machine, name):
        folder = machine.state / "vramguard"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.header.journal_bytes = len(self.journal)
        self.header.live_slots = len(self.slots) // 64
        data = bytearray(HEADER_BYTES)
        data[: ctypes.sizeof(Header)] = bytes(self.header)
        for index, device in self.devices.items():
            at = DEVICES_OFFSET + index * ctypes.sizeof(Device)
            data[at : at + ctypes.sizeof(Device)] = bytes(device)
        offset = HEADER_BYTES
        for index, (area, content) in enumerate(((2, self.journal), (1, self.slots))):
            size = (len(content) // 4096 + 1) * 4096
            at = EXTENTS_OFFSET + index * ctypes.sizeof(Extent)
            extent = Extent(area=area, offset_bytes=offset, size_bytes=size)
            data[at : at + ctypes.sizeof(Extent)] = bytes(extent)
            data += content.ljust(size, b"\0")
            offset += size
        path = folder / (name + ".vgr")
        path.write_bytes(data)
        return path


def listed(machine, *arguments):
    """Return the lines of `vramguard list` as {pid: line}."""
    result = machine.vramguard("list", *arguments)
    assert result.code == 0, result.stderr
    lines = result.stdout.splitlines()[1:]
    return {int(line.split()[0]): line for line in lines if line.split()[0].isdigit()}


@pytest.fixture
def program(machine):
    """A C program with debug information that holds 48 MiB and then asks for too much, twice."""
    source = machine.folder / "program.c"
    source.write_text(PROGRAM)
    path = machine.folder / "program"
    command = ["cc", "-g", "-O1", "-fno-omit-frame-pointer", "-Wl,--build-id", source, "-o", path]
    subprocess.run(
        [*map(str, command), "-L%s" % machine.simgpu, "-l:libcudart.so.13"], check=True
    )
    return path


@pytest.fixture
def killed(machine, program):
    """The pid of a guarded run of the program that was killed by SIGKILL."""
    process = machine.start([program, "hold"], guarded=True)
    assert process.stdout.readline() == "ready\n"
    machine.kill(process)
    return process.pid


def test_the_layout_is_the_writers(machine, load_model):
    process = machine.start(load_model, guarded=True)
    machine.finish(process)
    (record,) = machine.records()
    data = record.read_bytes()
    header = Header.from_buffer_copy(data)
    assert (header.magic, header.version, header.pid) == (b"VRAMGRD\n", 4, process.pid)
    assert b"run_model.py" in header.command and header.boot_id == boot_id().encode()
    assert (header.end, header.exit_status) == (1, 0)
    device = Device.from_buffer_copy(data, DEVICES_OFFSET)
    assert device.total_bytes == 256 << 20 and device.peak_bytes > 16 << 20
    extent = Extent.from_buffer_copy(data, EXTENTS_OFFSET)
    assert extent.area in (1, 2) and extent.offset_bytes == HEADER_BYTES


def test_every_kind_of_end(machine):
    own = os.getpid()
    runs = {
        100: (dict(end=1, exit_status=0), "exit 0"),
        101: (dict(end=1, exit_status=7), "exit 7"),
        102: (dict(), "killed, 1.00 GiB live"),
        own: (dict(start_ticks=start_ticks(own)), "running"),
        103: (dict(boot_id=b"another-boot"), "killed, 1.00 GiB live"),
        104: (dict(boot_id=b"x", host=b"gpu9"), "unknown, ran on gpu9"),
        105: (dict(end=1, exit_status=0, failure_count=2), "exit 0, survived 2 failures"),
        106: (dict(end=1, exit_status=1, failure_count=1), "out of memory"),
        107: (dict(failure_count=1), "out of memory"),
    }
    for pid, (fields, _) in runs.items():
        Run(pid=pid, **fields).write(machine, "run-%d" % pid)
    # A process id that is used again is not the process of the record.
    Run(pid=own, command="older", age_s=900).write(machine, "older")
    lines = machine.vramguard("list").stdout.splitlines()[1:]
    for pid, (_, end) in runs.items():
        mine = [line for line in lines if line.split()[0] == str(pid) and "older" not in line]
        assert len(mine) == 1 and mine[0].endswith("GiB  " + end), mine
    assert [line for line in lines if "older" in line and "killed" in line]


def test_numbers_of_the_list(machine):
    run = Run(pid=100, command="/usr/bin/python3 /srv/eval.py --all", end=1)
    run.devices[1] = Device(total_bytes=24 * GIB, peak_bytes=9 * GIB)
    run.write(machine, "a")
    assert re.fullmatch(
        r"100 +(today|yesterday) \d\d:\d\d  python3 eval\.py --all +0,1 +9\.00 GiB  exit 0",
        listed(machine)[100],
    )


def test_numbers_of_a_fuller_first_gpu(machine):
    run = Run(pid=100, end=1)
    run.devices[1] = Device(total_bytes=24 * GIB, peak_bytes=GIB)
    run.write(machine, "a")
    assert " 2.00 GiB  exit 0" in listed(machine)[100]


def test_columns_of_the_list(machine):
    """They begin at the same place in each line."""
    Run(pid=7, command="x", end=1).write(machine, "a")
    Run(pid=1234567, command="some longer command", end=1).write(machine, "b")
    lines = machine.vramguard("list").stdout.splitlines()
    assert lines[0].split() == ["PID", "WHEN", "COMMAND", "GPU", "PEAK", "END"]
    assert len({line.index(word) for line, word in zip(lines, ("END", "exit 0", "exit 0"))}) == 1
    assert len({re.search(r"(?<=  )(GPU|0)(?=  )", line).start() for line in lines}) == 1


def day(days_ago):
    """(seconds since then, its date): noon of that day."""
    then = datetime.datetime.combine(
        datetime.date.today() - datetime.timedelta(days=days_ago), datetime.time(12)
    )
    return time.time() - then.timestamp(), then.strftime("%Y-%m-%d")


def test_days_of_the_list(machine):
    for pid, days_ago in ((100, 1), (101, 2), (102, 400)):
        Run(pid=pid, age_s=int(day(days_ago)[0]), end=1).write(machine, "run-%d" % pid)
    Run(pid=103, age_s=0, end=1).write(machine, "run-103")
    lines = listed(machine)
    assert "  yesterday 12:00  " in lines[100] and "  today " in lines[103]
    assert "  %s  " % day(2)[1] in lines[101] and "  %s  " % day(400)[1] in lines[102]


def test_one_of_each_in_the_list(machine):
    Run(pid=100, end=1, failure_count=1, rescue_count=1).write(machine, "a")
    assert listed(machine)[100].endswith("exit 0, rescued 1 time, survived 1 failure")
    Run(pid=101, end=1, failure_count=2, rescue_count=2).write(machine, "b")
    assert listed(machine)[101].endswith("exit 0, rescued 2 times, survived 2 failures")


def test_how_many_are_listed(machine):
    for n in range(25):
        Run(pid=1000 + n, age_s=1000 - n, end=1).write(machine, "run-%02d" % n)
    assert list(listed(machine)) == list(range(1024, 1004, -1))
    assert "(5 older: vramguard list --all)" in machine.vramguard("list").stdout
    assert list(listed(machine, "-n", "3")) == [1024, 1023, 1022]
    assert len(listed(machine, "--all")) == 25
    assert len(json.loads(machine.vramguard("list", "--json").stdout)) == 20
    for wrong in ("0", "-1", "-18446744073709551615", "+3", " 3", "3x", ""):
        result = machine.vramguard("list", "-n", wrong)
        assert result.code == 2 and result.stderr.count("\n") == 1


def test_a_list_of_a_hundred(machine):
    for n in range(100):
        Run(pid=1000 + n, age_s=1000 - n, end=1).write(machine, "run-%02d" % n)
    assert list(listed(machine, "--all")) == list(range(1099, 999, -1))


def test_json(machine):
    command = 'python "a\\b" \x01\x1b[31m \u00e4 \x9b'
    Run(pid=100, command=command, age_s=10, end=1, exit_status=3).write(machine, "a")
    Run(pid=101, age_s=20).write(machine, "b")
    first, second = json.loads(machine.vramguard("list", "--json").stdout)
    assert first["command"] == 'python "a\\b" ??[31m \u00e4 ??'
    assert (first["pid"], first["state"], first["exit_status"]) == (100, "exited", 3)
    assert (first["gpus"], first["peak_bytes"], first["live_bytes"]) == ([0], 2 * GIB, GIB)
    assert (second["state"], second["exit_status"]) == ("killed", None)
    assert second["file"].endswith("/vramguard/b.vgr")
    for path in machine.records():
        path.unlink()
    Run(pid=102).write(machine, "a\udcffb")  # no UTF-8
    (entry,) = json.loads(machine.vramguard("list", "--json").stdout)
    assert entry["file"].endswith("/vramguard/a?b.vgr")
    for path in machine.records():
        path.unlink()
    assert json.loads(machine.vramguard("list", "--json").stdout) == []


def test_nothing_in_a_file_controls_the_terminal(machine):
    Run(pid=100, command="a\x1b]0;x\x07b\nc\x9bd", host=b"h\x1b[2J").write(machine, "a")
    for arguments in (["list"], ["list", "--json"], ["report"]):
        text = machine.vramguard(*arguments).stdout
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), text


def test_unreadable_files_are_counted(machine):
    Run(pid=100).write(machine, "good")
    Run(pid=101, version=5).write(machine, "newer")
    folder = machine.state / "vramguard"
    (folder / "text.vgr").write_text("hello")
    (folder / "other.txt").write_text("hello")
    os.mkfifo(folder / "pipe.vgr")
    (folder / "link.vgr").symlink_to("/no/such/file")
    result = machine.vramguard("list")
    assert result.code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["PID", "100"]
    assert re.fullmatch(r"vramguard: 3 files in \S+ cannot be read; [^\n]+\n", result.stderr)
    report = machine.vramguard("report", str(folder / "newer.vgr"))
    assert report.code == 1 and "format version 5" in report.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root can read every file")
def test_a_file_without_permission_is_one_line(machine):
    path = Run(pid=100).write(machine, "a")
    path.chmod(0)
    result = machine.vramguard("report", str(path))
    assert result.code == 1 and result.stderr.count("\n") == 1
    assert "Permission denied" in result.stderr


def test_newest_of_several_runs_with_one_pid(machine):
    Run(pid=100, command="older", age_s=500).write(machine, "z")
    Run(pid=100, command="newer", age_s=400).write(machine, "a")
    assert "newer" in machine.vramguard("report", "100").stdout


@pytest.mark.parametrize(
    "seconds, said",
    [
        (1.25, "1.2 s"),
        (130, "2 min 10 s"),
        (2 * 3600 + 130, "2 h 2 min"),
        (3 * 86400 + 5 * 3600, "3 d 5 h"),
    ],
)
def test_how_long_a_run_took(machine, seconds, said):
    run = Run(pid=100, end=1)
    run.header.end_realtime_ns = run.header.start_realtime_ns + int(seconds * 1000) * 10**6
    run.write(machine, "a")
    assert "after %s, exit code 0" % said in machine.vramguard("report", "100").stdout


def test_damage_is_told(machine):
    run = Run(pid=100)
    run.record(99, b"of a later version")
    path = run.write(machine, "a")
    report = machine.vramguard("report", path)
    said = "vramguard: the recorder file is incomplete: 1 records of unknown types\n"
    assert (report.code, report.stderr) == (0, said)
    assert machine.vramguard("report", "--json", path).stderr == said


def test_report_without_failures(machine):
    run = Run(pid=100, command="python train.py", end=1, exit_status=0)
    run.header.end_realtime_ns = run.header.start_realtime_ns + 130 * 10**9
    run.write(machine, "a")
    text = machine.vramguard("report", "100").stdout
    assert "python train.py (pid 100)" in text
    assert "after 2 min 10 s, exit code 0" in text
    assert "No allocation failed." in text
    assert "0 live allocations, peak 2.00 GiB" in text


def test_live_allocations_of_a_hand_made_file(machine):
    run = Run(pid=100)
    run.module(0x10000, 0x20000, "/opt/app/engine")
    run.stack(1, [0x10123, 0x10456])
    run.stack(2, [0x10789])
    for n in range(3):
        run.allocation(0x1000 + n, 1 << 20, 1)
    run.allocation(0x2000, 512 << 20, 2)
    run.allocation(0x3000, 1 << 10, 77)
    run.write(machine, "a")
    text = machine.vramguard("report", "100").stdout
    assert "when it was killed: 5 live allocations" in text
    assert re.search(r"512 MiB +1x +engine\+0x789\n", text)
    assert re.search(r"3\.00 MiB +3x +engine\+0x456 > engine\+0x123\n", text)
    assert re.search(r"1\.00 KiB +1x +\(no stack was recorded\)\n", text)
    assert "1-2 KiB: 1" in text and "512 MiB-1 GiB: 1" in text


def test_pinned_host_memory_is_no_gpu(machine):
    run = Run(pid=100)
    run.devices[DEVICES - 1] = Device(peak_bytes=64 * GIB, live_bytes=64 * GIB)
    run.allocation(0x1000, 1 << 30, 0)
    run.allocation(0x2000, 3 << 30, 0, device=DEVICES - 1)
    run.write(machine, "a")
    assert re.search(r"train.py  0 +2\.00 GiB  killed, 1\.00 GiB live", listed(machine)[100])
    (entry,) = json.loads(machine.vramguard("list", "--json").stdout)
    assert (entry["gpus"], entry["live_bytes"]) == ([0], GIB)
    text = machine.vramguard("report", "100").stdout
    assert "  1.00 GiB on GPU 0 when it was killed: 1 live allocation," in text
    assert "  3.00 GiB pinned host memory when it was killed: 1 live allocation," in text


def test_a_pipe_in_place_of_a_library_does_not_hang(machine):
    pipe = machine.folder / "libpipe.so"
    os.mkfifo(pipe)
    run = Run(pid=100)
    run.module(0x10000, 0x20000, str(pipe))
    run.stack(1, [0x10123])
    run.allocation(0x1000, 1 << 20, 1)
    run.write(machine, "a")
    result = machine.run([BUILD / "vramguard", "report", "100"], timeout_s=20)
    assert result.code == 0 and "libpipe.so+0x123" in result.stdout


def test_post_mortem_names_functions_and_lines(machine, program, killed):
    text = machine.vramguard("report", str(killed)).stdout
    places = "main (program.c:24) > load_weights (program.c:18) > grab (program.c:9)"
    site = re.search(r"\n +48\.0 MiB +6x +(.*\n(?: {20,}.*\n)*)", text)
    assert places in re.sub(r"\s+", " ", site.group(1)), text
    where = re.search(r"\n  where +(.*?)\n(?:\n|  \w)", text, re.DOTALL).group(1)
    assert "main (program.c:26) > grab (program.c:9)" in re.sub(r"\s+", " ", where)
    assert re.search(r"#\d+ +program main \(program\.c:26\)\n", text)


def test_another_file_in_its_place_gives_no_names(machine, program, killed):
    shutil.copy("/bin/true", str(program) + ".new")
    os.rename(str(program) + ".new", program)
    text = machine.vramguard("report", str(killed)).stdout
    assert "program.c" not in text and "load_weights" not in text
    assert re.search(r"program\+0x[0-9a-f]+ > program\+0x[0-9a-f]+", text)
    program.unlink()
    assert "program.c" not in machine.vramguard("report", str(killed)).stdout


def test_a_file_of_another_build_gives_no_names(machine, program, killed):
    source = machine.folder / "program.c"
    source.write_text(PROGRAM.replace("load_weights", "load_nothing"))
    command = ["cc", "-g", "-O1", "-fno-omit-frame-pointer", "-Wl,--build-id", source, "-o", program]
    program.unlink()
    subprocess.run(
        [*map(str, command), "-L%s" % machine.simgpu, "-l:libcudart.so.13"], check=True
    )
    text = machine.vramguard("report", str(killed)).stdout
    assert "program.c" not in text and "load_nothing" not in text


def test_all_failures_and_one_of_them(machine, program, killed):
    both = machine.vramguard("report", str(killed)).stdout
    assert len(re.findall("^" + FIRST_LINE.pattern + "$", both, re.MULTILINE)) == 1
    assert "asked 4.00 GiB" in both.split("vramguard: ")[1]
    assert re.search(r"Earlier failures.*\n    \d\d:\d\d:\d\d  GPU 0 out of memory: program asked 3\.00", both)
    every = machine.vramguard("report", "--all", str(killed)).stdout
    assert re.findall(r"^vramguard: .*asked (\S+) GiB", every, re.MULTILINE) == ["3.00", "4.00"]
    first = machine.vramguard("report", "--failure", "1", str(killed)).stdout
    assert re.findall(r"^vramguard: .*asked (\S+) GiB", first, re.MULTILINE) == ["3.00"]
    assert "Earlier failures" not in machine.vramguard("report", "--failure", "2", str(killed)).stdout
    third = machine.vramguard("report", "--failure=3", str(killed))
    assert third.code == 1 and third.stderr.count("\n") == 1


@pytest.mark.parametrize("width", [60, 80, 120])
def test_width(machine, killed, width):
    lines = machine.vramguard("report", "--width", str(width), str(killed)).stdout.splitlines()
    # Headlines, stacks and paths stay in one piece.
    whole = re.compile(r"vramguard: |    \d\d:\d\d:\d\d  GPU|    #\d|  file ")
    for line in lines:
        assert len(line) <= width or whole.match(line), line


def on_a_terminal(machine, arguments, rows=0, columns=0, **extra):
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = machine.environment(False, extra)
    command = [str(BUILD / "vramguard"), *arguments]
    process = subprocess.Popen(command, stdout=follower, env=environment, cwd=machine.folder)
    os.close(follower)
    output = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:
            break
        if not chunk:
            break
        output += chunk
    os.close(leader)
    assert process.wait() == 0
    return output.decode()


def test_colour_only_on_a_terminal(machine, killed):
    assert "\x1b[" not in machine.vramguard("report").stdout
    assert "\x1b[1;31mvramguard: GPU 0" in on_a_terminal(machine, ["report"])
    assert "\x1b[" not in on_a_terminal(machine, ["report"], NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal(machine, ["report", "--no-color"])


def test_columns_of_a_terminal(machine):
    """80 of one that does not say how many it has."""
    Run(pid=100, command="python " + 40 * "word ", end=1).write(machine, "a")
    for columns, wanted in ((0, 80), (72, 72), (110, 110)):
        lines = on_a_terminal(machine, ["list"], rows=30, columns=columns).splitlines()
        assert len(lines[1]) == wanted and "..." in lines[1], lines
    assert "..." not in on_a_terminal(machine, ["list"], rows=30, columns=400)


def check_survives(machine, path):
    for arguments in (["report", str(path)], ["report", "--all", str(path)], ["list"]):
        result = machine.run([BUILD / "vramguard", *arguments], timeout_s=20)
        assert result.code in (0, 1), (result.code, result.stderr)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", result.stdout), result.stdout
        assert result.code == 0 or result.stderr.count("\n") == 1


def test_damage_anywhere_is_survived(machine, killed):
    (record,) = machine.records()
    whole = record.read_bytes()
    random.seed(23)
    # Where there is something: the header, the extent table, the journal, the live table.
    ends = [len(whole.rstrip(b"\0"))]
    spots = [(0, 1300), (DEVICES_OFFSET, 400), (EXTENTS_OFFSET, 100), (HEADER_BYTES, ends[0])]
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(random.randrange(1, 30)):
            start, length = random.choice(spots)
            at = min(start + random.randrange(length), len(data) - 1)
            data[at] = random.randrange(256)
        data[:8] = whole[:8]
        if random.randrange(3) == 0:
            del data[random.randrange(len(data)) :]
        record.write_bytes(data)
        check_survives(machine, record)


def test_run_keeps_what_is_preloaded(machine):
    other = machine.folder / "libother.so"
    source = machine.folder / "other.c"
    source.write_text("int other;\n")
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(other)], check=True)
    show = ["sh", "-c", 'echo "$LD_PRELOAD"; echo "$LD_LIBRARY_PATH"; echo "$SIMGPU_DEVICES"']
    result = machine.vramguard(
        "run", "--simulate=1GiB,2GiB", "--", *show, LD_PRELOAD=str(other), LD_LIBRARY_PATH="/x"
    )
    preload, path, devices = result.stdout.splitlines()
    simulated = ("libsimgpu_device_files.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")
    wanted = [BUILD / "libvramguard.so", *(BUILD / "simgpu" / name for name in simulated), other]
    assert preload == ":".join(map(str, wanted))
    assert path == "%s:/x" % (BUILD / "simgpu")
    assert devices == "1GiB,2GiB"


def test_run_sets_the_options(machine):
    result = machine.vramguard(
        "run", "--stacks", "off", "--keep=3", "--policy=trim", "--enabled=off", "--log=/x", "env"
    )
    lines = set(result.stdout.splitlines())
    assert lines >= {
        "VRAMGUARD_STACKS=off",
        "VRAMGUARD_KEEP=3",
        "VRAMGUARD_POLICY=trim",
        "VRAMGUARD=off",
        "VRAMGUARD_LOG=/x",
    }


def test_run_takes_options_of_two_words(machine):
    result = machine.vramguard("run", "--spill-cap", "1GiB", "--", "env")
    assert "VRAMGUARD_SPILL_CAP=1GiB" in result.stdout.splitlines()


def test_run_leaves_the_commands_own_options_alone(machine):
    result = machine.vramguard("run", "echo", "--stacks", "off", "--help", "-n")
    assert (result.code, result.stdout) == (0, "--stacks off --help -n\n")


def test_run_says_why_a_command_cannot_be_run(machine):
    plain = machine.folder / "plain"
    plain.write_text("no program")
    for command, code in (("/no/such/program", 127), ("nosuchprogram", 127), (str(plain), 126)):
        result = machine.vramguard("run", "--", command)
        assert (result.code, result.stderr.count("\n")) == (code, 1)
        assert command in result.stderr


def test_run_is_the_program(machine):
    process = machine.start([BUILD / "vramguard", "run", "--", "sh", "-c", "echo $$"])
    assert machine.finish(process).stdout == "%d\n" % process.pid


def test_run_finds_the_library_of_an_installation(machine, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib" / "vramguard").mkdir(parents=True)
    tool = tmp_path / "bin" / "vramguard"
    shutil.copy(BUILD / "vramguard", tool)
    library = tmp_path / "lib" / "vramguard" / "libvramguard.so"
    missing = machine.run([tool, "run", "--", "true"])
    assert missing.code == 125
    said = "cannot find libvramguard.so beside this program (%s)\n" % (tmp_path / "bin")
    assert missing.stderr == "vramguard run: " + said
    missing = machine.run([tool, "env"])
    assert (missing.code, missing.stdout, missing.stderr) == (1, "", "vramguard env: " + said)
    shutil.copy(BUILD / "libvramguard.so", library)
    result = machine.run([tool, "run", "--", "sh", "-c", 'echo "$LD_PRELOAD"'])
    assert os.path.samefile(result.stdout.strip(), library)
    no_gpu = machine.run([tool, "run", "--simulate=1GiB", "--", "true"])
    assert no_gpu.code == 125 and "libcuda.so.1" in no_gpu.stderr


@pytest.mark.parametrize(
    "word, suggestion", [("lst", "list"), ("rep", "report"), ("reprot", "report"), ("runn", "run")]
)
def test_unknown_commands_get_a_suggestion(machine, word, suggestion):
    result = machine.vramguard(word)
    assert result.code == 2 and result.stderr.count("\n") == 1
    assert 'did you mean "%s"?' % suggestion in result.stderr


def test_no_command_at_all(machine):
    result = machine.vramguard()
    assert result.code == 2 and result.stderr.count("\n") == 1


def test_version(machine):
    assert re.fullmatch(r"vramguard \d+\.\d+\.\d+\n", machine.vramguard("--version").stdout)


def test_options_are_those_of_the_table(machine):
    text = machine.vramguard("options", "--markdown").stdout
    names = re.findall(r"^\| `(VRAMGUARD\w*)` \|", text, re.MULTILINE)
    plain = machine.vramguard("options").stdout
    assert names == re.findall(r"^(VRAMGUARD\w*)$", plain, re.MULTILINE)
    table = (ROOT / "src" / "base" / "option_table.h").read_text()
    assert sorted(names) == sorted(re.findall(r"^VG_OPTION\(.*?\b(VRAMGUARD\w*)", table, re.MULTILINE))
    for line in text.splitlines():
        assert len(re.findall(r"(?<!\\)\|", line)) == 5
    for line in text.splitlines()[2:]:
        cells = re.split(r" (?<!\\)\| ", line.strip("| "))
        name, help_text, allowed, default = [cell.strip("`").replace("\\|", "|") for cell in cells]
        assert default != ""
        assert "%s\n    %s\n    allowed: %s; default: %s\n" % (name, help_text, allowed, default) in plain


def test_a_full_disk_under_the_output_is_said(machine):
    Run(pid=100).write(machine, "a")
    shell = ["sh", "-c", 'exec "$@" >/dev/full', "sh", BUILD / "vramguard", "list"]
    result = machine.run(shell)
    assert result.code == 1 and result.stderr.count("\n") == 1


def test_run_in_another_pid_namespace(machine):
    """It is neither called killed nor pruned while it lives; killed, it is called that."""
    if machine.run(["unshare", "-p", "-f", "--mount-proc", "true"]).code != 0:
        pytest.skip("no pid namespace to be had here")
    hold = [sys.executable, MODEL / "hold_memory.py", "8MiB"]
    inner = machine.start(
        ["unshare", "-p", "-f", "--kill-child", "--mount-proc", *hold], True, stdin=subprocess.PIPE
    )
    assert inner.stdout.readline().startswith("holding ")
    (file,) = [path for path in machine.records() if "python" in path.name]
    for _ in range(3):
        other = machine.start(hold, True, stdin=subprocess.PIPE, VRAMGUARD_KEEP="1")
        assert other.stdout.readline().startswith("holding ")
        assert machine.stop(other).code == 0
    assert file.exists()
    assert "running" in machine.vramguard("list", "--all").stdout
    machine.kill(inner)
    deadline = time.monotonic() + 30
    while "running" in machine.vramguard("list", "--all").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "killed" in machine.vramguard("list", "--all").stdout


ESCAPE = "\x1b[31m\x07"


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "/no" + ESCAPE + "where"],
        ["report", "/no\nvramguard: all is well"],
        ["list", "/no" + ESCAPE + "where"],
        ["run", "/no" + ESCAPE + "where"],
        [ESCAPE + "list"],
        ["lis" + ESCAPE[0]],
        ["run", "--no" + ESCAPE],
        ["run", "--no=" + ESCAPE + "\nvramguard: all is well"],
        ["run", "--t=" + ESCAPE],  # ambiguous
        ["run", "-" + ESCAPE],
        ["run", "--simulate=" + ESCAPE],
        ["run", "--gpu", ESCAPE],
        ["list", "-n", ESCAPE],
        ["options", ESCAPE],
    ],
)
def test_arguments_control_no_terminal(arguments):
    said = subprocess.run([BUILD / "vramguard", *arguments], capture_output=True)
    assert said.returncode != 0
    assert said.stdout == b""
    lines = said.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith(b"vramguard"), said.stderr
    assert not re.search(rb"[\x00-\x1f\x7f]", lines[0])


def test_the_doctor_controls_no_terminal(machine):
    """Its findings repeat variables and the command."""
    said = machine.vramguard("doctor", "--", "/no" + ESCAPE, VRAMGUARD_POLICY=ESCAPE,
                             VRAMGUARD_LOG="/tmp/%s\x9b" % ESCAPE)  # fmt: skip
    assert "/tmp/?[31m??" in said.stdout and "/no?[31m?" in said.stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", said.stdout + said.stderr)
