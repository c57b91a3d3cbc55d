"""Which system calls the sandbox leaves open, and the seccomp-bpf programs that close the rest.

A list of what is allowed, not of what is known to be bad: a call that the kernel gains next year is closed. Left open
is what Python needs to compute, to use files, threads and child processes of its own. Closed are, among others,
starting programs, sockets but for pairs, tracing, other processes' memory and limits, shared memory that outlives a
process, keys, mounts, namespaces, io_uring and bpf. A closed call fails with an error and kills nothing, so that
honest code that merely asks goes on.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import struct

# number on x86_64 / number on aarch64, "-" where the machine has no such call
_OPEN = """
read 0/63 write 1/64 readv 19/65 writev 20/66 pread64 17/67 pwrite64 18/68 preadv 295/69 pwritev 296/70
preadv2 327/286 pwritev2 328/287 creat 85/- close 3/57 close_range 436/436 stat 4/- fstat 5/80
lstat 6/- newfstatat 262/79 statx 332/291 statfs 137/43 fstatfs 138/44 lseek 8/62 flock 73/32 fsync 74/82
fdatasync 75/83 ftruncate 77/46 getdents 78/- getdents64 217/61 getcwd 79/17 chdir 80/49 fchdir 81/50 access 21/-
faccessat 269/48 faccessat2 439/439 readlink 89/- readlinkat 267/78 dup 32/23 dup2 33/- dup3 292/24 pipe 22/-
pipe2 293/59 sendfile 40/71 splice 275/76 copy_file_range 326/285 fallocate 285/47 fadvise64 221/223
umask 95/166
rename 82/- renameat 264/38 renameat2 316/276 mkdir 83/- mkdirat 258/34 rmdir 84/- link 86/- linkat 265/37 unlink 87/-
unlinkat 263/35 symlink 88/- symlinkat 266/36
mmap 9/222 mprotect 10/226 munmap 11/215 mremap 25/216 madvise 28/233 brk 12/214 msync 26/227 mincore 27/232
membarrier 324/283
rt_sigprocmask 14/135 rt_sigreturn 15/139 rt_sigpending 127/136 rt_sigtimedwait 128/137
rt_sigsuspend 130/133 sigaltstack 131/132 kill 62/129 tkill 200/130 tgkill 234/131 pause 34/- alarm 37/-
setitimer 38/103 getitimer 36/102 timer_create 222/107 timer_settime 223/110 timer_gettime 224/108
timer_getoverrun 225/109 timer_delete 226/111
nanosleep 35/101 clock_nanosleep 230/115 clock_gettime 228/113 clock_getres 229/114 gettimeofday 96/169 time 201/-
times 100/153 getrusage 98/165
select 23/- pselect6 270/72 poll 7/- ppoll 271/73 epoll_create 213/- epoll_create1 291/20 epoll_ctl 233/21
epoll_wait 232/- epoll_pwait 281/22 eventfd 284/- eventfd2 290/19 timerfd_create 283/85 timerfd_settime 286/86
timerfd_gettime 287/87 signalfd4 289/74 restart_syscall 219/128
getpid 39/172 getppid 110/173 gettid 186/178 getuid 102/174 geteuid 107/175 getgid 104/176 getegid 108/177
getgroups 115/158 getresuid 118/148 getresgid 120/150 getpgrp 111/- getpgid 121/155 getsid 124/156 setpgid 109/154
setsid 112/157 getrlimit 97/163 setrlimit 160/164 getpriority 140/141 sched_yield 24/124 sched_getaffinity 204/123
sched_getparam 143/121 sched_getscheduler 145/120 sched_get_priority_max 146/125 sched_get_priority_min 147/126
uname 63/160 sysinfo 99/179 getcpu 309/168 getrandom 318/278 set_tid_address 218/96 set_robust_list 273/99
rseq 334/293 arch_prctl 158/- futex 202/98 futex_waitv 449/449 futex_wake 454/454 futex_wait 455/455
futex_requeue 456/456 exit 60/93 exit_group 231/94 wait4 61/260 waitid 247/95 fork 57/- vfork 58/- pidfd_open 434/434
sendto 44/206 recvfrom 45/207 sendmsg 46/211 recvmsg 47/212 shutdown 48/210 getsockname 51/204
getpeername 52/205 getsockopt 55/209 setsockopt 54/208
"""
# Landlock does not know these: they stay open only where the files of others are out of sight.
_MARKS = " chmod 90/- fchmod 91/52 fchmodat 268/53 utime 132/- utimes 235/- utimensat 280/88 futimesat 261/-"
_BY_PATH = " open 2/- openat 257/56"
_MEMORY = " memfd_create 319/279"
_SPECIAL = """
ioctl 16/29 prctl 157/167 prlimit64 302/261 clone 56/220 clone3 435/435 fcntl 72/25 rt_sigaction 13/134
socketpair 53/199
"""
_PER_CASE = "kill 62/129 tgkill 234/131 prctl 157/167 clone 56/220"
_PER_CASE_CLOSED = f"tkill 200/130 pidfd_open 434/434 fork 57/- vfork 58/- {_MEMORY}"

_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # of terminals: what is it, how wide; else: how much, flags
_PRCTLS = (15, 16, 0x53564D41)  # names of threads and of memory
_SETUP_PRCTLS = (1, 22)  # die with the parent, a further filter: what a case does before its program starts
_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032, 1033, 1034)  # none that sends signals
_STREAM, _PACKETS = 1, 5  # connected for good: a pair for datagrams could send to any Unix socket that has a path
_CHILD_ENDED = 17  # to ignore it is to have one's children's CPU time forgotten
_NEW_NAMESPACES, _THREAD = 0x7E020080, 0x00010000

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_X32 = 0x40000000
_NEWER = 424  # numbers from here on are the same everywhere, and libraries try such calls and expect "no such call"
_PERMISSION, _DENIED, _NO_TERMINAL, _NO_CALL = 1, 13, 25, 38
_EMPTIED, _ACCESS, _WRITES, _BOTH = 0o1000, 3, 1, 2  # of open: O_TRUNC, O_ACCMODE, O_WRONLY, O_RDWR

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN, _KEEP_BITS = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_NUMBER_AT, _ARCH_AT, _ARGS_AT = 0, 4, 16


def known(machine: str) -> bool:
    return machine in _ARCH


def numbers(text: str, machine: str) -> dict[str, int]:
    """The calls of a table by name, those that the machine has."""
    words = text.split()
    found = {name: both.split("/")[_COLUMN[machine]] for name, both in zip(words[::2], words[1::2], strict=True)}
    return {name: int(number) for name, number in found.items() if number != "-"}


def server_filter(machine: str, closed_files: bool, closed_memory: bool = False) -> bytes:
    """The program for the fork server and all its cases.

    closed_files: foreign files can be reached by path. closed_memory: the server needs no anonymous files in memory.
    """
    special = numbers(_SPECIAL, machine)
    open_calls = _OPEN + ("" if closed_files else _MARKS + _BY_PATH) + ("" if closed_memory else _MEMORY)
    code = [*_head(machine), (_AT_LEAST, 0, 1, _X32), _refuse(_PERMISSION)]
    for number in numbers(open_calls, machine).values():
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    if closed_files:
        for name, number in numbers(_BY_PATH, machine).items():
            code += _block(number, _emptied_by_writers_only(1 if name == "open" else 2), 0x00050000 | _DENIED)
    code += _if_argument(special["ioctl"], 1, _IOCTLS, _NO_TERMINAL)
    code += _if_argument(special["fcntl"], 1, _FCNTLS, _PERMISSION)
    code += _if_argument(special["prctl"], 0, _PRCTLS + _SETUP_PRCTLS, _PERMISSION)
    code += _if_argument(special["prlimit64"], 0, (0,), _PERMISSION)  # of itself only
    code += _block(special["clone"], [_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), _refuse(_PERMISSION)], _ALLOW)
    code += _block(special["socketpair"], _local_pair(), 0x00050000 | _PERMISSION)
    code += _block(special["rt_sigaction"], _all_but_reading(_CHILD_ENDED), 0x00050000 | _PERMISSION)
    code += [(_EQUAL, 0, 1, special["clone3"]), _refuse(_NO_CALL)]  # its flags are out of reach: libraries use clone
    return _packed([*code, (_AT_LEAST, 0, 1, _NEWER), _refuse(_NO_CALL), _refuse(_PERMISSION)])


def case_filter(machine: str, pid: int) -> bytes:
    """The program for one case where other processes are in sight: it may signal itself and no other."""
    calls = numbers(_PER_CASE, machine)
    code = _head(machine)
    code += _if_argument(calls["kill"], 0, (pid,), _PERMISSION) + _if_argument(calls["tgkill"], 0, (pid,), _PERMISSION)
    code += _if_argument(calls["prctl"], 0, _PRCTLS, _PERMISSION)
    code += _block(calls["clone"], [_argument(0), (_ANY_BIT, 1, 0, _THREAD), _refuse(_PERMISSION)], _ALLOW)
    for number in numbers(_PER_CASE_CLOSED, machine).values():
        code += [(_EQUAL, 0, 1, number), _refuse(_PERMISSION)]
    return _packed([*code, (_RETURN, 0, 0, _ALLOW)])


Instruction = tuple[int, int, int, int]


def _head(machine: str) -> list[Instruction]:
    return [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, _ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]


def _refuse(error: int) -> Instruction:
    return (_RETURN, 0, 0, 0x00050000 | error)


def _argument(index: int) -> Instruction:
    """Load an argument's lower half; these calls read no more of it."""
    return (_LOAD, 0, 0, _ARGS_AT + 8 * index)


