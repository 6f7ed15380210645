// Package objstoretest is the contract of objstore as tests, and the MinIO server to
// run them against.
//
// [Run] checks one implementation of [objstore.Bucket], or a stack of wrappers. It
// takes what the bucket is believed to be capable of: a belief that the bucket does not
// confirm, in words or in deeds, fails.
package objstoretest
