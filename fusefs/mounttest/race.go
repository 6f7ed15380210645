//go:build race

package mounttest

// RaceDetector says that the memory of processes is not their own.
const RaceDetector = true

// Slower is how many times longer than usual something may take.
const Slower = 4
