package python

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// attempt is something that code might do to leave the sandbox, to outlast
// its limits or to break others. Those on files are in isolation_test.go.
type attempt struct {
	code string
	may  []Ending // how it may end; none: in any way
	says string   // what its output, traceback or value contains
}

var (
	refusal  = []Ending{Raised}
	harmless = []Ending{Completed}
	halted   = []Ending{Interrupted}
	killed   = []Ending{Killed}
	stopped  = []Ending{Interrupted, Killed}
	bounded  = []Ending{Raised, Interrupted, Killed}
	crash    = []Ending{Crashed}
)

// find defines say, which writes to every file that is open: the driver's is
// among them. That one control returns.
const find = `import os, json, sys, time
def each(f):
  for fd in range(3, 4000):
    try: f(fd)
    except OSError: pass
def control():
  for fd in range(3, 4000):
    try: return os.write(fd, b'{}') and fd
    except OSError: pass
def say(x): each(lambda fd: os.write(fd, x))
def cell(): return int(sys._getframe(1).f_code.co_filename[6:-1])
`

// breakouts are grouped by what they attack.
var breakouts = map[string][]attempt{
	"the control file": {
		{`say(b'no frame'); 1`, harmless, "1"},
		{`say(b'{"done":{"cell":999,"value":"forged"}}\n'); 1`, harmless, "1"},
		{`say(b'{"ready":true}\n{"ready":true}\n'); say(b'{"ready":true}\n'); 1`, harmless, "1"},
		{`say(b'{"picture":true}\n'); 1`, harmless, "1"},
		{`say(b'{"stdout":"Zm9yZ2Vk"}\n'); 1`, harmless, "1"},
		{`say(b'{"done":{"cell":1e400}}\n'); say(b'[1]'); say(b'null'); 1`, harmless, "1"},
		{`say(json.dumps({'done': {'cell': cell(), 'value': 'forged'}}).encode()); 1`, harmless, "1"},
		{`say(json.dumps({'done': {'cell': cell()}}).encode())` + "\nwhile True: pass", halted, "KeyboardInterrupt"},
		{`say(b'{"done":{"cell":1,"value":"' + b'x' * 10**7 + b'"}}'); 1`, harmless, "1"},
		{`while True: say(b'{"stdout":"' + b'x' * 10**6 + b'"}')`, stopped, ""},
		{`each(lambda fd: print(os.read(fd, 100))); 1`, harmless, "1"},
		{`say(json.dumps({'done': {'cell': cell()}}).encode()); each(lambda fd: os.read(fd, 100))` + "\nwhile True: pass", nil, ""},
		{`each(os.close)`, crash, ""},
		{`print('{"done":{"cell":1}}\n' * 3); print('{"opened":true}', file=sys.stderr); 1`, harmless, `{"done"`},
		{`each(lambda fd: os.ftruncate(fd, 0)); each(lambda fd: os.lseek(fd, 0, 0)); 1`, harmless, "1"},
	},
	"file descriptors": {
		{`os.dup(1)`, refusal, "OSError"},
		{`os.fdopen(0).read()`, harmless, "''"},
		{`os.fdopen(1, 'r').read()`, refusal, "OSError"},
		{`os.listdir(3)`, refusal, "TypeError"},
		{`open('/dev/fd/1', 'w')`, refusal, "FileNotFoundError"},
		{`open('/proc/self/fd/0')`, refusal, "FileNotFoundError"},
		{`[os.open('..', os.O_RDONLY, dir_fd=fd) for fd in range(3, 6)]`, refusal, "PermissionError"},
		{"keep = []\nwhile True: keep.append(open(str(len(keep)), 'w'))", refusal, "OSError"},
		{"keep = None; os.close(1); os.close(2)", nil, ""},
		{"os.closerange(3, 6)", nil, ""},
	},
	"time": {
		{"while True:\n  try:\n    while True: pass\n  except BaseException: pass", stopped, ""},
		{"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", killed, ""},
		{"import signal; signal.signal(signal.SIGINT, lambda *_: time.sleep(100))\nwhile True: pass", stopped, ""},
		{"try:\n  while True: pass\nfinally:\n  while True: pass", halted, "KeyboardInterrupt"},
		{"time.sleep(1e9)", halted, "KeyboardInterrupt"},
		{"import select; select.select([], [], [], 1e6)", bounded, ""},
		{"max(iter(int, 1))", killed, ""},
		{"9**9**9", halted, "KeyboardInterrupt"},
		{"sys.set_int_max_str_digits(0); str(1 << 10**8)", stopped, ""},
		{"import re; re.match('(a+)+$', 'a' * 40 + 'b')", halted, "KeyboardInterrupt"},
		{"import sqlite3; sqlite3.connect(':memory:').execute('with recursive n(i) as (select 1 union all select i from n) select count(*) from n').fetchall()", killed, ""},
		{"class R:\n  def __repr__(self):\n    while True: pass\nR()", halted, "KeyboardInterrupt"},
		{"class E(Exception):\n  def __str__(self):\n    while True: pass\nraise E", killed, ""},
		{"class F:\n  def flush(self):\n    while True: pass\nsys.stdout = F()", killed, ""},
		{"class D:\n  def __del__(self): D()\nD()", nil, ""},
		{"class D:\n  def __del__(self):\n    while True: pass\ntry: d = D(); del d\nfinally: pass", nil, ""},
		{"import asyncio\nasync def spin():\n  while True: await asyncio.sleep(0)\nawait spin()", halted, "KeyboardInterrupt"},
		{"import atexit\ndef spin():\n  while True: pass\natexit.register(spin); each(os.close)", stopped, ""},
	},
	"memory": {
		{"x = 'x'\nwhile True: x += x", refusal, "MemoryError"},
		{"x = []\nwhile True: x = [x, x, bytearray(10**6)]", refusal, "MemoryError"},
		{"x = None; '{:>1000000000}'.format(1)", refusal, "MemoryError"},
		{"import itertools; list(itertools.count())", bounded, ""},
		{"import zlib; z = zlib.compress(bytes(10**7)); zlib.decompress(zlib.decompress(zlib.compress(z)) * 1, bufsize=2**31 - 1)", bounded, ""},
		{"import bz2; b = b''.join([bz2.compress(bytes(10**6))] * 400); len(bz2.decompress(b))", bounded, ""},
		{"import xml.etree.ElementTree as et\nents = ''.join(f'<!ENTITY e{i + 1} \"' + f'&e{i};' * 20 + '\">' for i in range(9))\net.fromstring('<!DOCTYPE x [<!ENTITY e0 \"' + 'x' * 100 + '\">' + ents + ']><x>&e9;</x>')", bounded, ""},
		{"import pickle; pickle.loads(b'\\x8e' + b'\\xff' * 7 + b'\\x7f')", bounded, "Error"},
		{"bytearray(2**31)", refusal, "Error"},
		{"import sqlite3; sqlite3.connect(':memory:').execute('select zeroblob(900000000)').fetchall()", refusal, "MemoryError"},
	},
	"the stack": {
		{"sys.setrecursionlimit(2**31 - 1)\ndef f(): f()\nf()", nil, ""},
		{"class A:\n  def __getattr__(self, n): return getattr(self, n + 'x')\nsys.setrecursionlimit(10**9); A().x", nil, ""},
		{"json.loads('[' * 10**6)", nil, ""},
		{"eval('(' * 10**6)", refusal, ""},
		{"eval('-' * 10**6 + '1')", nil, ""},
		{"x = []\nfor i in range(10**6): x = [x]\nrepr(x)", nil, ""},
		{"x = None; import re; re.compile('(' * 10**5 + ')' * 10**5)", nil, ""},
	},
	"output": {
		{"while True: print('x' * 1000)", halted, "xxx"},
		{"while True: os.write(2, b'x' * 10**6)", halted, "xxx"},
		{"class R:\n  def __repr__(self): return 'x' * 10**8\nR()", nil, ""},
		{"raise Exception('x' * 10**7)", refusal, "xxx"},
		{"exec('def ' + 'f' * 10**6 + '(): 1/0'); globals()['f' * 10**6]()", refusal, "ZeroDivisionError"},
	},
	"the driver": {
		{"import builtins\nfor n in dir(builtins):\n  if n != '__build_class__': setattr(builtins, n, None)", nil, ""},
		{"sys.modules.clear()", nil, ""},
		{"import __main__; __main__.__dict__.clear()", nil, ""},
		{"os.write = json.dumps = None", nil, ""},
		{"import traceback; traceback.TracebackException = None; 1/0", refusal, "ZeroDivisionError"},
		{"import linecache; linecache.cache = None", nil, ""},
		{"sys._getframe().f_back.f_globals['report'] = lambda m: None", nil, ""},
		{"sys._getframe().f_back.f_globals.clear()", nil, ""},
		{"sys.settrace(lambda *a: 1/0)", nil, ""},
		{"sys.setprofile(lambda *a: 1/0)", nil, ""},
		{"sys.addaudithook(lambda *a: 1/0)", nil, ""},
		{"import gc; gc.callbacks.append(lambda *a: time.sleep(100)); gc.collect()", nil, ""},
		{"sys.meta_path.clear(); sys.path_hooks.clear(); sys.path.clear()", harmless, ""},
		{"sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None", harmless, ""},
		{"class E(BaseException):\n  def __str__(self): raise self\n  __repr__ = __str__\nraise E", refusal, "E"},
		{"class M(type):\n  def __getattribute__(c, n): raise SystemExit\nclass E(Exception, metaclass=M): pass\nraise E", nil, ""},
		{"import gc\nfor o in gc.get_objects():\n  if type(o) is dict: o.clear()", nil, ""},
		{"raise SystemExit(1)", refusal, "SystemExit: 1"},
		{"raise GeneratorExit", refusal, "GeneratorExit"},
		{"os.kill(os.getpid(), 9)", refusal, "AttributeError"},
		{"import signal; signal.raise_signal(signal.SIGABRT)", nil, ""},
		{"os._exit(0)", crash, ""},
		{"os.abort()", crash, ""},
	},
	// The interpreter has faults that give code the run of its own memory.
	// WebAssembly keeps it to that: nothing of the worker's is in it.
	"the interpreter's memory": {
		{"import random\nfor i in range(10**5): exec((lambda: 0).__code__.replace(co_code=random.randbytes(2 * random.randrange(1, 50))))", nil, ""},
		{"import opcode\nexec((lambda: 0).__code__.replace(co_code=bytes([opcode.opmap['LOAD_FAST'], 255, opcode.opmap['CALL'], 9])))", nil, ""},
		{useAfterFree + "view[:] = b'\\xff' * len(view)", nil, ""},
		{useAfterFree + "print([hex(i) for i in view.cast('I') if i > 2**28][:9])", nil, ""},
		{useAfterFree + "for i in range(len(view)): view[i] = 0x41; keep.append([i] * 1000)", nil, ""},
		{"import _testcapi; _testcapi.set_nomemory(0)", nil, ""},
		{"import _testcapi; _testcapi.fatal_error(b'x' * 10**6)", nil, ""},
		{"import _testcapi; _testcapi.crash_no_current_thread()", nil, ""},
		{"import _thread\nwhile True:\n  try: _thread.interrupt_main()\n  except BaseException: pass", stopped, ""},
		{"import ctypes", refusal, "ModuleNotFoundError"},
		{"import mmap", refusal, "ModuleNotFoundError"},
	},
}

