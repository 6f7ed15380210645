// Package extent keeps sets of byte ranges of a file, such as the ranges that a content
// file holds.
//
// A [Set] is kept in its one normal form: its ranges are ascending, none is empty and no
// two of them touch. Equal sets therefore have equal ranges and equal encodings, and a
// file that was read from end to end costs one range however it was read.
//
// Everything here is pure: no file is touched and no lock is taken. Whoever shares a set
// between goroutines guards it.
package extent
