package enginetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// Command is what a command does with its input, and its exit status.
type Command func(argv []string, stdin io.Reader, stdout, stderr io.Writer) int

func (e *Engine) createExec(w http.ResponseWriter, r *http.Request) {
	var body container.ExecOptions
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if e.argv == nil {
		e.argv, e.code = map[string][]string{}, map[string]int{}
	}
	id := fmt.Sprintf("exec-%d", len(e.argv))
	e.argv[id] = body.Cmd
	w.WriteHeader(http.StatusCreated)
	answer(w, map[string]string{"Id": id})
}

// runExec turns the connection into the command's streams, as the engine does.
func (e *Engine) runExec(w http.ResponseWriter, r *http.Request, id string) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	e.mu.Lock()
	argv := e.argv[id]
	e.mu.Unlock()
	code := e.Exec(argv, rw, stdcopy.NewStdWriter(conn, stdcopy.Stdout), stdcopy.NewStdWriter(conn, stdcopy.Stderr))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.code[id] = code
}
