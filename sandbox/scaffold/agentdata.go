package scaffold

import (
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/images"
)

// dataFile is the name of the file with a party's rows of a table.
func dataFile(table, party string) string { return table + "_" + party + ".csv" }

// volumes is the folder whose folders, one for each party, are mounted into the Pods of services that read data.
const volumes = "datasets"

// dataFiles are those of a party, in the folders of services and of the configuration, and in the party's own.
func (w Workspace) dataFiles(party string) ([]string, error) {
	var files []string
	for _, dir := range []string{parent(images.Python, 1), parent(images.Go, 2), "configuration", path.Join(volumes, party)} {
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

// inVolume reports whether a file is there for services only once their Pods mount its folder.
func inVolume(file string) bool { return strings.HasPrefix(file, volumes+"/") }

// agentData are the tables that a party begins with: the first rows of another's. How many is asked for each file. Where the
// other's are in folders of services so are these: such data are there at once, and need no volume.
func (w Workspace) agentData(name, like string, rows func(file string) int) (Changes, error) {
	files, err := w.dataFiles(like)
	if err != nil {
		return nil, err
	}
	if beside := slices.DeleteFunc(slices.Clone(files), inVolume); len(beside) > 0 {
		files = beside
	}
	var c Changes
	for _, file := range files {
		dir := path.Dir(file)
		if rest, ok := strings.CutPrefix(dir+"/", path.Join(volumes, like)+"/"); ok {
			dir = path.Join(volumes, name, rest)
		}
		own := path.Join(dir, strings.TrimSuffix(path.Base(file), dataFile("", like))+dataFile("", name))
		content, err := w.firstRows(file, rows(own))
		if err != nil {
			return nil, err
		}
		c = append(c, Change{Path: own, After: renameCells(content, like, name)})
	}
	return c, nil
}

// firstRows is the beginning of a table, of which no more is read: it may be large.
func (w Workspace) firstRows(file string, rows int) ([]byte, error) {
	f, err := os.Open(filepath.Join(w.Dir, filepath.FromSlash(file)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var content []byte
	for chunk := int64(1 << 16); ; chunk *= 2 {
		more, err := io.ReadAll(io.LimitReader(f, chunk))
		if err != nil {
			return nil, err
		}
		content = append(content, more...)
		// The last end isn't known to be one as long as more may come.
		if ends := rowEnds(content); int64(len(more)) < chunk || len(ends) > rows+2 {
			if len(ends) == 0 {
				return []byte{}, nil
			}
			return content[:ends[min(rows, len(ends)-1)]], nil
		}
	}
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

// renameCells puts a party's name into the cells that have another's.
func renameCells(content []byte, like, name string) []byte {
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
