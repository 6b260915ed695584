"""Processes that are started off the terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from tests.paths import ROOT

SAY = "import os; print(os.readlink('/proc/self/fd/0'), os.readlink('/proc/self/fd/2'), flush=True)"
TOUCH = """
import os, termios
os.setpgid(0, 0)
terminal = os.open("/dev/tty", os.O_RDWR)
termios.tcsetattr(terminal, termios.TCSANOW, termios.tcgetattr(terminal))
"""
"""What stops a process in the background: it sets the modes of the terminal, which it opens by name."""
PROGRAM = f"""
import os, signal, subprocess, sys, threading
from infra.terminal import FOR_BACKGROUND, off_the_terminal
SAY, TOUCH = {SAY!r}, {TOUCH!r}
CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"

def say():
    subprocess.run([sys.executable, "-c", SAY], check=True)

def grandchild():
    subprocess.run([sys.executable, "-c", CHILD, SAY], check=True)

def state():
    return [os.fstat(0), os.fstat(2), len(os.listdir("/proc/self/fd")), *map(signal.getsignal, FOR_BACKGROUND)]
"""


def shown(program: str) -> list[str]:
    """What a program prints whose input and errors are pipes."""
    command = [sys.executable, "-c", PROGRAM + program]
    run = subprocess.run(command, cwd=ROOT, input="", capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


def test_children_and_theirs_have_no_input_and_no_errors() -> None:
    program = """
with off_the_terminal():
    say()
    grandchild()
"""
    assert shown(program) == ["/dev/null /dev/null"] * 2


def test_afterwards_all_is_as_before() -> None:
    program = """
before = state()
with off_the_terminal():
    pass
try:
    with off_the_terminal():
        raise RuntimeError
except RuntimeError:
    print(state() == before, flush=True)
say()
"""
    same, children = shown(program)
    assert same == "True"
    assert [name.partition(":")[0] for name in children.split()] == ["pipe", "pipe"]


def test_a_closed_input_stays_closed() -> None:
    program = """
os.close(0)
with off_the_terminal():
    say()
try:
    os.fstat(0)
except OSError:
    print("closed")
"""
    assert shown(program) == ["/dev/null /dev/null", "closed"]


def test_another_thread_may_start_processes_too() -> None:
    program = """
def start():
    with off_the_terminal():
        say()
threading.Thread(target=start).start()
"""
    assert shown(program) == ["/dev/null /dev/null"]


def test_a_process_in_the_background_that_opens_the_terminal_by_name_is_not_stopped() -> None:
    program = """
with off_the_terminal():
    child = subprocess.Popen([sys.executable, "-c", TOUCH])
try:
    status = child.wait(timeout=20)
except subprocess.TimeoutExpired:
    child.kill()
    status = 99
sys.exit(status)
"""
    process, screen = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM + program])
    text = b""
    while True:
        try:
            text += os.read(screen, 1024)
        except OSError:
            break  # the program has ended
    os.close(screen)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, text.decode()
