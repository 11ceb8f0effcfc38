package images

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// recipe says how a stand-in is made: a Debian release, packages, a few lines of shell, an image configuration.
type recipe struct {
	name     string   // "python": the stand-in is dynsandbox.invalid/stand-in-python
	version  string   // of the software, as Debian has it
	suite    string   // Debian's release
	packages []string // installed without recommendations
	finish   string   // shell, run in the new file system after installation
	config   v1.Config
	note     string // how it differs from what was wanted
}

// recipeRevision changes the name of every stand-in; raise it when the way they are made changes.
const recipeRevision = 1

// ourNames begins the names of images that are made here: with a host that nobody can have (RFC 2606). With the images
// in containerd's store, a build asks a name's registry before the engine itself, and for a name without a host that is
// Docker Hub.
const ourNames = "dynsandbox.invalid/"

// ref is the stand-in's name in the engine. It changes when anything in the recipe does.
func (r recipe) ref() string {
	return fmt.Sprintf(ourNames+"stand-in-%s:%s-%s-%s", r.name, r.version, r.suite, r.hash())
}

func (r recipe) hash() string {
	return shortHash(baseHash(r.suite), r.packages, installScript, r.finish, r.config)
}

// baseHash changes when anything in the minimal system changes that a release's stand-ins begin with.
func baseHash(suite string) string {
	return shortHash(recipeRevision, suite, bootstrapArgs, strip, runtime.GOARCH)
}

func shortHash(parts ...any) string {
	b, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings and numbers only
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:4])
}

// strip removes from a new file system what no container reads.
const strip = `rm -rf /var/cache/apt/* /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/* /usr/share/doc /usr/share/man /usr/share/info \
/usr/share/locale /usr/share/i18n /usr/share/lintian /usr/share/bug /usr/share/doc-base /usr/share/linda
mkdir -p /var/cache/apt/archives/partial /var/lib/apt/lists/partial
`

// recipeFor returns the recipe of the stand-in for a reference, where there is one.
func recipeFor(ref string) (recipe, bool) {
	repository, tag := splitReference(ref)
	switch repository {
	case "python":
		return pythonRecipe(tag), true
	case "rabbitmq":
		return rabbitmqRecipe(tag), true
	}
	return recipe{}, false
}

// splitReference returns a reference's repository, without Docker Hub's own prefixes, and its tag.
func splitReference(ref string) (repository, tag string) {
	ref, _, _ = strings.Cut(ref, "@")
	for _, prefix := range []string{"docker.io/", "index.docker.io/", "library/"} {
		ref = strings.TrimPrefix(ref, prefix)
	}
	if i := strings.LastIndex(ref, ":"); i > strings.LastIndex(ref, "/") {
		return ref[:i], ref[i+1:]
	}
	return ref, "latest"
}

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// debianPythons are the minor versions of Python 3 that Debian's releases have, oldest first.
var debianPythons = []struct {
	minor int
	suite string
}{{11, "bookworm"}, {13, "trixie"}}

var pythonTag = regexp.MustCompile(`^3\.(\d+)`)

// pythonRecipe is a stand-in for python:TAG: the nearest Python that Debian has, below rather than above, because
// libraries pin wheels that newer ones don't have. A tag that names no minor version gets the oldest for that reason.
func pythonRecipe(tag string) recipe {
	pick := debianPythons[0]
	wanted := ""
	if m := pythonTag.FindStringSubmatch(tag); m != nil {
		minor, _ := strconv.Atoi(m[1])
		for _, p := range debianPythons {
			if p.minor <= minor {
				pick = p
			}
		}
		wanted = "3." + m[1]
	}
	version := fmt.Sprintf("3.%d", pick.minor)
	r := recipe{
		name: "python", version: version, suite: pick.suite,
		packages: []string{"python3", "python3-pip"},
		// Debian's pip refuses to install beside Debian's packages; in an image of its own there is nobody to protect.
		finish: "rm -f /usr/lib/python3*/EXTERNALLY-MANAGED\nln -sf /usr/bin/python3 /usr/local/bin/python\nln -sf /usr/bin/python3 /usr/local/bin/python3\nln -sf /usr/bin/pip3 /usr/local/bin/pip\n",
		config: v1.Config{Env: []string{"PATH=" + systemPath, "LANG=C.UTF-8"}, Cmd: []string{"python3"}},
		note:   fmt.Sprintf("Debian %s's Python %s", pick.suite, version),
	}
	if wanted != version && wanted != "" {
		r.note += " instead of " + wanted
	}
	return r
}

// rabbitmqRecipe is a stand-in for rabbitmq:TAG: Debian's package, run as the official image runs it, as user
// rabbitmq with its log on standard output.
func rabbitmqRecipe(tag string) recipe {
	const home = "/usr/lib/rabbitmq/bin"
	return recipe{
		name: "rabbitmq", version: "3.10", suite: "bookworm",
		packages: []string{"rabbitmq-server"},
		finish:   "rm -rf /var/lib/rabbitmq/mnesia /var/lib/rabbitmq/.erlang.cookie\nmkdir -p /etc/rabbitmq/conf.d /var/lib/rabbitmq /var/log/rabbitmq\nchown -R rabbitmq:rabbitmq /etc/rabbitmq /var/lib/rabbitmq /var/log/rabbitmq\n",
		config: v1.Config{
			// Debian's wrappers in /usr/sbin change the user and redirect the log: the tools behind them come first.
			Env:          []string{"PATH=" + home + ":" + systemPath, "LANG=C.UTF-8", "HOME=/var/lib/rabbitmq", "RABBITMQ_LOGS=-"},
			User:         "rabbitmq",
			Cmd:          []string{"rabbitmq-server"},
			ExposedPorts: map[string]struct{}{"5672/tcp": {}},
			WorkingDir:   "/var/lib/rabbitmq",
		},
		note: "Debian bookworm's RabbitMQ 3.10, without the management plugin enabled, instead of " + tag,
	}
}
