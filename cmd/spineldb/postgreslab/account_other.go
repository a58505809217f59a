//go:build !linux

package postgreslab

import (
	"errors"
	"syscall"
)

// account is of Linux alone: elsewhere no server is run.
type account struct{}

func findAccount() (*account, error) {
	return nil, errors.New("servers of PostgreSQL are run here on Linux only")
}

func (a *account) own(string) error                 { return nil }
func (a *account) attributes() *syscall.SysProcAttr { return nil }
func (a *account) dropping() []string               { return nil }

func stop(int)                      {}
func goOn(int)                      {}
func kill(int)                      {}
func interrupt(int)                 {}
func childrenOf(int) []int          { return nil }
func anyOutside([]int, string) bool { return false }
func ours(int, string) bool         { return false }
func freeMemory(string)             {}