def _if_argument(number: int, index: int, allowed: tuple[int, ...], error: int) -> list[Instruction]:
    inside = [_argument(index)]
    for value in allowed:
        inside += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    return _block(number, inside, 0x00050000 | error)


def _emptied_by_writers_only(index: int) -> list[Instruction]:
    """A file that is opened may be emptied only if it is opened for writing, which Landlock refuses: its versions 1 and
    2 let a file be emptied that is opened for reading."""
    kinds = [(_KEEP_BITS, 0, 0, _ACCESS), (_EQUAL, 1, 0, _WRITES), (_EQUAL, 0, 1, _BOTH)]
    return [_argument(index), (_ANY_BIT, 0, len(kinds), _EMPTIED), *kinds, (_RETURN, 0, 0, _ALLOW)]


def _local_pair() -> list[Instruction]:
    """A pair of connected Unix sockets; beside the type there are flags."""
    kinds = [(_argument(1)), (_KEEP_BITS, 0, 0, 15), (_EQUAL, 1, 0, _STREAM), (_EQUAL, 0, 1, _PACKETS)]
    return [_argument(0), (_EQUAL, 0, len(kinds) + 1, 1), *kinds, (_RETURN, 0, 0, _ALLOW)]


def _all_but_reading(signal: int) -> list[Instruction]:
    """Let signals' handlers be set, but this one's only be asked for: with no pointer to a new one."""
    at = _ARGS_AT + 8
    return [
        _argument(0), (_EQUAL, 1, 0, signal), (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, at), (_EQUAL, 0, 3, 0), (_LOAD, 0, 0, at + 4), (_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ALLOW),
    ]  # fmt: skip


def _block(number: int, inside: list[Instruction], otherwise: int) -> list[Instruction]:
    return [(_EQUAL, 0, len(inside) + 1, number), *inside, (_RETURN, 0, 0, otherwise)]


def _packed(code: list[Instruction]) -> bytes:
    return b"".join([struct.pack("=HBBI", *instruction) for instruction in code])
