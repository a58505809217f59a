//go:build !linux

package e2e

import "testing"

const noLimit = ^uint64(0)

func limitFileSize(t *testing.T, p *process, size uint64) {
	t.Helper()
	t.Fatalf("limit the files of %s: this test needs Linux", p.name)
}
