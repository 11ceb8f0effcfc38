package images

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRewriteDockerfile(t *testing.T) {
	t.Parallel()
	const mounts = "--mount=type=secret,id=ca"
	for name, tc := range map[string]struct{ in, want string }{
		"base and steps": {
			"# a comment\nFROM  python:3.12-slim\nRUN pip install x\nCMD [\"x\"]\n",
			"# a comment\nFROM  stand-in/python:3.12-slim\nRUN --mount=type=secret,id=ca pip install x\nCMD [\"x\"]\n",
		},
		"stages, by name and by number": {
			"FROM python:3 AS build\nRUN a\nFROM build\nFROM 0\nFROM scratch\nFROM debian:12 as last",
			"FROM stand-in/python:3 AS build\nRUN --mount=type=secret,id=ca a\nFROM build\nFROM 0\nFROM scratch\nFROM stand-in/debian:12 as last",
		},
		"platform": {"FROM --platform=linux/amd64 python:3\n", "FROM --platform=linux/amd64 stand-in/python:3\n"},
		"arguments": {
			"ARG V=3.12\nARG UNSET\nFROM python:${V}-slim\nARG V=9\nFROM python:${UNSET:-3.11}\n",
			"ARG V=3.12\nARG UNSET\nFROM stand-in/python:3.12-slim\nARG V=9\nFROM stand-in/python:3.11\n",
		},
		"lower case and continued": {
			"from python:3\nrun a && \\\n  RUN b\n",
			"from stand-in/python:3\nrun --mount=type=secret,id=ca a && \\\n  RUN b\n",
		},
		"exec form and a step's own flags": {
			"FROM python:3\nRUN [\"a\", \"b\"]\nRUN --network=none c\n",
			"FROM stand-in/python:3\nRUN --mount=type=secret,id=ca [\"a\", \"b\"]\nRUN --mount=type=secret,id=ca --network=none c\n",
		},
		"a syntax that can't be had": {
			"# syntax=docker/none:1\nFROM python:3\n",
			"# the engine's own Dockerfile syntax: docker/none:1 can't be had\nFROM stand-in/python:3\n",
		},
	} {
		got, err := rewriteDockerfile(t.Context(), []byte(tc.in), func(_ context.Context, ref string) (string, error) {
			if strings.Contains(ref, "none") {
				return "", errors.New("not there")
			}
			return "stand-in/" + ref, nil
		}, mounts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, string(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestRewriteDockerfileNamesTheLineOfAMissingBase(t *testing.T) {
	t.Parallel()
	gone := errors.New("no such image")
	_, err := rewriteDockerfile(t.Context(), []byte("\nFROM a:1\n"), func(context.Context, string) (string, error) { return "", gone }, "")
	if !errors.Is(err, gone) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got error %v", err)
	}
}

func TestPipSettings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		listed  string
		environ []string
		want    string
	}{
		"none": {"", []string{"HOME=/x"}, ""},
		"folders and loopback mean nothing in a build": {
			"global.find-links='/wheels https://packages.example/wheels'\nglobal.index-url='http://127.0.0.1:3141/x'\n", nil,
			"find-links = https://packages.example/wheels\n",
		},
		"the environment wins": {
			"global.index-url='https://a.example/simple'\n:env:.index-url='https://b.example/simple'\n", []string{"PIP_INDEX_URL=https://b.example/simple"},
			"index-url = https://b.example/simple\n",
		},
		"several values": {
			"global.extra-index-url='\\nhttps://a.example/s\\nhttps://b.example/s'\nglobal.trusted-host='a.example'\n", nil,
			"extra-index-url = https://a.example/s\n  https://b.example/s\ntrusted-host = a.example\n",
		},
		"what to do is not where from": {"install.user='true'\nfreeze.timeout='10'\nglobal.timeout='60'\n", nil, "timeout = 60\n"},
	} {
		if diff := cmp.Diff(tc.want, pipConf(parsePipConfig(tc.listed, tc.environ))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A machine without settings must not get secrets mounted: the build would fail for want of them.
func TestPipMountsOnlyWhatThereIs(t *testing.T) {
	t.Parallel()
	if m := pipMounts(pipSettings{}); strings.Contains(m, "secret") {
		t.Errorf("got %q", m)
	}
	s := pipSettings{config: "[global]\n", ca: []byte("x")}
	for id := range s.secrets() {
		if m := pipMounts(s); !strings.Contains(m, "id="+id) {
			t.Errorf("secret %s is not in %q", id, m)
		}
	}
}

func TestGRPCToolsVersionIsTheLibrarys(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"install_requires=[\n 'grpcio==1.59.3',\n": "grpcio-tools==1.59.3",
		"dependencies = [\"grpcio >=1.60,<2\"]":    "grpcio-tools>=1.60,<2",
		"nothing":                                  "grpcio-tools",
	} {
		if got := grpcTools(writeFiles(t, map[string]string{"setup.py": text})); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
