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
	given := map[string]string{"BASE": "golang:1.24", "BARE": "debian:12", "UNDECLARED": "4"}
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
		"arguments of the build": {
			"ARG BASE=golang:1.22\nARG BARE\nFROM $BASE\nFROM $BARE\nFROM python:${UNDECLARED:-3}\n",
			"ARG BASE=golang:1.22\nARG BARE\nFROM stand-in/golang:1.24\nFROM stand-in/debian:12\nFROM stand-in/python:3\n",
		},
		"arguments made of others": {
			"ARG BASE=golang:1 V=1.22 IMAGE=\"$BASE-slim\" LITERAL='$BASE'\nFROM $IMAGE\nFROM python:$V\nFROM ${LITERAL}\n",
			"ARG BASE=golang:1 V=1.22 IMAGE=\"$BASE-slim\" LITERAL='$BASE'\nFROM stand-in/golang:1.24-slim\nFROM stand-in/python:1.22\nFROM stand-in/$BASE\n",
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
		"images to copy and mount from": {
			"FROM python:3 AS build\nFROM debian:12\nCOPY --from=tool:1 --chown=1:1 /a /b\nCOPY --from=Build /a /b\nCOPY --from=0 /a /b\nADD x y\n" +
				"RUN --mount=type=bind,from=tool:2,target=/t \\\n  --mount=from=build,target=/u a\n",
			"FROM stand-in/python:3 AS build\nFROM stand-in/debian:12\nCOPY --from=stand-in/tool:1 --chown=1:1 /a /b\nCOPY --from=Build /a /b\nCOPY --from=0 /a /b\nADD x y\n" +
				"RUN --mount=type=secret,id=ca --mount=type=bind,from=stand-in/tool:2,target=/t \\\n  --mount=from=build,target=/u a\n",
		},
		"two mounts, one's flag the other's beginning": {
			"FROM scratch\nRUN --mount=from=a:1,target=/ab --mount=from=a:1,target=/a x\n",
			"FROM scratch\nRUN --mount=type=secret,id=ca --mount=from=stand-in/a:1,target=/ab --mount=from=stand-in/a:1,target=/a x\n",
		},
	} {
		got, _, err := rewriteDockerfile(t.Context(), []byte(tc.in), given, func(_ context.Context, ref string) (string, error) {
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
	_, _, err := rewriteDockerfile(t.Context(), []byte("\nFROM a:1\n"), nil, func(context.Context, string) (string, error) { return "", gone }, "")
	if !errors.Is(err, gone) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got error %v", err)
	}
}

func TestRewriteDockerfileRefusesABaseWithoutAName(t *testing.T) {
	t.Parallel()
	empty := errors.New("no name")
	_, _, err := rewriteDockerfile(t.Context(), []byte("FROM a:1\nFROM ${UNSET}\n"), nil, func(_ context.Context, ref string) (string, error) {
		if ref == "" {
			return "", empty
		}
		return ref, nil
	}, "")
	if !errors.Is(err, empty) {
		t.Errorf("got error %v", err)
	}
}

// The library is built in the image that the services' packages go into: not in one that files are only copied from.
func TestRewriteDockerfileTellsTheBase(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"FROM golang:1 AS a\nFROM python:3 AS b\nCOPY --from=tool:1 /x /x\nFROM b\n": "new/python:3",
		"# syntax=docker/dockerfile:1\nFROM scratch\n":                               "",
	} {
		_, base, err := rewriteDockerfile(t.Context(), []byte(in), nil, func(_ context.Context, ref string) (string, error) { return "new/" + ref, nil }, "")
		if err != nil || base != want {
			t.Errorf("%q: got base %q, error %v, want %q", in, base, err, want)
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
