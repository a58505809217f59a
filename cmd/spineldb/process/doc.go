// Package process is what an operating system and its operators expect of a
// daemon besides its work: to go to the background, to keep a file with its
// process id, and to tell a supervisor that it is ready.
package process
