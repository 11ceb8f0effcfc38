package scaffold

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/dynsandbox/dynsandbox/images"
)

// dataFile is the name of the file with a party's rows of a table.
func dataFile(table, party string) string { return table + "_" + party + ".csv" }

// dataFiles are those of a party, in the folders of services and of the configuration.
func (w Workspace) dataFiles(party string) ([]string, error) {
	var files []string
	for _, dir := range []string{parent(images.Python, 1), parent(images.Go, 2), "configuration"} {
		err := filepath.WalkDir(filepath.Join(w.Dir, filepath.FromSlash(dir)), func(p string, d fs.DirEntry, err error) error {
			switch {
			case os.IsNotExist(err):
				return nil
			case err != nil:
				return err
			case d.IsDir() && strings.HasPrefix(d.Name(), ".") || isToolFolder(d):
				return fs.SkipDir
			case d.Type().IsRegular() && len(d.Name()) > len(dataFile("", party)) && strings.HasSuffix(d.Name(), dataFile("", party)):
				rel, err := filepath.Rel(w.Dir, p)
				files = append(files, filepath.ToSlash(rel))
				return err
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// agentData are the tables that a party begins with: the first rows of another's. How many is asked for each file.
func (w Workspace) agentData(name, like string, rows func(file string) int) (Changes, error) {
	files, err := w.dataFiles(like)
	if err != nil {
		return nil, err
	}
	var c Changes
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(w.Dir, filepath.FromSlash(file)))
		if err != nil {
			return nil, err
		}
		own := path.Join(path.Dir(file), strings.TrimSuffix(path.Base(file), dataFile("", like))+dataFile("", name))
		c = append(c, Change{Path: own, After: firstRows(content, rows(own), like, name)})
	}
	return c, nil
}

// rowsOf is how many rows a file has.
func (w Workspace) rowsOf(file string) int {
	content, err := os.ReadFile(filepath.Join(w.Dir, filepath.FromSlash(file)))
	if err != nil {
		return 0
	}
	return len(rowEnds(content)) - 1
}

// rowEnd ends a line of a table, in any of the ways in which that is written.
var rowEnd = regexp.MustCompile(`\r*\n|\r`)

// rowEnds are the ends of a table's lines, the one that names its columns included.
func rowEnds(content []byte) []int {
	var ends []int
	for _, at := range rowEnd.FindAllIndex(content, -1) {
		ends = append(ends, at[1])
	}
	if n := len(ends); len(content) > 0 && (n == 0 || ends[n-1] < len(content)) {
		ends = append(ends, len(content))
	}
	return ends
}

// firstRows is the beginning of a table, in which cells with a party's name have another's.
func firstRows(content []byte, rows int, like, name string) []byte {
	ends := rowEnds(content)
	if len(ends) == 0 {
		return []byte{}
	}
	content = content[:ends[min(rows, len(ends)-1)]]
	cell := regexp.MustCompile(`(?m)(^|[;,\t\r"])` + regexp.QuoteMeta(like) + `([;,\t\r"]|$)`)
	for range 2 { // two cells beside each other share what separates them
		content = cell.ReplaceAll(content, []byte("${1}"+name+"${2}"))
	}
	return content
}

// columnWith is the first column that has a text in a table's first row.
func columnWith(content []byte, text string) string {
	ends := rowEnds(content)
	if len(ends) < 2 {
		return ""
	}
	columns := separator.Split(strings.TrimRight(string(content[:ends[0]]), "\r\n"), -1)
	for i, cell := range separator.Split(strings.TrimRight(string(content[ends[0]:ends[1]]), "\r\n"), -1) {
		if i < len(columns) && strings.Trim(cell, `"`) == text {
			return strings.Trim(columns[i], `"`)
		}
	}
	return ""
}

// separator stands between the cells of a row.
var separator = regexp.MustCompile(`[;,\t]`)
