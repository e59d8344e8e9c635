package python

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "from host.txt"), []byte("hello"), 0o600))
	s := startIn(t, openEngine(t, Config{}), dir)
	run(t, s, "import os, shutil, sqlite3, pathlib, tempfile, zipfile")
	for _, c := range []struct{ code, want string }{
		{"open('from host.txt').read()", "'hello'"},
		{"open('é 😀.txt', 'w').write('x')", "1"},
		{"sorted(os.listdir())", "['from host.txt', 'é 😀.txt']"},
		{"f = open('a', 'w+'); f.write('0123456789'); f.seek(3); f.write('X'); f.seek(0); f.read()", "'012X456789'"},
		{"f.truncate(4); f.close(); os.path.getsize('a')", "4"},
		{"open('a', 'a').write('end'); open('a').read()", "'012Xend'"},
		{"os.rename('a', 'b'); os.path.exists('a'), os.path.exists('b')", "(False, True)"},
		{"os.makedirs('d/e/f'); pathlib.Path('d/e/g').write_text('g'); sorted(str(p) for p in pathlib.Path('d').rglob('*'))", "['d/e', 'd/e/f', 'd/e/g']"},
		{"shutil.rmtree('d'); os.path.exists('d')", "False"},
		{"os.utime('b', (1, 2)); os.stat('b').st_mtime", "2.0"},
		{"c = sqlite3.connect('db'); _ = c.execute('create table t(x)'); _ = c.execute('insert into t values (7)'); c.commit(); c.close(); sqlite3.connect('db').execute('select x from t').fetchall()", "[(7,)]"},
		{"with tempfile.TemporaryFile() as f:\n  n = f.write(b'abc')\nn", "3"},
		{"with zipfile.ZipFile('z.zip', 'w') as z: z.writestr('in.txt', 'zipped')\nzipfile.ZipFile('z.zip').read('in.txt')", "b'zipped'"},
		{"pathlib.Path('mod.py').write_text('answer = 42'); import mod; mod.answer", "42"},
		{"open('big', 'wb').write(os.urandom(5_000_000)); os.path.getsize('big')", "5000000"},
	} {
		if got := value(t, s, c.code); got != c.want {
			t.Errorf("%q is %s, want %s", c.code, got, c.want)
		}
	}
	for code, want := range map[string]string{
		"open('missing')":               "FileNotFoundError",
		"open('b', 'x')":                "FileExistsError",
		"os.rmdir('b')":                 "NotADirectoryError",
		"open('.', 'w')":                "IsADirectoryError",
		"os.mkdir('b')":                 "FileExistsError",
		"os.listdir('b')":               "NotADirectoryError",
		"os.rmdir('.')":                 "Error",
		"os.mkdir('q'); os.unlink('q')": "Error",
	} {
		if o := run(t, s, code); o.Ending != Raised || !strings.Contains(o.Stderr, want) {
			t.Errorf("%q ended as %s with %q, want %s", code, o.Ending, o.Stderr, want)
		}
	}
	if host, err := os.ReadFile(filepath.Join(dir, "b")); string(host) != "012Xend" {
		t.Errorf("the host reads %q (%v), want what was written", host, err)
	}
}

func TestQuota(t *testing.T) {
	dir := t.TempDir()
	s := startIn(t, openEngine(t, Config{MaxBytes: 1 << 20, MaxFiles: 20}), dir)
	run(t, s, "import os, zipfile")
	for _, code := range []string{
		"for i in range(100): open('f', 'ab').write(bytes(100_000))",
		"f = open('g', 'wb', buffering=0); f.write(bytes(2_000_000))",
		"f = open('h', 'wb'); f.truncate(10**12)",
		"f = open('i', 'wb', buffering=0); f.seek(10**12); f.write(b'x')",
		"fd = os.open('j', os.O_RDWR | os.O_CREAT); os.pwrite(fd, b'x', 10**12)",
		"fd = os.open('k', os.O_RDWR | os.O_CREAT); os.posix_fallocate(fd, 0, 10**12)",
		"with zipfile.ZipFile('z', 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('bomb', bytes(10**7))\nzipfile.ZipFile('z').extractall()",
		"import gzip, shutil\nwith gzip.open('y', 'w') as f: f.write(bytes(10**7))\nshutil.copyfileobj(gzip.open('y'), open('bomb', 'wb'))",
		"for i in range(100):\n  with open('l', 'wb') as f: f.write(bytes(100_000))\n  os.rename('l', f'l{i}')",
		"fs = [open(f'm{i}', 'wb', buffering=0) for i in range(4)]\nfor i in range(100): fs[i % 4].write(bytes(100_000))",
		"for i in range(100): open(f'n{i}', 'w')",
		"for i in range(100): os.mkdir(f'd{i}')",
		"keep = []\nfor i in range(100):\n  f = open('hidden', 'wb', buffering=0); keep.append(f); f.write(bytes(100_000)); os.unlink('hidden')",
	} {
		if o := run(t, s, code); o.Ending != Raised || !strings.Contains(o.Stderr, "OSError") {
			t.Errorf("%q ended as %s with %q, want OSError", code, o.Ending, o.Stderr)
		}
		run(t, s, "f = None; fs = None; keep = None")
		if used := size(t, dir); used > 1<<20 {
			t.Errorf("after %q the files have %d bytes, want at most 1 MiB", code, used)
		}
		run(t, s, "for n in os.listdir(): (os.rmdir if os.path.isdir(n) else os.unlink)(n)")
	}
	if got := value(t, s, "sum(open(str(i), 'wb').write(bytes(100_000)) for i in range(10))"); got != "1000000" {
		t.Errorf("after clearing up %s bytes could be written, want 1000000", got)
	}
	if got := value(t, s, "for i in range(50): n = open('0', 'wb').write(bytes(100_000))\nn"); got != "100000" {
		t.Errorf("writing the same again and again gives %s", got)
	}
	for i := range 10 {
		must(t, os.Remove(filepath.Join(dir, strconv.Itoa(i))))
	}
	if got := value(t, s, "open('0', 'wb').write(bytes(1_000_000))"); got != "1000000" {
		t.Errorf("after the host cleared up: %s", got)
	}
}

// size returns the lengths of all files in dir together, in bytes.
func size(t *testing.T, dir string) (sum int64) {
	t.Helper()
	must(t, filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return err
	}))
	return sum
}
