package main

// runDaemon runs one Warden until ctx ends; runDemo runs the demonstration
// with the arguments after the word "demo". nil: this build has none, and says
// so. An error of package exit chooses the exit code, any other gives 1.
var (
	runDaemon = daemonMain
	runDemo   = demoMain
)
