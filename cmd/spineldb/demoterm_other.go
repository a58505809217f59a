//go:build !unix

package main

import "os"

// terminalSize knows no terminal here, so the demo prints plain lines.
func terminalSize(*os.File) (width, height int, ok bool) { return 0, 0, false }
