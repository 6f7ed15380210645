//go:build race

package main

// raceDetector says that the memory of processes is not their own.
const raceDetector = true
