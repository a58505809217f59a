//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "chaos: hosts are made of Linux namespaces: run this on Linux")
	os.Exit(2)
}