// useAfterFree makes view a window on memory that has been freed: the reader's
// buffer. It is a fault of CPython's, and writing there crashes it.
const useAfterFree = `import io
class Raw(io.RawIOBase):
  def readinto(self, buffer):
    global view
    view = buffer
    return 1
  def readable(self): return True
reader = io.BufferedReader(Raw()); reader.read(1); del reader
keep = [[0] * 500 for i in range(100)]
`

func TestBreakouts(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(breakouts)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			inside := filepath.Join(dir, "inside")
			must(t, os.Mkdir(inside, 0o700), os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600))
			e := openEngine(t, Config{MemoryLimit: 64 << 20, MaxBytes: 1 << 20, MaxFiles: 1000})
			s, bystander := startIn(t, e, inside), startSession(t)
			run(t, bystander, "n = 42")
			for _, a := range breakouts[name] {
				a.try(t, s)
				s = recovered(t, e, s)
				if got := value(t, bystander, "n"); got != "42" {
					t.Errorf("after %q another session's variable is %s", a.code, got)
				}
			}
			if got := tree(t, dir); !slices.Equal(got, []string{"secret: secret"}) {
				t.Errorf("outside there is %q, want it untouched", got)
			}
		})
	}
}

func (a attempt) try(t *testing.T, s *Session) {
	t.Helper()
	run(t, s, find)
	limit := 200 * time.Millisecond
	if a.may != nil && !slices.Contains(a.may, Interrupted) && !slices.Contains(a.may, Killed) {
		limit = 10 * time.Second // it ends by itself
	}
	o := runFor(t, s, a.code, limit)
	t.Logf("%s after %v, stderr ends in %q", o.Ending, o.Duration.Round(time.Millisecond), o.Stderr[max(0, len(o.Stderr)-60):])
	if a.may != nil && !slices.Contains(a.may, o.Ending) {
		t.Errorf("%q ended as %s with %q, want %v", a.code, o.Ending, o.Stderr, a.may)
	}
	said := o.Stdout + o.Stderr
	if o.Value != nil {
		said += *o.Value
	}
	if !strings.Contains(said, a.says) || strings.Contains(said, "forged") {
		t.Errorf("%q says %q, want %q in it", a.code, said, a.says)
	}
	if over := o.Duration - limit; over > 10*time.Second {
		t.Errorf("%q took %v longer than its limit", a.code, over)
	}
}

// recovered returns the session, or if its code has spoilt it, one that
// takes its place: there must be an answer.
func recovered(t *testing.T, e *Engine, s *Session) *Session {
	t.Helper()
	for range 2 { // the first may meet what the code has left behind
		if o := runFor(t, s, "1+1", 2*time.Second); o.Value != nil && *o.Value == "2" {
			return s
		}
	}
	t.Log("the session is spoilt")
	must(t, s.Close())
	s = startIn(t, e, s.dir)
	if got := value(t, s, "1+1"); got != "2" {
		t.Errorf("in a new session 1+1 is %s", got)
	}
	return s
}

// tree lists what is in dir but not in its directory "inside".
func tree(t *testing.T, dir string) (found []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || path == dir:
			return err
		case entry.IsDir() && entry.Name() == "inside":
			return fs.SkipDir
		}
		name, _ := filepath.Rel(dir, path)
		content, err := os.ReadFile(path)
		found = append(found, name+": "+string(content))
		return err
	}))
	return found
}
