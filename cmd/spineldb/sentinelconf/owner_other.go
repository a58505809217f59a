//go:build !unix

package sentinelconf

import "os"

// keepOwner does nothing where files have no owner.
func keepOwner(*os.File, os.FileInfo) {}
