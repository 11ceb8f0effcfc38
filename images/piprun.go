package images

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A RUN after the sources are copied may read them, whatever it is, except for the one that is so common that each
// change of a source would else be a rebuild: pip, which reads what it is told to, and is told nothing but names of
// packages, wheels and files of names.

var (
	pipFlags = []string{
		"--no-cache-dir", "--upgrade", "-U", "--quiet", "-q", "--no-deps", "--pre", "--prefer-binary", "--no-compile", "--no-input",
		"--disable-pip-version-check", "--root-user-action=ignore", "--break-system-packages", "--force-reinstall", "--progress-bar=off",
	}
	pipFlagsWithValue = []string{"--index-url", "-i", "--extra-index-url", "--trusted-host", "--timeout", "--default-timeout", "--retries", "--progress-bar"}
	// Variables that name packages or files to pip, or code to Python.
	pipVariables = regexp.MustCompile(`^(?:PIP_(?:REQUIREMENT|CONSTRAINT|BUILD_CONSTRAINT|EDITABLE|FIND_LINKS|CONFIG_FILE|TARGET|PREFIX|ROOT|SRC|PYTHON)|PYTHON(?:PATH|HOME|STARTUP|USERBASE|PLATLIBDIR|PYCACHEPREFIX)|LD_.*)$`)

	shellWord  = regexp.MustCompile(`^\s*(?:'([^'$\\]*)'|"([^"$\x60\\]*)"|([\w./:=+,@%\[\]-][\w./:=+,@%~\[\]!-]*))(?:\s+|$)`)
	pipPackage = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*(?:\[[\w., -]*\])?\s*(?:(?:[<>=!~]=?=?)\s*[\w.*+!-]+\s*,?\s*)*$`)
	pipArchive = regexp.MustCompile(`(?i)\.(?:whl|zip|tar|tar\.\w+|tgz|tbz|txz|tlz)$`)

	// Settings that are read wherever pip is started.
	settingsFiles = []string{"setup.cfg", "pip.conf", ".pydistutils.cfg", ".netrc"}
	// Where pip, Python and their settings are: a source that is copied there is no source any more.
	systemFolders = []string{"/bin", "/etc", "/home", "/lib", "/lib64", "/opt", "/root", "/sbin", "/usr"}
)

// pipInstall returns the files that a shell command line reads which is nothing but installations by pip: wheels and
// files of requirements. ok is false for any other.
func pipInstall(line string, s stageState) (requirements, wheels []string, ok bool) {
	if s.shell || slices.ContainsFunc(s.Keys(), pipVariables.MatchString) {
		return nil, nil, false
	}
	unknown := false
	line = variable.ReplaceAllStringFunc(line, func(v string) string {
		value, set := s.Get(strings.Trim(v, "${}"))
		unknown = unknown || !set
		return value
	})
	if unknown {
		return nil, nil, false
	}
	for command := range strings.SplitSeq(line, "&&") {
		words, ok := shellWords(command)
		if !ok || len(words) < 3 || words[0] != "pip" && words[0] != "pip3" || words[1] != "install" {
			return nil, nil, false
		}
		for i := 2; i < len(words); i++ {
			word := words[i]
			flag, value, joined := strings.Cut(word, "=")
			switch {
			case slices.Contains(pipFlags, word), joined && flag != "-i" && slices.Contains(pipFlagsWithValue, flag):
			case slices.Contains(pipFlagsWithValue, word):
				i++
			case (word == "-r" || word == "--requirement") && i+1 < len(words):
				i++
				requirements = append(requirements, s.absolute(words[i]))
			case joined && flag == "--requirement":
				requirements = append(requirements, s.absolute(value))
			case strings.HasSuffix(word, ".whl") && !strings.Contains(word, ":"):
				wheels = append(wheels, s.absolute(word))
			case pipPackage.MatchString(word) && !pipArchive.MatchString(word):
			default:
				return nil, nil, false
			}
		}
	}
	return requirements, wheels, true
}

var variable = regexp.MustCompile(`\$(?:\w+|\{\w+\})`)

// shellWords splits a command line with nothing in it that means something to a shell, quotes aside.
func shellWords(line string) (words []string, ok bool) {
	for line = strings.TrimSpace(line); line != ""; {
		m := shellWord.FindStringSubmatchIndex(line)
		if m == nil {
			return nil, false
		}
		for g := 2; g < len(m); g += 2 {
			if m[g] >= 0 {
				words = append(words, line[m[g]:m[g+1]])
			}
		}
		line = line[m[1]:]
	}
	return words, true
}

// onlyPackages returns an error unless a file of requirements names nothing but packages, so that no other file is read.
func onlyPackages(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), " #")
		text, _, _ = strings.Cut(text, ";") // for which systems
		text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
		option, _, _ := strings.Cut(strings.ReplaceAll(text, "=", " "), " ")
		switch {
		case text == "", strings.HasPrefix(text, "#"), slices.Contains(pipFlags, text), slices.Contains(pipFlagsWithValue, option):
		case !pipPackage.MatchString(text), pipArchive.MatchString(text):
			return fmt.Errorf("line %d is no package's name", n)
		}
	}
	return lines.Err()
}

// isSystem reports whether pip may read a file, or run it, without being told.
func (s stageState) isSystem(p string) bool {
	if slices.Contains(settingsFiles, path.Base(p)) {
		return true
	}
	search, _ := s.Get("PATH")
	home, _ := s.Get("HOME")
	for _, dir := range slices.Concat(systemFolders, strings.Split(search, ":"), []string{home}) {
		if dir == "" {
			continue
		}
		if within(path.Clean(p), path.Clean(dir)) {
			return true
		}
	}
	return false
}
