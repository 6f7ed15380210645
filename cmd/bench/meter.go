package main

import (
	"bytes"
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// spent is where the processors' time went while something was done: seconds of CPU.
type spent struct {
	program    float64 // who works, with all that it starts: the child, or the raw client
	filesystem float64
	store      float64
	machine    machine
}

// machine is what all processors together did, in seconds.
type machine struct{ Busy, Idle, Stolen float64 }

// sum is what all three took.
func (s spent) sum() float64 { return s.program + s.filesystem + s.store }

// others is what the machine was busy with beside: the kernel's own threads, the bench that
// watches, and whatever else runs.
func (s spent) others() float64 { return max(0, s.machine.Busy-s.sum()) }

// of is a part of all that the processors had.
func (m machine) of(part float64) float64 { return part / max(m.Busy+m.Idle+m.Stolen, 1e-9) }

// meter reads what was spent since it began.
type meter struct {
	filesystem, store int // processes; 0 is none
	begun             spent
}

// newMeter begins to count what a filesystem, which may be nil, and the store take.
func (b *bench) newMeter(filesystem *process) (meter, error) {
	m := meter{store: b.server.PID}
	if filesystem != nil {
		m.filesystem = filesystem.pid()
	}
	var err error
	m.begun, err = m.read()
	return m, err
}

// spent is what was taken since the meter began, of a program that has taken so many
// seconds.
func (m meter) spent(program float64) (spent, error) {
	now, err := m.read()
	return spent{
		program: program, filesystem: now.filesystem - m.begun.filesystem, store: now.store - m.begun.store,
		machine: now.machine.since(m.begun.machine),
	}, err
}

func (m meter) read() (s spent, err error) {
	for pid, seconds := range map[int]*float64{m.filesystem: &s.filesystem, m.store: &s.store} {
		if pid == 0 {
			continue
		}
		taken, err := cpuOf(pid)
		if err != nil {
			return s, err
		}
		*seconds = taken
	}
	s.machine, err = allProcessors()
	return s, err
}

// allProcessors is what they did since the machine began.
func allProcessors() (machine, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machine{}, err
	}
	return readMachine(stat)
}

func (m machine) since(before machine) machine {
	return machine{m.Busy - before.Busy, m.Idle - before.Idle, m.Stolen - before.Stolen}
}

// ticks is USER_HZ, which is 100 on every architecture that Go runs on.
const ticks = 100

// readMachine reads the first line of /proc/stat: user, nice, system, idle, iowait, irq,
// softirq, steal. Who waits for the disk is idle.
func readMachine(stat []byte) (m machine, err error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return m, errors.New("stat does not begin with what all processors do")
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return m, err
		}
		seconds := float64(n) / ticks
		switch i {
		case 3, 4:
			m.Idle += seconds
		case 7:
			m.Stolen += seconds
		default:
			m.Busy += seconds
		}
	}
	return m, nil
}

// ownCPU is the seconds of CPU that this process and those that it waited for have taken.
func ownCPU() (seconds float64, err error) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var used unix.Rusage
		if err := unix.Getrusage(who, &used); err != nil {
			return 0, os.NewSyscallError("getrusage", err)
		}
		seconds += float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
	}
	return seconds, nil
}
