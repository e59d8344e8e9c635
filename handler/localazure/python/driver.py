"""The part of the sandbox that is written in Python: it runs cells.

The host starts the interpreter with this text as its script. It reads one
cell (a JSON object on one line) from the control file, runs it in a namespace
that lives as long as the interpreter, and writes one JSON object back. What
the code prints goes to the ordinary stdout and stderr, which the host reads
apart. Standard input is at its end.

Cells share this interpreter, so they can break it. They only break their own
session: the host trusts nothing that it reads from here.
"""

import _thread
import ast
import builtins
import collections
import functools
import importlib.machinery
import linecache
import operator
import os
import signal
import sys
import traceback
import types
from json import dumps, loads

# The functions below keep these, even if a cell changes those in the module.
__builtins__ = dict(vars(builtins))

DATA = "/mnt/data"
LONGEST = 64 * 1024  # characters of a value's repr, and of a traceback
DEEPEST = 40  # frames of a traceback; formatting all of a runaway recursion takes minutes
CO_COROUTINE = 0x80  # as in inspect, whose import is slow

control = os.open("/ctl/ctl", os.O_RDWR)
cells = os.fdopen(control, "rb", closefd=False)


def report(message):
    """Write one message to the host, in one write."""
    os.write(control, dumps(message).encode() + b"\n")


def ignore(*_):
    pass


class Handler:
    """What an interrupt calls: something else while a cell's code runs.

    An interrupt can come ahead of any call, so no call may be needed to
    switch: an assignment to the class's __call__ is none.
    """

    __call__ = ignore


handler = Handler()
interrupt = signal.default_int_handler  # raises KeyboardInterrupt, without a frame of its own
signal.default_int_handler = handler  # asyncio takes over from this one only


def calibrate(depth):
    """Show the host which words of memory an interrupt sets.

    The host compares two pictures of the memory, from just before and just
    after. One C loop makes all three calls, so that no Python code runs in
    between, which would take notice of the interrupt. Other words change too,
    on the C stack; they differ with the depth of the calls, so the host asks
    for several depths and keeps what all have in common.
    """
    if depth > 0:
        collections.deque(map(calibrate, [depth - 1]), maxlen=0)
        return
    picture = functools.partial(os.write, control, b'{"picture":true}\n')
    collections.deque(map(operator.call, [picture, _thread.interrupt_main, picture]), maxlen=0)


def settle():
    """Use up an interrupt that came too late for the cell it was meant for."""
    _thread.interrupt_main()
    (lambda: None)()  # a call is where the interpreter takes notice


class AsyncioFinder:
    """Makes asyncio work, when a cell first imports it.

    A stock event loop wakes itself over a pair of sockets and waits in
    select; the sandbox has neither. Nothing can wake a loop from outside
    here, so one that sleeps until its next timer is complete.
    """

    def find_spec(self, name, path=None, target=None):
        if name != "asyncio":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name)
        self.loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        try:
            self.adapt(module)
        except BaseException:  # interrupted: leave no half of it, so that the next import finds none
            for name in [name for name in sys.modules if name.startswith("asyncio.")]:
                del sys.modules[name]
            sys.meta_path.insert(0, self)
            raise

    def adapt(self, module):
        self.loader.exec_module(module)
        import selectors
        import time

        class Selector(selectors._BaseSelectorImpl):
            def select(self, timeout=None):
                time.sleep(3600 if timeout is None else max(timeout, 0))
                return []

        class Loop(module.SelectorEventLoop):
            def __init__(self):
                super().__init__(Selector())

            def _make_self_pipe(self):
                pass

            def _close_self_pipe(self):
                pass

            def _write_to_self(self):
                pass

        class Policy(module.DefaultEventLoopPolicy):
            _loop_factory = Loop

        module.set_event_loop_policy(Policy())


@functools.cache
def runner():
    """The event loop for await at top level; one, so that tasks outlive their cell."""
    import asyncio

    return asyncio.Runner()


def execute(code, namespace):
    result = eval(code, namespace)
    return runner().run(result) if code.co_flags & CO_COROUTINE else result


def evaluate(source, name, namespace):
    """Run source; return the repr of its last expression, or None without one."""
    translate = functools.partial(compile, filename=name, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    tree = compile(source, name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    execute(translate(tree, mode="exec"), namespace)
    if last is None:
        return None
    value = execute(translate(ast.Expression(last.value), mode="eval"), namespace)
    if value is not None:
        namespace["_"] = value
    return repr(value)[:LONGEST]


def describe(error):
    """Return the traceback as text, from the cell's own first frame on."""
    trace = error.__traceback__
    while trace and not trace.tb_frame.f_code.co_filename.startswith("<cell "):
        trace = trace.tb_next
    try:
        lines = traceback.TracebackException(type(error), error, trace, limit=-DEEPEST).format()
        return "".join(lines)[-LONGEST:]
    except BaseException:  # no memory left, or a hostile exception class
        return type(error).__name__ + "\n"


def run(number, source, namespace):
    """Run one cell and return what to tell the host."""
    name = f"<cell {number}>"
    linecache.cache[name] = (len(source), None, [line + "\n" for line in source.splitlines()], name)
    signal.signal(signal.SIGINT, handler)
    settle()
    done = {"cell": number}
    try:
        Handler.__call__ = interrupt
        done["value"] = evaluate(source, name, namespace)
        Handler.__call__ = ignore
    except BaseException as error:  # SystemExit too: it is reported, not obeyed
        Handler.__call__ = ignore
        done["traceback"] = describe(error)
    return done


def open_streams():
    """Give the code its stdout and stderr, unless they are there and open.

    A line is passed on at once, so that it is not lost if the code is killed.
    """
    for name, fd, errors in (("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")):
        stream = getattr(sys, f"__{name}__")
        if stream.closed or not stream.line_buffering:
            stream = open(fd, "w", buffering=1, encoding="utf-8", errors=errors, closefd=False)
            setattr(sys, f"__{name}__", stream)
        setattr(sys, name, stream)


def flush_streams():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except Exception:
            pass  # the code closed or replaced it


def main():
    signal.signal(signal.SIGINT, handler)
    for depth in range(3):
        calibrate(depth)
    sys.meta_path.insert(0, AsyncioFinder())
    sys.path.append(DATA)
    builtins.exit = builtins.quit = sys.exit
    sys.modules["__main__"] = module = types.ModuleType("__main__", doc=None)
    module.__builtins__ = builtins
    report({"ready": True})
    first = True
    for line in cells:
        cell = loads(line)
        if first:
            os.chdir(DATA)
            first = False
        open_streams()
        done = run(cell["number"], cell["code"], module.__dict__)
        flush_streams()
        report({"done": done})


script = sys.modules["__main__"]  # keep it: the user's module takes its place
main()
