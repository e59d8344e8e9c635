package python

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// refused runs code that must fail, and not crash the interpreter.
func refused(t *testing.T, s *Session, code string) {
	t.Helper()
	if o := run(t, s, code); o.Ending != Raised {
		t.Errorf("%q ended as %s with value %v, want it refused", code, o.Ending, o.Value)
	}
}

// TestFilesOutsideAreOutOfReach tries to read and write beside the session's
// directory: dir/outside is there, the code sees dir/inside.
func TestFilesOutsideAreOutOfReach(t *testing.T) {
	dir := t.TempDir()
	inside, outside := filepath.Join(dir, "inside"), filepath.Join(dir, "outside")
	must(t, os.Mkdir(inside, 0o700), os.Mkdir(outside, 0o700),
		os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600),
		os.WriteFile(filepath.Join(inside, "own"), []byte("own"), 0o600),
		os.Symlink(filepath.Join(outside, "secret"), filepath.Join(inside, "absolute")),
		os.Symlink("../outside/secret", filepath.Join(inside, "relative")),
		os.Symlink(outside, filepath.Join(inside, "outdir")),
		os.Symlink("..", filepath.Join(inside, "up")),
		os.Symlink("own", filepath.Join(inside, "fine")))
	s := startIn(t, openEngine(t, Config{}), inside)
	run(t, s, "import os, shutil")
	for _, code := range []string{
		"open('/etc/passwd')",
		"open('" + outside + "/secret')",
		"open('../outside/secret')",
		"open('/mnt/data/../../outside/secret')",
		"open('/mnt/data/x/../../outside/secret')",
		"open('./../outside/secret', 'w')",
		"open('absolute').read()",
		"open('absolute', 'w')",
		"open('relative').read()",
		"open('relative', 'a')",
		"open('outdir/secret').read()",
		"open('outdir/new', 'w')",
		"os.listdir('outdir')",
		"os.listdir('up')",
		"os.listdir('..')",
		"os.listdir('/')",
		"os.listdir('/proc/self')",
		"os.stat('absolute')",
		"os.readlink('absolute')",
		"os.chdir('up')\nopen('outside/secret')",
		"os.symlink('/etc/passwd', 'link')",
		"os.symlink('../outside/secret', 'link'); open('link')",
		"os.symlink('own', 'link')",
		"os.link('own', 'hard')",
		"os.link('../outside/secret', 'hard')",
		"os.rename('own', '../outside/own')",
		"os.rename('own', 'outdir/own')",
		"os.rename('../outside/secret', 'taken')",
		"os.replace('own', '/own')",
		"os.mkdir('outdir/new')",
		"os.mkdir('../new')",
		"os.unlink('outdir/secret')",
		"os.rmdir('../outside')",
		"os.truncate('relative', 0)",
		"os.utime('relative')",
		"os.open('../outside/secret', os.O_RDONLY, dir_fd=os.open('.', os.O_RDONLY))",
		"os.open('secret', os.O_RDONLY, dir_fd=os.open('outdir', os.O_RDONLY))",
		"[os.open('../outside/secret', os.O_RDONLY, dir_fd=fd) for fd in range(3, 9)]",
		"[os.open('../../etc/passwd', os.O_RDONLY, dir_fd=fd) for fd in range(3, 9)]",
		"os.open('/ctl/ctl', os.O_RDWR)",
		"open('/dev/null')",
		"os.mkfifo('fifo')",
		"open('own\\0/../../outside/secret')",
		"open('x' * 300)",
		"open('/mnt/data/' + 'x/' * 5000 + 'y', 'w')",
		"os.makedirs('/'.join('x' * 5000))",
		"open('own.')",
		"open('own ')",
		"open('\uff0e\uff0e/outside/secret')",
		"open('..\u2215outside\u2215secret')",
		"open('..\\outside\\secret')",
		"open('%2e%2e/outside/secret')",
		"open(b'\\xff/../../outside/secret')",
		"import urllib.request; urllib.request.urlopen('file:///etc/passwd')",
		"import sqlite3; sqlite3.connect('../outside/db')",
		"import sqlite3; sqlite3.connect(':memory:').execute(\"attach '../outside/db' as d\")",
		"import sqlite3; c = sqlite3.connect(':memory:'); c.execute('create table t(x)'); c.execute(\"vacuum into '../outside/db'\")",
		"import tempfile; tempfile.NamedTemporaryFile(dir='../outside')",
		"import shutil; shutil.copytree('.', '../outside/copy')",
		"import logging; logging.FileHandler('../outside/log')",
		"import tarfile, io\nwith tarfile.open('t', 'w') as t: t.addfile(tarfile.TarInfo('../outside/x'), io.BytesIO())\ntarfile.open('t').extractall()",
		"import tarfile\nwith tarfile.open('t', 'w') as t:\n  i = tarfile.TarInfo('l'); i.type = tarfile.SYMTYPE; i.linkname = '../outside'; t.addfile(i)\ntarfile.open('t').extractall(filter='fully_trusted'); open('l/secret')",
		"import zipfile\nwith zipfile.ZipFile('z', 'w') as z: z.writestr('../outside/x', 'x')\nzipfile.ZipFile('z').extractall(); open('../outside/x')",
	} {
		refused(t, s, code)
		run(t, s, "os.chdir('/mnt/data')")
	}
	run(t, s, "os.chmod('own', 0o4777); os.chmod('relative', 0o777)") // does nothing, and says nothing
	for _, path := range []string{filepath.Join(inside, "own"), filepath.Join(outside, "secret")} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, want it as it was", path, info.Mode())
		}
	}
	run(t, s, "shutil.rmtree('outdir', ignore_errors=True); shutil.rmtree('..', ignore_errors=True)")
	if secret, err := os.ReadFile(filepath.Join(outside, "secret")); string(secret) != "secret" {
		t.Errorf("the file outside holds %q (%v), want it untouched", secret, err)
	}
	if entries, err := os.ReadDir(outside); len(entries) != 1 {
		t.Errorf("%d files outside (%v), want 1", len(entries), err)
	}
	if got := value(t, s, "open('fine').read()"); got != "'own'" {
		t.Errorf("a link within the directory gives %s, want 'own'", got)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNothingOfTheHostIsInReach(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	t.Setenv("KEYLESS_TEST_SECRET", "secret")
	s := startSession(t)
	if got := value(t, s, "import os; dict(os.environ)"); got != "{}" {
		t.Errorf("the environment is %s, want empty", got)
	}
	for _, code := range []string{
		"import socket; socket.create_connection(('127.0.0.1', " + port(listener) + "))",
		"import socket; socket.socket().bind(('127.0.0.1', 0))",
		"import urllib.request; urllib.request.urlopen('http://127.0.0.1:" + port(listener) + "')",
		"import subprocess; subprocess.run(['ls'])",
		"os.system('ls')",
		"os.fork()",
		"os.execv('/bin/sh', ['sh'])",
		"os.kill(1, 9)",
		"import ctypes",
		"import threading; threading.Thread(target=print).start()",
		"from js import eval",
	} {
		refused(t, s, code)
	}
}

func port(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestClocksAndRandomNumbersAreReal(t *testing.T) {
	e := openEngine(t, Config{})
	one, two := startIn(t, e, t.TempDir()), startIn(t, e, t.TempDir())
	for _, code := range []string{"import os; os.urandom(16)", "import random; random.random()", "hash('a')", "import uuid; uuid.uuid4()"} {
		if a, b := value(t, one, code), value(t, two, code); a == b {
			t.Errorf("%q is %s in two sessions", code, a)
		}
	}
	if got := value(t, one, "import time; time.time() > 1.7e9 and time.monotonic() < time.monotonic()"); got != "True" {
		t.Error("the clocks do not run")
	}
}
