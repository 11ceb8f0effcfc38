package watch

import (
	"bytes"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGitignoreAsGitReadsIt compares the reading of hand-picked and of random files with git's.
func TestGitignoreAsGitReadsIt(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git to compare with")
	}
	repo := t.TempDir()
	run := func(stdin string, args ...string) string {
		cmd := exec.Command(git, args...)
		cmd.Dir, cmd.Stdin = repo, strings.NewReader(stdin)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil && stderr.Len() > 0 {
			t.Fatalf("git %v: %v: %s", args, err, &stderr)
		}
		return string(out)
	}
	run("", "init", "-q")
	paths := map[string]bool{} // and whether each is a folder
	for _, p := range []string{
		"a", "b/a", "b/b/a", "b/b/b.txt", "ab/a", "ab/x.go", "ab/b/ab/x.go", "build/a/b.txt", "build/x.go", "x.go/a",
		"#a", "!a", "a b", "a ", "tab/.env", "[a]", "a]", "tab/a-b", "tab/a*", `tab/a\b`, "tab/été", "tab/9", "b/build/b", "tab/(a+b).{x}$",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(repo, p)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repo, p), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err = filepath.WalkDir(repo, func(p string, d fs.DirEntry, err error) error {
		if d.Name() == ".git" {
			return filepath.SkipDir
		}
		if rel, _ := filepath.Rel(repo, p); rel != "." {
			paths[filepath.ToSlash(rel)] = d.IsDir()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var names strings.Builder
	for p := range paths {
		names.WriteString(p + "\x00")
	}

	files := []string{
		"", "\n\n", "# a\n", "\\#a\n", "\\!a\n", "a b\n", "a \n", "a\\ \n", "a\r\n", "\ufeffa\n", "/\n", "!\n", "[\n", "[a\n", "\\\n",
		"[]a]\n", "[!]a]\n", "[[]a]\n", "[^a]\n", "[a-b]\n", "[b-]\n", "a[-+]b\n", "[[:digit:]]\n", "[[:alpha:]]b\n", "[\\]]\n",
		"a\\*\n", "a\\\\b\n", "?\n", "été\n", "ét*\n", "*.go\n", "*\n!*/\n!*.go\n", "/*\n!/b\n/b/*\n!/b/b\n", "**/a/**\n", "a**\n", "b/**/a\n",
		"/**\n", "**\n", "b/***/a\n", ".env\n", ".*\n", "b/\n!b/b/\n", "build/\n", "/build\n", "b/build\n", "*b*/*\n", "(a+b).{x}$\n", "b//a\n", "a//\n",
	}
	rng := rand.New(rand.NewSource(1))
	for range 150 {
		files = append(files, randomGitignore(rng))
	}
	for _, text := range files {
		if err := os.WriteFile(filepath.Join(repo, ".gitignore"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for p := range strings.SplitSeq(run(names.String(), "check-ignore", "-z", "--stdin"), "\x00") {
			want[p] = true
		}
		patterns := parseGitignore(text)
		for p, dir := range paths {
			if got := excluded(patterns, p, dir); got != want[p] {
				t.Errorf("%q: %q is ignored: %v, by git: %v", text, p, got, want[p])
			}
		}
	}
}

// excluded asks as the watcher does: from the top down, and no further once a folder is ignored.
func excluded(ps []gitPattern, rel string, dir bool) bool {
	for i, c := range rel + "/" {
		if c != '/' {
			continue
		}
		if ignore, _ := lastMatch(ps, rel[:i], dir || i < len(rel)); ignore {
			return true
		}
	}
	return false
}

func randomGitignore(rng *rand.Rand) string {
	atoms := []string{"a", "b", "ab", "build", "*", "a*", "*.go", "**", "x.go", "[ab]", "[!a]", "?", "*.txt", "b.txt", "b*"}
	var b strings.Builder
	for range 1 + rng.Intn(3) {
		b.WriteString([]string{"", "", "", "!"}[rng.Intn(4)])
		b.WriteString([]string{"", "", "", "/"}[rng.Intn(4)])
		for i := range 1 + rng.Intn(3) {
			if i > 0 {
				b.WriteString("/")
			}
			b.WriteString(atoms[rng.Intn(len(atoms))])
		}
		b.WriteString([]string{"\n", "\n", "\n", "/\n"}[rng.Intn(4)])
	}
	return b.String()
}
