package client_test

import (
	"testing"

	"tunneldigger/src/wire/vectors"
)

// TestVectors takes the client's part in every conversation of the file that other implementations have, too.
func TestVectors(t *testing.T) {
	f, err := vectors.Load("../wire/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Conversations {
		if err := vectors.PlayClient(&f.Conversations[i]); err != nil {
			t.Errorf("%s: %v", f.Conversations[i].Name, err)
		}
	}
}
