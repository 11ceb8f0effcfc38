package images

import (
	"bytes"
	"fmt"
	"strings"
)

// keptOutput is how many bytes are kept of a command's output from each of its ends.
const keptOutput = 8 << 10

// longestLine is where a line is taken for whole that doesn't end.
const longestLine = 4 << 10

// commandOutput tells of each line that is written to it, and keeps the first ones, where compilers tell the cause, and
// the last ones.
type commandOutput struct {
	each       func(line string)
	part       []byte // of a line
	head, tail []byte
	written    int
}

func (o *commandOutput) Write(p []byte) (int, error) {
	o.keep(p)
	o.part = append(o.part, p...)
	for {
		end := bytes.IndexAny(o.part, "\r\n") // a carriage return is how progress is shown
		next := end + 1
		if end < 0 {
			if len(o.part) < longestLine {
				return len(p), nil
			}
			end, next = longestLine, longestLine
		}
		if text := strings.TrimSpace(strings.ToValidUTF8(string(o.part[:end]), "")); text != "" {
			o.each(text)
		}
		o.part = o.part[next:]
	}
}

func (o *commandOutput) keep(p []byte) {
	o.written += len(p)
	first := min(len(p), keptOutput-len(o.head))
	o.head = append(o.head, p[:first]...)
	o.tail = append(o.tail, p[first:]...)
	if more := len(o.tail) - keptOutput; more > keptOutput { // not at every write
		o.tail = append([]byte(nil), o.tail[more:]...)
	}
}

// text is what was kept. Where something is left out, so are the parts of lines beside it.
func (o *commandOutput) text() string {
	head, tail := o.head, o.tail[max(0, len(o.tail)-keptOutput):]
	between := ""
	if o.written > len(head)+len(tail) {
		head = head[:bytes.LastIndexByte(head, '\n')+1]
		tail = tail[bytes.IndexByte(tail, '\n')+1:]
		between = fmt.Sprintf("[%d bytes left out]\n", o.written-len(head)-len(tail))
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(head) + between + string(tail))
	return strings.TrimSpace(strings.ToValidUTF8(text, ""))
}
