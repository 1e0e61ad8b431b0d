package packaging

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestFilesAreRead reads the files that other programs read for the tests: only so does the go command know that a
// result of before no longer holds when one has changed.
func TestFilesAreRead(t *testing.T) {
	for _, root := range []string{"../../files", "../../openwrt", "openwrt", "testdata"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				_, err = os.ReadFile(path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
