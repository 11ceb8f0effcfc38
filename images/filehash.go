package images

import (
	"io/fs"
	"os"
	"sync"
	"time"
)

// fileHashes remembers the digests of files for as long as they are not touched. The zero value is ready for use, by
// several goroutines.
type fileHashes struct {
	mu    sync.Mutex
	files map[string]hashedFile
}

type hashedFile struct {
	info fs.FileInfo
	hash string
}

// settledAfter is how old a file's time must be for a later change to be sure to give it another one: the coarsest
// clock of a file system that is still in use ticks every two seconds.
const settledAfter = 2 * time.Second

// hash returns a file's state and its content's digest. A nil *fileHashes reads every time.
func (h *fileHashes) hash(path string) (fs.FileInfo, string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	if h != nil {
		h.mu.Lock()
		known, ok := h.files[path]
		h.mu.Unlock()
		if ok && os.SameFile(known.info, info) && known.info.Size() == info.Size() && known.info.ModTime().Equal(info.ModTime()) {
			return info, known.hash, nil
		}
	}
	now := time.Now()
	sum, err := fileHash(path)
	if err != nil {
		return nil, "", err
	}
	if h != nil && now.Sub(info.ModTime()) > settledAfter {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.files == nil {
			h.files = map[string]hashedFile{}
		}
		h.files[path] = hashedFile{info, sum.Hex}
	}
	return info, sum.Hex, nil
}
