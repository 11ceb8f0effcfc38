package images

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

var (
	runWord  = regexp.MustCompile(`(?i)^(\s*RUN\s+)`)
	fromWord = regexp.MustCompile(`(?i)^(\s*FROM\s+(?:--platform=\S+\s+)?)(\S+)`)
	fromFlag = regexp.MustCompile(`(?i)^(--from=|--mount=(?:.*,)?from=)([^,]+)`) // of COPY, and of RUN
)

// resolver answers which image takes the place of the one that a Dockerfile names.
type resolver func(ctx context.Context, ref string) (string, error)

// rewriteDockerfile returns the copy of a workspace's Dockerfile that is built: images replaced by what resolve answers
// for them, mounts (flags such as "--mount=type=cache,target=/x") added to every RUN. given are the build's arguments.
// Line numbers stay, so that the builder's messages fit the original. base is the image that the last stage which has one
// begins with.
func rewriteDockerfile(ctx context.Context, dockerfile []byte, given map[string]string, resolve resolver, mounts string) (content []byte, base string, err error) {
	result, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		return nil, "", err
	}
	lines := strings.SplitAfter(string(dockerfile), "\n")
	// The first line may name an image of the Dockerfile's own language, which would be pulled before anything else.
	if ref, _, loc, ok := parser.DetectSyntax(dockerfile); ok && len(loc) > 0 {
		if _, err := resolve(ctx, ref); err != nil {
			lines[loc[0].Start.Line-1] = "# the engine's own Dockerfile syntax: " + ref + " can't be had\n"
		}
	}
	args := map[string]string{}
	before := map[string]bool{"scratch": true} // the stages so far, by name and by number
	count := 0
	all := stageNames(result.AST)
	for _, node := range result.AST.Children {
		line := &lines[node.StartLine-1]
		switch strings.ToUpper(node.Value) {
		case "ARG":
			if count > 0 {
				break // only those before the first stage have a meaning for FROM
			}
			for n := node.Next; n != nil; n = n.Next {
				key, value, _ := strings.Cut(n.Value, "=")
				if asked, ok := given[key]; ok {
					args[key] = asked
				} else {
					args[key] = argumentDefault(value, args)
				}
			}
		case "FROM":
			m := fromWord.FindStringSubmatch(*line)
			if m == nil {
				return nil, "", fmt.Errorf("line %d: FROM without an image on its line", node.StartLine)
			}
			if ref := expand(m[2], args); !before[strings.ToLower(ref)] {
				if base, err = resolve(ctx, ref); err != nil {
					return nil, "", fmt.Errorf("line %d: %w", node.StartLine, err)
				}
				*line = m[1] + base + (*line)[len(m[0]):]
			}
			if name := stageName(node); name != "" {
				before[name] = true
			}
			before[strconv.Itoa(count)] = true
			count++
		case "COPY", "RUN":
			if err := replaceFrom(ctx, lines[node.StartLine-1:node.EndLine], node.Flags, all, resolve); err != nil {
				return nil, "", fmt.Errorf("line %d: %w", node.StartLine, err)
			}
			if mounts != "" {
				*line = runWord.ReplaceAllString(*line, "${1}"+strings.ReplaceAll(mounts, "$", "$$")+" ")
			}
		}
	}
	return []byte(strings.Join(lines, "")), base, nil
}

// argumentDefault is the value that an ARG has by itself. It may be made of the arguments before it.
func argumentDefault(written string, args map[string]string) string {
	if strings.HasPrefix(written, "'") {
		return strings.Trim(written, "'")
	}
	return expand(strings.Trim(written, `"`), args)
}

// expand puts a Dockerfile's arguments into a text.
func expand(ref string, args map[string]string) string {
	return os.Expand(ref, func(key string) string {
		key, fallback, _ := strings.Cut(key, ":-")
		return cmp.Or(args[key], fallback)
	})
}

// stageName returns the name in "FROM image AS name", as stages are compared; "" when it has none.
func stageName(from *parser.Node) string {
	if n := from.Next; n != nil && n.Next != nil && n.Next.Next != nil {
		return strings.ToLower(n.Next.Next.Value)
	}
	return ""
}

// stageNames are those of a whole Dockerfile, and scratch, which is none but no image either.
func stageNames(dockerfile *parser.Node) map[string]bool {
	names := map[string]bool{"scratch": true}
	for _, node := range dockerfile.Children {
		if strings.EqualFold(node.Value, "FROM") {
			names[stageName(node)] = true
		}
	}
	return names
}

// replaceFrom replaces the images from which the flags of one instruction copy or mount, in the lines that it spans.
func replaceFrom(ctx context.Context, lines, flags []string, stages map[string]bool, resolve resolver) error {
	for _, flag := range flags {
		m := fromFlag.FindStringSubmatch(flag)
		if m == nil || stages[strings.ToLower(m[2])] || strings.Contains(m[2], "$") { // the builder refuses variables there
			continue
		}
		if _, err := strconv.Atoi(m[2]); err == nil {
			continue // a stage's number
		}
		replacement, err := resolve(ctx, m[2])
		if err != nil {
			return err
		}
		written := regexp.MustCompile(regexp.QuoteMeta(flag) + `(\s)`)
		found := false
		for i := range lines {
			if at := written.FindStringIndex(lines[i]); at != nil && !found {
				lines[i] = lines[i][:at[0]] + m[1] + replacement + flag[len(m[0]):] + lines[i][at[0]+len(flag):]
				found = true
			}
		}
		if !found && replacement != m[2] {
			return fmt.Errorf("%s: an image takes another's place only where it is written without quotes", flag)
		}
	}
	return nil
}
