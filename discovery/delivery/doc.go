// Package delivery brings messages to receivers that may be slow, broken or gone,
// and never holds up whoever has something to say.
//
// Each receiver has a lane of its own, in which jobs are done one after the other,
// in the order in which they came. A job that fails is tried again, each time after
// twice the pause, until its tries are used up; the lane waits for it, so that
// nothing overtakes. Lanes wait neither for one another nor for a pause of
// another's; only so many tries run at the same time.
//
// A lane keeps so many jobs and no more. When it is full, the oldest one that is
// not being done is dropped, counted, and said.
//
// What a job is the package does not know: a program to run, a request to send.
package delivery
