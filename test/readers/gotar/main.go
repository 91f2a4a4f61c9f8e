// The reader Pachyderm uses, Go's own archive/tar, in the loop of one generation (A, B or C): the judge of the
// stand-ins. It writes the same log as reader.cc and takes the same names of options, without the faults.
package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

type entry struct {
	Name     string `json:"name"`
	Size     int64  `json:"size"`
	Declared int64  `json:"declared,omitempty"`
	Hash     string `json:"hash"`
}

type commit struct {
	N        int     `json:"n"`
	Entries  []entry `json:"entries"`
	Complete bool    `json:"complete"`
	Error    string  `json:"error,omitempty"`
	StartNs  int64   `json:"startNs"`
	EndNs    int64   `json:"endNs"`
	Run      int     `json:"run"`
	Pid      int     `json:"pid"`
}

var (
	generation  = flag.String("generation", "C", "A, B or C")
	path        = flag.String("fifo", "", "the FIFO")
	logPath     = flag.String("log", os.DevNull, "the log")
	finishMs    = flag.Int("finish-ms", 0, "how long finishing a commit takes")
	finishMaxMs = flag.Int("finish-max-ms", 0, "at most")
	backoffMs   = flag.Int("backoff-ms", 250, "wait after an error")
	onError     = flag.String("on-error", "", "exit or reopen")
	commits     = flag.Int("commits", 0, "end after so many")
	run         = flag.Int("run", 0, "")
	events      = flag.Bool("events", false, "tell what happens on stdout")
	_           = flag.Int("seed", 1, "")
	_           = flag.Int("backoff-max-ms", 22500, "")
)

var (
	log   *os.File
	count int
	start = time.Now()
	// Held while a commit is being finished: the process does not end then.
	finishing sync.Mutex
)

func tell(format string, args ...any) {
	if *events {
		fmt.Printf(format+"\n", args...)
	}
}

func newCommit() *commit {
	return &commit{Entries: []entry{}, StartNs: time.Since(start).Nanoseconds(), Run: *run, Pid: os.Getpid()}
}

func openFifo() *os.File {
	tell("opening")
	file, err := os.OpenFile(*path, os.O_RDONLY, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(4)
	}
	tell("opened")
	return file
}

func openAndWait() {
	tell("waiting")
	file, err := os.OpenFile(*path, os.O_RDONLY, 0)
	if err != nil {
		os.Exit(4)
	}
	file.Close()
}

// readEntries reads to the archive's end (nil) or first error; begin is called at each header.
func readEntries(in io.Reader, begin func() *commit) error {
	reader := tar.NewReader(in)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		hash := crc32.NewIEEE()
		size, err := io.Copy(hash, reader)
		got := entry{Name: header.Name, Size: size, Hash: fmt.Sprintf("%08x", hash.Sum32())}
		if size != header.Size {
			got.Declared = header.Size
		}
		c := begin()
		c.Entries = append(c.Entries, got)
		if err != nil {
			return err
		}
	}
}

func finish(c *commit, err error) {
	finishing.Lock()
	defer finishing.Unlock()
	tell("finishing")
	wait := *finishMs
	if *finishMaxMs > wait {
		wait += rand.Intn(*finishMaxMs - wait + 1)
	}
	time.Sleep(time.Duration(wait) * time.Millisecond)
	count++
	c.N, c.Complete, c.EndNs = count, err == nil, time.Since(start).Nanoseconds()
	if err != nil {
		c.Error = err.Error()
	}
	line, _ := json.Marshal(c)
	if _, err := log.Write(append(line, '\n')); err != nil {
		os.Exit(4)
	}
	tell("finished %d", count)
}

func archiveA(in *os.File) error {
	c := newCommit()
	err := readEntries(in, func() *commit { return c })
	finish(c, err)
	in.Close()
	tell("closed")
	return err
}

func archiveB(in *os.File) error {
	var c *commit
	err := readEntries(in, func() *commit {
		if c == nil {
			c = newCommit()
		}
		return c
	})
	if err == nil {
		openAndWait()
	}
	if c != nil {
		finish(c, err)
	}
	return err
}

func archiveC(in *os.File) error {
	block := make([]byte, 512)
	for {
		if _, err := io.ReadFull(in, block); err != nil {
			openAndWait()
		} else if !bytes.Equal(block, make([]byte, 512)) {
			break
		}
	}
	c := newCommit()
	err := readEntries(io.MultiReader(bytes.NewReader(block), in), func() *commit { return c })
	if err == nil {
		finish(c, nil)
	}
	return err
}

func main() {
	flag.Parse()
	if *onError == "" {
		*onError = map[string]string{"C": "exit"}[*generation]
	}
	var err error
	if log, err = os.OpenFile(*logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// Go restarts interrupted calls, so unlike reader.cc this ends in the middle of reading too.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		finishing.Lock()
		os.Exit(0)
	}()
	var in *os.File
	for {
		if in == nil {
			in = openFifo()
		}
		archive := map[string]func(*os.File) error{"A": archiveA, "B": archiveB, "C": archiveC}[*generation]
		err := archive(in)
		if *generation == "A" {
			in = nil
		}
		if *commits > 0 && count >= *commits {
			return
		}
		if err == nil {
			continue
		}
		tell("error %s", err)
		if in != nil {
			in.Close()
			in = nil
			tell("closed")
		}
		if *onError == "exit" {
			os.Exit(3)
		}
		time.Sleep(time.Duration(*backoffMs) * time.Millisecond)
	}
}
