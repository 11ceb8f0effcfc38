package images

import (
	"strings"
	"testing"
)

func TestRecipeFor(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{ // "": no stand-in
		"python:3.12-slim":                   "dynsandbox.invalid/stand-in-python:3.11-bookworm-",
		"docker.io/library/python:3.11":      "dynsandbox.invalid/stand-in-python:3.11-bookworm-",
		"python:3.9-slim-buster":             "dynsandbox.invalid/stand-in-python:3.11-bookworm-",
		"python:3.13":                        "dynsandbox.invalid/stand-in-python:3.13-trixie-",
		"python:3.14-slim":                   "dynsandbox.invalid/stand-in-python:3.13-trixie-",
		"python":                             "dynsandbox.invalid/stand-in-python:3.11-bookworm-",
		"rabbitmq:3-management":              "dynsandbox.invalid/stand-in-rabbitmq:3.10-bookworm-",
		"registry.example:5000/python:3.12":  "",
		"somebody/rabbitmq:3":                "",
		"golang:1.26":                        "",
		"docker.io/rabbitmq@sha256:00":       "dynsandbox.invalid/stand-in-rabbitmq:3.10-bookworm-",
		"docker.io/somebody/python:3.12-abc": "",
	} {
		r, ok := recipeFor(ref)
		if ok != (want != "") || ok && !strings.HasPrefix(r.ref(), want) {
			t.Errorf("%s: got %v %s, want %s", ref, ok, r.ref(), want)
		}
	}
}

// A stand-in's name must change with everything that changes it, and say how it differs.
func TestRecipeNames(t *testing.T) {
	a, b := pythonRecipe("3.12-slim"), pythonRecipe("3.11-slim")
	if a.ref() != b.ref() {
		t.Errorf("two names for one stand-in: %s, %s", a.ref(), b.ref())
	}
	if !strings.Contains(a.note, "instead of 3.12") || strings.Contains(b.note, "instead") {
		t.Errorf("notes %q, %q", a.note, b.note)
	}
	before := b.hash()
	bootstrapArgs = append(bootstrapArgs, "--include=git")
	if b.hash() == before {
		t.Error("another minimal system, the same name")
	}
	bootstrapArgs = bootstrapArgs[:len(bootstrapArgs)-1]
	b.packages = append(b.packages, "git")
	if a.ref() == b.ref() {
		t.Error("another package, the same name")
	}
}

func TestMirrors(t *testing.T) {
	t.Parallel()
	main, security := mirrors("Debian|bookworm|http://mirror.example/debian/\nDebian|bookworm-updates|http://mirror.example/debian/\n" +
		"Debian|bookworm-security|http://mirror.example/security/\nNode|nodistro|https://node.example/\n")
	if main != "http://mirror.example/debian" || security != "http://mirror.example/security" {
		t.Errorf("got %q and %q", main, security)
	}
	if main, security := mirrors("Ubuntu|noble|http://ubuntu.example/\n"); main != "" || security != "" {
		t.Errorf("another distribution's archive was taken: %q, %q", main, security)
	}
}

func TestAptTransport(t *testing.T) {
	t.Parallel()
	config, ca := transport("APT \"\";\nAcquire::http::Proxy \"http://proxy.example:3128\";\nAcquire::https::CAInfo \"/etc/my-ca.crt\";\n" +
		"Acquire::http::ProxyAutoDetect \"/usr/bin/detect\";\nAcquire::Retries \"3\";\nAcquire::Languages \"\";\nAcquire::cdrom::mount \"/media\";\n")
	if want := "Acquire::http::Proxy \"http://proxy.example:3128\";\nAcquire::Retries \"3\";\n"; config != want || ca != "/etc/my-ca.crt" {
		t.Errorf("got %q and %q", config, ca)
	}
}
